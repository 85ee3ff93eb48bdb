# SPDX-License-Identifier: Apache-2.0
"""Audit log of the requests of operators: signer, action, time, result.

Does not decide which events get an entry (see `agent.remote.manager`). Does not hold secrets: no
texts of a message are written, only names and numbers.

    audit.0 … audit.7    segments of a ring in the store, `SEGMENT_BYTES` each

A segment begins with the hash before its first entry (32 bytes). Entries follow: length (2 bytes,
big-endian) and CBOR [number, UTC seconds or null, [key numbers], action, counter, result]. The hash
after an entry is SHA-256(hash before it + entry). If an entry is changed, removed or inserted, all
later hashes differ. The unit reports number and hash of the newest entry (`cfg/reported`). A holder
of such a report also detects a truncated log.

Power cuts. A segment begins with an atomic write; entries are appended. An append can be truncated:
its rest is ignored, and the next entry begins a new segment.
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
    """Return the key of a segment in the store."""
    return PREFIX + str(segment)


class AuditReader:
    """The content of a segment: its `entries`, the hash after them (`head`), and `valid_bytes`."""

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
    """The end of the log. `number` and `head` belong to the newest entry."""

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
        """Return operation, key and payload that write an entry. `commit` or `abort` must follow.

        `utc_s`: 0 if the time is unknown.
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
        """Handle a durable entry."""
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
        """Continue after a segment. `can_append`: it ends without a truncated entry."""
        self.last = reader.entries[-1]
        self.number = self.last[0]
        self.head = reader.head
        self._segment, self._used_bytes, self._can_append = segment, reader.valid_bytes, can_append

    def abort(self) -> None:
        """Handle a failed entry, which may be truncated: begin a new segment."""
        if self._pending is not None:
            self._pending = None
            self._can_append = False


def recover(read: "Callable[[str], bytes | None]") -> AuditLog:
    """Find the end of the log in the store."""
    audit = AuditLog()
    for segment in range(SEGMENTS):
        data = read(key_of(segment))
        reader = None if data is None else AuditReader(data)
        if data is None or reader is None or not reader.entries:
            continue
        if reader.entries[-1][0] > audit.number:
            audit.resume(segment, reader, reader.valid_bytes == len(data))
    return audit
