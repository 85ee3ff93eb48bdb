"""What goes over a carrier: records in one message, or a piece of a record too long for one.

    D1 life records…                          a record is: number, kind, length, payload
    D2 life number place of bytes…            piece `place` (from 0) of `of`; whole: kind, payload

`life` (3 bytes) names the log: a flash that was replaced begins another life, and its numbers begin
anew. A record's number is `id * 4 + class`, ids counting up from 1 in each class. Numbers are those
of `protocols.telemetry.varint`. Nothing here is secret or signed: on an open carrier that is the
carrier's business; a block has a check of its own.
"""

from protocols.errors import DecodeError
from protocols.telemetry import varint

ALARM, LIVE, EVENT, BULK = 0, 1, 2, 3
CLASSES = ("alarm", "live", "event", "bulk")
"""Class numbers are priorities: the lower goes first."""
SCHEMA, ROWS, NOTE, SUMMARY, MERGED = 1, 2, 3, 4, 5
"""Kinds: a schema's text, a block, a JSON object, a block of a summary, several blocks as one."""
PACK, PIECE = 0xD1, 0xD2
LIFE_BYTES = 3
OVERHEAD = 12
"""More than number, kind and length of a record take."""
MOST_PIECES = 1024
OF_MERGED = 1 << 44
"""Added to the number that the pieces of a MERGED record have: it stands beside those of the first
record that it was made of, and their pieces must not be taken for each other."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Record = tuple[int, int, bytes]
    """Number, kind, payload."""


class Piece:
    """A part of a record."""

    def __init__(self, number: int, place: int, of: int, data: bytes) -> None:
        self.number = number
        self.place = place
        self.of = of
        self.data = data


def begin(kind: int, life: bytes) -> bytearray:
    """Begin a message."""
    message = bytearray([kind])
    message.extend(life)
    return message


def add(message: bytearray, record: "Record") -> None:
    """Add a record to a message of kind PACK."""
    head(message, record)
    message.extend(record[2])


def head(message: bytearray, record: "Record") -> None:
    """Add what stands before a record's payload."""
    varint.put(record[0], message)
    message.append(record[1])
    varint.put(len(record[2]), message)


def covered(kind: int, payload: bytes) -> int:
    """Count the numbers that a record stands for: more than one if it is of kind MERGED."""
    return varint.get(payload, 0)[0] if kind == MERGED else 1


def name_of(record: "Record") -> int:
    """Give the number that the pieces of a record have."""
    return record[0] + (OF_MERGED if record[1] == MERGED else 0)


def piece(life: bytes, record: "Record", place: int, of: int, size: int) -> bytes:
    """Make the message with piece `place` of `of`, each of `size` bytes of the record."""
    whole = bytes([record[1]]) + record[2]
    message = begin(PIECE, life)
    for number in (name_of(record), place, of):
        varint.put(number, message)
    message.extend(whole[place * size : (place + 1) * size])
    return bytes(message)


def read(message: bytes) -> "tuple[bytes, list[Record], Piece | None]":
    """Take a message apart: life, records, piece. Raises DecodeError."""
    if len(message) <= LIFE_BYTES or message[0] not in (PACK, PIECE):
        raise DecodeError("no message of ours")
    life, at = bytes(message[1 : 1 + LIFE_BYTES]), 1 + LIFE_BYTES
    if message[0] == PIECE:
        number, at = varint.get(message, at)
        place, at = varint.get(message, at)
        of, at = varint.get(message, at)
        if place >= of or of > MOST_PIECES:
            raise DecodeError("piece %d of %d" % (place, of))
        return life, [], Piece(number, place, of, bytes(message[at:]))
    records = []
    while at < len(message):
        number, at = varint.get(message, at)
        kind = message[at] if at < len(message) else 0
        length, at = varint.get(message, at + 1)
        if at + length > len(message):
            raise DecodeError("a record is cut off")
        records.append((number, kind, bytes(message[at : at + length])))
        at += length
    return life, records, None
