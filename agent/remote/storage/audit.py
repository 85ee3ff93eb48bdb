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
_FIELDS = 6


def key_of(segment: int) -> str:
    """Name a segment in the store."""
    return PREFIX + str(segment)


class AuditReader:
    """A segment read: its `entries`, the hash after them (`head`), how many bytes were
    `valid_bytes`.
    """

    def __init__(self, data: bytes) -> None:
        self.start_hash = data[:_HASH_BYTES]
        self.head = self.start_hash
        self.entries: list[list[Any]] = []
        self.valid_bytes = _HASH_BYTES
        while self._read_entry(data):
            pass

    def _read_entry(self, data: bytes) -> bool:
        start = self.valid_bytes + _LENGTH_BYTES
        end = start + int.from_bytes(data[self.valid_bytes : start], "big")
        body = data[start:end]
        entry = _decode_entry(body) if start < end <= len(data) else None
        if entry is None or (self.entries and entry[0] != self.entries[-1][0] + 1):
            return False
        self.head = _chain_hash(self.head, body)
        self.entries.append(entry)
        self.valid_bytes = end
        return True


def _chain_hash(head: bytes, body: bytes) -> bytes:
    return hashlib.sha256(head + body).digest()


def _decode_entry(body: bytes) -> "list[Any] | None":
    try:
        parts = cbor.decode(body)
    except DecodeError:
        return None
    valid = type(parts) is list and len(parts) == _FIELDS and type(parts[0]) is int
    return parts if valid else None


class AuditLog:
    """The end of the log: where the next entry goes. `number` and `head` are of the newest."""

    def __init__(self) -> None:
        self.number = 0
        self.head = bytes(_HASH_BYTES)
        self.last: list[Any] = []
        self._segment = 0
        self._used_bytes = 0
        self._can_append = False
        self._pending: tuple[bytes, bool] | None = None

    def prepare(
        self, utc_s: int, signers: "list[int]", action: str, counter: int, result: str
    ) -> "tuple[str, str, bytes]":
        """Give the operation, key and payload that would write an entry; `commit` or `abort`
        follow.

        `utc_s`: 0 when the time is not known.
        """
        texts = (action[:_LONGEST_TEXT], result[:_LONGEST_TEXT])
        body = cbor.encode([self.number + 1, utc_s or None, signers, texts[0], counter, texts[1]])
        framed = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        appends = self._can_append and self._used_bytes + len(framed) <= SEGMENT_BYTES
        self._pending = body, appends
        if appends:
            return "append", key_of(self._segment), framed
        return "write", key_of(self._next_segment()), self.head + framed

    def _next_segment(self) -> int:
        return (self._segment + 1) % SEGMENTS if self.number else 0

    def commit(self) -> None:
        """Take note that what was placed is durable."""
        if self._pending is None:
            return
        body, was_appended = self._pending
        self._pending = None
        if not was_appended:
            self._segment = self._next_segment()
            self._used_bytes = _HASH_BYTES
            self._can_append = True
        self._used_bytes += _LENGTH_BYTES + len(body)
        self.number += 1
        self.head = _chain_hash(self.head, body)
        self.last = _decode_entry(body) or []

    def resume(self, segment: int, reader: AuditReader, can_append: bool) -> None:
        """Go on after what was read; `can_append`: nothing torn stands behind it."""
        self.last = reader.entries[-1]
        self.number = self.last[0]
        self.head = reader.head
        self._segment, self._used_bytes, self._can_append = segment, reader.valid_bytes, can_append

    def abort(self) -> None:
        """Take note that what was placed may be there, torn or whole, or not: begin elsewhere."""
        if self._pending is not None:
            self._pending = None
            self._can_append = False


def recover(read: "Callable[[str], bytes | None]") -> AuditLog:
    """Find the end of the log that an earlier life left in the store."""
    audit = AuditLog()
    for segment in range(SEGMENTS):
        data = read(key_of(segment))
        reader = None if data is None else AuditReader(data)
        if data is None or reader is None or not reader.entries:
            continue
        if reader.entries[-1][0] > audit.number:
            audit.resume(segment, reader, reader.valid_bytes == len(data))
    return audit
