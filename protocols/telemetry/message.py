"""What goes over a carrier: records in one message, or a piece of a record too long for one.

    D1 life records…                          a record is: number, kind, length, payload
    D2 life number place of bytes…            piece `index` (from 0) of `count`; whole: kind,
    payload

`generation` (3 bytes) names the log: a flash that was replaced begins another life, and its numbers
begin anew. A record's number is `id * 4 + class`, ids counting up from 1 in each class. Numbers are
those of `protocols.telemetry.varint`. Nothing here is secret or signed: on an open carrier that is
the carrier's business; a block has a check of its own.
"""

from protocols.errors import DecodeError
from protocols.telemetry import varint

ALARM, LIVE, EVENT, BULK = 0, 1, 2, 3
CLASSES = ("alarm", "live", "event", "bulk")
"""Class numbers are priorities: the lower goes first."""
SCHEMA, ROWS, NOTE, SUMMARY, MERGED = 1, 2, 3, 4, 5
"""Kinds: a schema's text, a block, a JSON object, a block of a summary, several blocks as one."""
PACK, FRAGMENT = 0xD1, 0xD2
GENERATION_BYTES = 3
OVERHEAD = 12
"""More than number, kind and length of a record take."""
MAX_FRAGMENTS = 1024
MERGED_OFFSET = 1 << 44
"""Added to the number that the pieces of a MERGED record have: it stands beside those of the first
record that it was made of, and their pieces must not be taken for each other."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Record = tuple[int, int, bytes]
    """Number, kind, payload."""


class RecordFragment:
    """A part of a record."""

    def __init__(self, number: int, index: int, count: int, data: bytes) -> None:
        self.number = number
        self.index = index
        self.count = count
        self.data = data


def begin_message(kind: int, generation: bytes) -> bytearray:
    """Begin a message."""
    message = bytearray([kind])
    message.extend(generation)
    return message


def append_record(message: bytearray, record: "Record") -> None:
    """Add a record to a message of kind PACK."""
    append_head(message, record)
    message.extend(record[2])


def append_head(message: bytearray, record: "Record") -> None:
    """Add what stands before a record's payload."""
    varint.put(record[0], message)
    message.append(record[1])
    varint.put(len(record[2]), message)


def covered_count(kind: int, payload: bytes) -> int:
    """Count the numbers that a record stands for: more than one if it is of kind MERGED."""
    return varint.get(payload, 0)[0] if kind == MERGED else 1


def fragment_number(record: "Record") -> int:
    """Give the number that the pieces of a record have."""
    return record[0] + (MERGED_OFFSET if record[1] == MERGED else 0)


def build_fragment(generation: bytes, record: "Record", index: int, count: int, size: int) -> bytes:
    """Make the message with piece `index` of `count`, each of `size` bytes of the record."""
    content = bytes([record[1]]) + record[2]
    message = begin_message(FRAGMENT, generation)
    for number in (fragment_number(record), index, count):
        varint.put(number, message)
    message.extend(content[index * size : (index + 1) * size])
    return bytes(message)


def parse_message(message: bytes) -> "tuple[bytes, list[Record], RecordFragment | None]":
    """Take a message apart: life, records, piece. Raises DecodeError."""
    if len(message) <= GENERATION_BYTES or message[0] not in (PACK, FRAGMENT):
        raise DecodeError("no message of ours")
    generation, at = bytes(message[1 : 1 + GENERATION_BYTES]), 1 + GENERATION_BYTES
    if message[0] == FRAGMENT:
        number, at = varint.get(message, at)
        index, at = varint.get(message, at)
        count, at = varint.get(message, at)
        if index >= count or count > MAX_FRAGMENTS:
            raise DecodeError("piece %d of %d" % (index, count))
        return generation, [], RecordFragment(number, index, count, bytes(message[at:]))
    records = []
    while at < len(message):
        number, at = varint.get(message, at)
        kind = message[at] if at < len(message) else 0
        length, at = varint.get(message, at + 1)
        if at + length > len(message):
            raise DecodeError("a record is cut off")
        records.append((number, kind, bytes(message[at : at + length])))
        at += length
    return generation, records, None
