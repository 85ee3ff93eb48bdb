# SPDX-License-Identifier: Apache-2.0
"""Segment of the log: a file of records, each protected by a checksum.

    C7 1D  length (2)  crc (4)  then `length` bytes: id, stamp, kind, payload

id and stamp are numbers of `protocols.telemetry.varint`. The stamp is in seconds of the log's own
time, which no clock step changes. The CRC-32 covers the generation of the log, the class, and the
bytes. A record of another log or class is therefore invalid. The file name holds generation, class
and the first id: `log.GENERATION.CLASS.ID`, in hexadecimal.

`scan` returns the valid records and continues after damaged bytes. A truncated end or a flipped bit
costs only the record that it is in.
"""

from binascii import crc32, hexlify, unhexlify

from protocols.errors import DecodeError
from protocols.telemetry import varint
from protocols.telemetry.message import CLASSES, GENERATION_BYTES, covered_count

PREFIX = "log."
HEAD = 8
MAGIC = b"\xc7\x1d"
LONGEST = 65000
"""Largest body of a record in bytes."""
MIN_RECORD_BYTES = HEAD + 3
_NAME = len(PREFIX) + 2 * GENERATION_BYTES + 11


class LogRecord:
    """A valid record."""

    def __init__(self, ident: int, stamp: int, kind: int, payload: bytes) -> None:
        self.ident = ident
        self.stamp = stamp
        self.kind = kind
        self.payload = payload

    @property
    def last_ident(self) -> int:
        """The last id that the record covers: its own id, unless it holds merged blocks."""
        return self.ident + covered_count(self.kind, self.payload) - 1


def segment_name(generation: bytes, group: int, first: int) -> str:
    """Return the name of the segment whose first record has the id `first`."""
    return "%s%s.%d.%08x" % (PREFIX, str(hexlify(generation), "ascii"), group, first)


def read_name(key: bytes) -> str:
    """Return a key of the store as text; empty if it is not UTF-8."""
    try:
        return str(key, "utf-8")
    except ValueError:  # UnicodeError is a ValueError on both interpreters
        return ""


def parse_name(text: str) -> "tuple[bytes, int, int] | None":
    """Return generation, class and first id of a segment name. None: it is not a segment name."""
    parts = text.split(".")
    if len(text) != _NAME or len(parts) != 4 or parts[0] + "." != PREFIX:
        return None
    try:
        generation, group, first = unhexlify(parts[1]), int(parts[2]), int(parts[3], 16)
    except ValueError:
        return None
    if len(generation) != GENERATION_BYTES or not 0 <= group < len(CLASSES) or first < 1:
        return None
    return generation, group, first


def _checksum(generation: bytes, group: int, body: "bytearray | memoryview") -> int:
    return crc32(body, crc32(generation + bytes([group]))) & 0xFFFFFFFF


def frame(generation: bytes, group: int, record: LogRecord) -> bytes:
    """Encode a record as a segment holds it."""
    body = bytearray()
    varint.put(record.ident, body)
    varint.put(record.stamp, body)
    body.append(record.kind)
    body.extend(record.payload)
    checksum = _checksum(generation, group, body)
    out = bytearray(MAGIC)
    out.append(len(body) >> 8)
    out.append(len(body) & 255)
    for shift in (24, 16, 8, 0):
        out.append(checksum >> shift & 255)
    out.extend(body)
    return bytes(out)


def _record_at(
    data: bytes, offset: int, generation: bytes, group: int
) -> "tuple[LogRecord, int] | None":
    """Return the record at `offset` and the offset after it. None: there is no valid record."""
    if (
        offset + MIN_RECORD_BYTES > len(data)
        or data[offset] != MAGIC[0]
        or data[offset + 1] != MAGIC[1]
    ):
        return None
    start = offset + HEAD
    end = start + (data[offset + 2] << 8 | data[offset + 3])
    if end > len(data):
        return None
    checksum = 0
    for byte in data[offset + 4 : start]:
        checksum = checksum << 8 | byte
    if _checksum(generation, group, memoryview(data)[start:end]) != checksum:
        return None
    try:
        ident, start = varint.get(data, start)
        stamp, start = varint.get(data, start)
    except DecodeError:
        return None
    if start >= end or ident < 1:
        return None
    return LogRecord(ident, stamp, data[start], bytes(data[start + 1 : end])), end


class SegmentScan:
    """The valid records of a segment: `records`; damaged places; bytes after the last record."""

    def __init__(self, data: bytes, generation: bytes, group: int) -> None:
        self.records: list[LogRecord] = []
        self.damaged = 0
        self.tail_bytes = 0
        self._data, self._generation, self._group = data, generation, group
        self._offset = self._good_end = 0
        self._in_gap = False

    def step(self, count: int) -> bool:
        """Read `count` records or damaged bytes, 0: all. Return whether the scan is complete."""
        data = self._data
        end = len(self.records) + count
        while self._offset < len(data):
            if count and len(self.records) >= end:
                return False
            parsed = _record_at(data, self._offset, self._generation, self._group)
            if parsed is None:
                self._in_gap = True
                next_magic = data.find(MAGIC, self._offset + 1)
                self._offset = next_magic if next_magic >= 0 else len(data)
                end -= 1
                continue
            self.damaged += self._in_gap
            self._in_gap = False
            self.records.append(parsed[0])
            self._offset = self._good_end = parsed[1]
        self.damaged += self._in_gap
        self.tail_bytes = len(data) - self._good_end
        self._data = b""
        return True


def scan(data: bytes, generation: bytes, group: int) -> SegmentScan:
    """Find the valid records of a segment."""
    result = SegmentScan(data, generation, group)
    result.step(0)
    return result
