# SPDX-License-Identifier: Apache-2.0
"""The telemetry message: several records, or a fragment of a record that is too long for one.

    D1 generation records…                  a record is: number, kind, length, payload
    D2 generation number index count bytes… fragment `index` (from 0) of `count`; the fragments
                                            together are: kind, payload

`generation` (3 bytes) names the log: a replaced flash starts a new generation with new numbers. A
record number is `id * 4 + class`; ids count up from 1 in each class. Numbers have the format of
`protocols.telemetry.varint`. Does not encrypt or sign: this is the task of an open bearer. A block
has its own CRC.
"""

from protocols.errors import DecodeError
from protocols.telemetry import varint

ALARM, LIVE, EVENT, BULK = 0, 1, 2, 3
CLASSES = ("alarm", "live", "event", "bulk")
"""Class numbers are priorities: the lower goes first."""
SCHEMA, ROWS, JSON_EVENT, SUMMARY, MERGED = 1, 2, 3, 4, 5
"""Kinds: the text of a schema, a block, a JSON object, a block of a summary, a merged block."""
PACK, FRAGMENT = 0xD1, 0xD2
GENERATION_BYTES = 3
MAX_RECORD_HEADER = 12
"""Upper bound of the bytes of number, kind and length of a record."""
MAX_FRAGMENTS = 1024
MERGED_OFFSET = 1 << 44
"""Added to the fragment number of a MERGED record. The record has the same number as the first
record it was made of; their fragments must not mix."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Record = tuple[int, int, bytes]
    """Number, kind, payload."""


class RecordFragment:
    """A fragment of a record."""

    def __init__(self, number: int, index: int, count: int, data: bytes) -> None:
        self.number = number
        self.index = index
        self.count = count
        self.data = data


def begin_message(kind: int, generation: bytes) -> bytearray:
    """Start a message."""
    message = bytearray([kind])
    message.extend(generation)
    return message


def append_record(message: bytearray, record: "Record") -> None:
    """Add a record to a message of kind PACK."""
    append_header(message, record)
    message.extend(record[2])


def append_header(message: bytearray, record: "Record") -> None:
    """Add the head of a record: all bytes before its payload."""
    varint.put(record[0], message)
    message.append(record[1])
    varint.put(len(record[2]), message)


def covered_count(kind: int, payload: bytes) -> int:
    """Return how many numbers a record covers: more than one for kind MERGED."""
    return varint.get(payload, 0)[0] if kind == MERGED else 1


def fragment_number(record: "Record") -> int:
    """Return the number of the fragments of a record."""
    return record[0] + (MERGED_OFFSET if record[1] == MERGED else 0)


def build_fragment(generation: bytes, record: "Record", index: int, count: int, size: int) -> bytes:
    """Build the message with fragment `index` of `count`, each of `size` bytes of the record."""
    content = bytes([record[1]]) + record[2]
    message = begin_message(FRAGMENT, generation)
    for number in (fragment_number(record), index, count):
        varint.put(number, message)
    message.extend(content[index * size : (index + 1) * size])
    return bytes(message)


def parse_message(message: bytes) -> "tuple[bytes, list[Record], RecordFragment | None]":
    """Parse a message: generation, records, fragment. Raises DecodeError."""
    if len(message) <= GENERATION_BYTES or message[0] not in (PACK, FRAGMENT):
        raise DecodeError("no message of ours")
    generation, position = bytes(message[1 : 1 + GENERATION_BYTES]), 1 + GENERATION_BYTES
    if message[0] == FRAGMENT:
        number, position = varint.get(message, position)
        index, position = varint.get(message, position)
        count, position = varint.get(message, position)
        if index >= count or count > MAX_FRAGMENTS:
            raise DecodeError("piece %d of %d" % (index, count))
        return generation, [], RecordFragment(number, index, count, bytes(message[position:]))
    records = []
    while position < len(message):
        number, position = varint.get(message, position)
        kind = message[position] if position < len(message) else 0
        length, position = varint.get(message, position + 1)
        if position + length > len(message):
            raise DecodeError("a record is cut off")
        records.append((number, kind, bytes(message[position : position + length])))
        position += length
    return generation, records, None
