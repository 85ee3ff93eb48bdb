"""The log of what operators have asked for and what became of it: who, what, when, the result.

    audit.0 … audit.7    segments of a ring in the store, `SEGMENT_BYTES` each

A segment is the hash before its first entry (32 bytes), then entries: length (2 bytes, big-endian)
and CBOR [number, UTC seconds or null, [key numbers], what, counter, result]. The hash after an
entry is SHA-256(hash before it + entry), so that an entry cannot be changed, taken out or put in
without every later hash being another one. The unit reports number and hash of the newest entry
(`cfg/reported`), and whoever holds such a report sees a log that was cut short, too.

Power cuts. A segment is begun with a write, which is whole or not at all; entries are appended. An
append may be torn: what is left of it is not read, and the next entry begins a new segment.

Not here: what deserves an entry (`agent.remote.manager`), nor secrets: texts from a message are not
written down, only names and numbers.
"""

import hashlib

from protocols import cbor
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PREFIX = "audit."
SEGMENTS = 8
SEGMENT_BYTES = 4096
_HASH_BYTES = 32
_LENGTH_BYTES = 2
_LONGEST_TEXT = 160
_PARTS = 6


def key_of(segment: int) -> str:
    """Name a segment in the store."""
    return PREFIX + str(segment)


class Walk:
    """A segment read: its `entries`, the hash after them (`head`), how many bytes were `good`."""

    def __init__(self, data: bytes) -> None:
        self.first = data[:_HASH_BYTES]
        self.head = self.first
        self.entries: list[list[Any]] = []
        self.good = _HASH_BYTES
        while self._next(data):
            pass

    def _next(self, data: bytes) -> bool:
        start = self.good + _LENGTH_BYTES
        end = start + int.from_bytes(data[self.good : start], "big")
        body = data[start:end]
        entry = _entry(body) if start < end <= len(data) else None
        if entry is None or (self.entries and entry[0] != self.entries[-1][0] + 1):
            return False
        self.head = _joined(self.head, body)
        self.entries.append(entry)
        self.good = end
        return True


def _joined(head: bytes, body: bytes) -> bytes:
    return hashlib.sha256(head + body).digest()


def _entry(body: bytes) -> "list[Any] | None":
    try:
        parts = cbor.decode(body)
    except DecodeError:
        return None
    sound = type(parts) is list and len(parts) == _PARTS and type(parts[0]) is int
    return parts if sound else None


class Audit:
    """The end of the log: where the next entry goes. `number` and `head` are of the newest."""

    def __init__(self) -> None:
        self.number = 0
        self.head = bytes(_HASH_BYTES)
        self.last: list[Any] = []
        self._segment = 0
        self._used = 0
        self._whole = False
        self._placed: tuple[bytes, bool] | None = None

    def place(
        self, utc_s: int, who: "list[int]", what: str, counter: int, result: str
    ) -> "tuple[str, str, bytes]":
        """Give the operation, key and payload that would write an entry; `done` or `failed` follow.

        `utc_s`: 0 when the time is not known.
        """
        texts = (what[:_LONGEST_TEXT], result[:_LONGEST_TEXT])
        body = cbor.encode([self.number + 1, utc_s or None, who, texts[0], counter, texts[1]])
        written = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        appends = self._whole and self._used + len(written) <= SEGMENT_BYTES
        self._placed = body, appends
        if appends:
            return "append", key_of(self._segment), written
        return "write", key_of(self._after()), self.head + written

    def _after(self) -> int:
        return (self._segment + 1) % SEGMENTS if self.number else 0

    def done(self) -> None:
        """Take note that what was placed is durable."""
        if self._placed is None:
            return
        body, appended = self._placed
        self._placed = None
        if not appended:
            self._segment = self._after()
            self._used = _HASH_BYTES
            self._whole = True
        self._used += _LENGTH_BYTES + len(body)
        self.number += 1
        self.head = _joined(self.head, body)
        self.last = _entry(body) or []

    def resume(self, segment: int, walk: Walk, whole: bool) -> None:
        """Go on after what was read; `whole`: nothing torn stands behind it."""
        self.last = walk.entries[-1]
        self.number = self.last[0]
        self.head = walk.head
        self._segment, self._used, self._whole = segment, walk.good, whole

    def failed(self) -> None:
        """Take note that what was placed may be there, torn or whole, or not: begin elsewhere."""
        if self._placed is not None:
            self._placed = None
            self._whole = False


def recovered(read: "Callable[[str], bytes | None]") -> Audit:
    """Find the end of the log that an earlier life left in the store."""
    audit = Audit()
    for segment in range(SEGMENTS):
        data = read(key_of(segment))
        walk = None if data is None else Walk(data)
        if data is None or walk is None or not walk.entries:
            continue
        if walk.entries[-1][0] > audit.number:
            audit.resume(segment, walk, walk.good == len(data))
    return audit
