# SPDX-License-Identifier: Apache-2.0
"""The envelope of a datagram: a message of at most N bytes over a satellite modem.

Does not read the content (see `protocols.telemetry`) and does not frame for a modem (see
`protocols.modem`). Numbers are big-endian:

    up (MO)
      single     1 b: 0x10 + class | 3 b: number | content …
      fragment   1 b: 0x20 + class | 3 b: number | 1 b: index | 1 b: last index | part …
                 the parts in order are: content, then 2 b: CRC-16 of it (poly 0x1021, init 0)
    down (MT)
      ack        1 b: 0x40 | n x (3 b: first number, 1 b: count of numbers after it) | 8 b: tag
      message    1 b: 0x50 | 3 b: number, never used before | content … | 8 b: tag

`class` is 0 alarm, 1 live, 2 event, 3 bulk. `number` counts the messages of one unit, modulo 2**24.
A unit never uses a number twice in the life of a modem. Therefore the relay can drop duplicates by
(unit, number), and the numbers of a replayed acknowledgement match no pending message. The bearer
identifies the unit (serial number of the modem, address of the socket).

`make_tag` is the first 8 bytes of HMAC-SHA256 over "coldloop datagram, 1" NUL SITE/UNIT NUL and
all bytes before the tag. The unit and the relay share the key of 32 bytes. HMAC: RFC 2104.
"""

from protocols.errors import DecodeError, EncodeError
from protocols.modem.checksum import crc16
from protocols.signing.hmac_sha256 import hmac

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ranges = list[tuple[int, int]]

SINGLE, FRAGMENT, ACK, MESSAGE = 0x10, 0x20, 0x40, 0x50
ALARM, LIVE, EVENT, BULK = 0, 1, 2, 3
CLASSES = ("alarm", "live", "event", "bulk")
SEQUENCE_MODULUS = 1 << 24
HEADER_BYTES, FRAG_HEADER_BYTES, TAG_BYTES = 4, 6, 8
MAX_FRAGMENTS = 256
_DOMAIN = b"coldloop datagram, 1\0"


def split(kind: int, number: int, content: bytes, max_size: int) -> "list[bytes]":
    """Write one message as datagrams of at most `max_size` bytes, in order.

    Raises `EncodeError` if the message needs more than 256 datagrams.
    """
    head = number.to_bytes(3, "big")
    if HEADER_BYTES + len(content) <= max_size:
        return [bytes((SINGLE + kind,)) + head + content]
    body = content + crc16(content).to_bytes(2, "big")
    payload_size = max_size - FRAG_HEADER_BYTES
    count = -(-len(body) // payload_size) if payload_size > 0 else MAX_FRAGMENTS + 1
    if count > MAX_FRAGMENTS:
        raise EncodeError("%d bytes do not fit into %d datagrams" % (len(content), MAX_FRAGMENTS))
    return [
        bytes((FRAGMENT + kind,))
        + head
        + bytes((i, count - 1))
        + body[i * payload_size : (i + 1) * payload_size]
        for i in range(count)
    ]


class Fragment:
    """One received MO datagram: class, number, index and last index (both 0 for a single one)."""

    def __init__(self, kind: int, number: int, index: int, last_index: int, data: bytes) -> None:
        self.kind = kind
        self.number = number
        self.index = index
        self.last_index = last_index
        self.data = data
        self.is_single = last_index == 0 and index == 0


def unpack(data: bytes) -> Fragment:
    """Decode an MO datagram; raises `DecodeError`."""
    if len(data) < HEADER_BYTES:
        raise DecodeError("%d bytes are no datagram" % len(data))
    form, kind = data[0] & 0xF0, data[0] & 0x0F
    if kind >= len(CLASSES):
        raise DecodeError("class %d is not known" % kind)
    number = int.from_bytes(data[1:4], "big")
    if form == SINGLE:
        return Fragment(kind, number, 0, 0, data[HEADER_BYTES:])
    if form != FRAGMENT or len(data) <= FRAG_HEADER_BYTES:
        raise DecodeError("form 0x%02x is not known" % data[0])
    index, last_index = data[4], data[5]
    if not index <= last_index or not last_index:
        raise DecodeError("fragment %d of %d" % (index, last_index))
    return Fragment(kind, number, index, last_index, data[FRAG_HEADER_BYTES:])


def reassemble(parts: "list[bytes]") -> bytes:
    """Join the data of all fragments in order; raises `DecodeError` if the CRC is wrong."""
    body = b"".join(parts)
    content = body[:-2]
    if len(body) < 2 or crc16(content) != int.from_bytes(body[-2:], "big"):
        raise DecodeError("the fragments do not belong together")
    return content


def make_tag(key: bytes, unit: str, data: bytes) -> bytes:
    """Return the 8-byte tag that authenticates `data` for `unit` ("SITE/UNIT")."""
    return hmac(key, _DOMAIN + unit.encode() + b"\0" + data)[:TAG_BYTES]


def pack_ack(key: bytes, unit: str, ranges: "Ranges") -> bytes:
    """Write an acknowledgement datagram. A range is (first number, count after it: 0 to 255)."""
    body = bytes((ACK,))
    for first, more in ranges:
        body += first.to_bytes(3, "big") + bytes((more,))
    return body + make_tag(key, unit, body)


def pack_message(key: bytes, unit: str, number: int, content: bytes) -> bytes:
    """Write a message for a unit; `number` must be new for this unit."""
    body = bytes((MESSAGE,)) + number.to_bytes(3, "big") + content
    return body + make_tag(key, unit, body)


def verify_body(key: bytes, unit: str, data: bytes) -> bytes:
    """Return an MT datagram without its tag; raises `DecodeError` if the tag is wrong."""
    body = data[:-TAG_BYTES]
    if len(data) <= TAG_BYTES or make_tag(key, unit, body) != data[-TAG_BYTES:]:
        raise DecodeError("the tag is wrong")
    return body


def parse_ack(body: bytes) -> "Ranges":
    """Decode the body of an acknowledgement; raises `DecodeError`."""
    if len(body) < 5 or body[0] != ACK or (len(body) - 1) % 4:
        raise DecodeError("no acknowledgement")
    return [(int.from_bytes(body[i : i + 3], "big"), body[i + 3]) for i in range(1, len(body), 4)]
