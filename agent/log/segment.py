"""A segment of the log: a file of records, appended to, in which every record proves itself.

    C7 1D  length (2)  crc (4)  then `length` bytes: id, stamp, kind, payload

id and stamp are numbers of `protocols.telemetry.varint`; the stamp is in seconds of the log's own
time, which no clock can step. The CRC-32 covers the log's life, the class, and the bytes, so that a
record of another log or class is none. Its name says life, class and the first id in it:
`log.LIFE.CLASS.ID`, in hexadecimal.

`scan` takes what is whole and goes on behind what is not: a torn tail, or a bit that flipped, costs
the record it is in.
"""

from binascii import crc32, hexlify, unhexlify

from protocols.errors import DecodeError
from protocols.telemetry import varint
from protocols.telemetry.message import CLASSES, LIFE_BYTES, covered

PREFIX = "log."
HEAD = 8
MAGIC = b"\xc7\x1d"
LONGEST = 65000
"""Bytes of the longest record's body."""
LEAST = HEAD + 3
_NAME = len(PREFIX) + 2 * LIFE_BYTES + 11


class Record:
    """A record that was found whole."""

    def __init__(self, ident: int, stamp: int, kind: int, payload: bytes) -> None:
        self.ident = ident
        self.stamp = stamp
        self.kind = kind
        self.payload = payload

    @property
    def last(self) -> int:
        """The last id that the record stands for: its own, unless blocks were made one."""
        return self.ident + covered(self.kind, self.payload) - 1


class Found:
    """What a scan found: whole records, how many places are damaged, bytes behind the last one."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.damaged = 0
        self.tail = 0


def name(life: bytes, group: int, first: int) -> str:
    """Name the segment whose first record has the id `first`."""
    return "%s%s.%d.%08x" % (PREFIX, str(hexlify(life), "ascii"), group, first)


def parse_name(text: str) -> "tuple[bytes, int, int] | None":
    """Read life, class and first id from a name; None when it is no segment's."""
    parts = text.split(".")
    if len(text) != _NAME or len(parts) != 4 or parts[0] + "." != PREFIX:
        return None
    try:
        life, group, first = unhexlify(parts[1]), int(parts[2]), int(parts[3], 16)
    except ValueError:
        return None
    if len(life) != LIFE_BYTES or not 0 <= group < len(CLASSES) or first < 1:
        return None
    return life, group, first


def _check(life: bytes, group: int, body: "bytearray | memoryview") -> int:
    return crc32(body, crc32(life + bytes([group]))) & 0xFFFFFFFF


def frame(life: bytes, group: int, record: Record) -> bytes:
    """Write a record as it stands in a segment."""
    body = bytearray()
    varint.put(record.ident, body)
    varint.put(record.stamp, body)
    body.append(record.kind)
    body.extend(record.payload)
    check = _check(life, group, body)
    out = bytearray(MAGIC)
    out.append(len(body) >> 8)
    out.append(len(body) & 255)
    for shift in (24, 16, 8, 0):
        out.append(check >> shift & 255)
    out.extend(body)
    return bytes(out)


def _at(data: bytes, at: int, life: bytes, group: int) -> "tuple[Record, int] | None":
    """Take the record at `at`, and say where it ends; None when there is no whole one."""
    if at + LEAST > len(data) or data[at] != MAGIC[0] or data[at + 1] != MAGIC[1]:
        return None
    start = at + HEAD
    end = start + (data[at + 2] << 8 | data[at + 3])
    if end > len(data):
        return None
    check = 0
    for byte in data[at + 4 : start]:
        check = check << 8 | byte
    if _check(life, group, memoryview(data)[start:end]) != check:
        return None
    try:
        ident, start = varint.get(data, start)
        stamp, start = varint.get(data, start)
    except DecodeError:
        return None
    if start >= end or ident < 1:
        return None
    return Record(ident, stamp, data[start], bytes(data[start + 1 : end])), end


def scan(data: bytes, life: bytes, group: int) -> Found:
    """Find the whole records of a segment."""
    found = Found()
    at = good = 0
    lost = False
    while at < len(data):
        taken = _at(data, at, life, group)
        if taken is None:
            lost = True
            following = data.find(MAGIC, at + 1)
            at = following if following >= 0 else len(data)
            continue
        found.damaged += lost
        lost = False
        found.records.append(taken[0])
        at = good = taken[1]
    found.damaged += lost
    found.tail = len(data) - good
    return found
