"""The envelope of a datagram: what a message of at most N bytes carries over a satellite.

Not the content of a block (that is the codec's) and not a modem's framing. Big-endian:

    up (MO)
      whole      1 b: 0x10 + class | 3 b: number | content …
      fragment   1 b: 0x20 + class | 3 b: number | 1 b: index | 1 b: last index | part …
                 the parts in order are: content, then 2 b: CRC-16 of it (poly 0x1021, init 0)
    down (MT)
      ack        1 b: 0x40 | n x (3 b: first number, 1 b: how many more after it) | 8 b: tag
      message    1 b: 0x50 | 3 b: number, never used before | content … | 8 b: tag

`class` is 0 alarm, 1 live, 2 event, 3 bulk. `number` counts the messages of one unit, modulo 2**24;
it is never used twice in a modem's life, so that the ground may drop duplicates by (unit, number),
and a replayed acknowledgement names numbers that nobody waits for. Which unit it was is told by
the carrier (a modem's serial number, a socket's address).

`make_tag` is the first 8 bytes of HMAC-SHA256 over "coldloop datagram, 1" NUL SITE/UNIT NUL and all
that stands before the tag, by a key of 32 bytes that unit and relay share. HMAC: RFC 2104.
"""

from hashlib import sha256

from protocols.errors import DecodeError, EncodeError
from protocols.modem.checksum import crc16

TYPE_CHECKING = False
if TYPE_CHECKING:
    Ranges = list[tuple[int, int]]

SINGLE, FRAGMENT, ACK, MESSAGE = 0x10, 0x20, 0x40, 0x50
ALARM, LIVE, EVENT, BULK = 0, 1, 2, 3
CLASSES = ("alarm", "live", "event", "bulk")
SEQUENCE_MODULUS = 1 << 24
HEAD_BYTES, FRAGMENT_HEAD_BYTES, TAG_BYTES = 4, 6, 8
MAX_FRAGMENTS = 256
_DOMAIN = b"coldloop datagram, 1\0"
_HMAC_BLOCK = 64


def split(kind: int, number: int, content: bytes, max_size: int) -> "list[bytes]":
    """Write one message as datagrams of at most `max_size` bytes, in order.

    Raises `EncodeError` when it would take more than 256 of them.
    """
    head = number.to_bytes(3, "big")
    if HEAD_BYTES + len(content) <= max_size:
        return [bytes((SINGLE + kind,)) + head + content]
    body = content + crc16(content).to_bytes(2, "big")
    payload_size = max_size - FRAGMENT_HEAD_BYTES
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
    """One datagram that came up: class, number, index, last index (both 0 for a whole one)."""

    def __init__(self, kind: int, number: int, index: int, last_index: int, data: bytes) -> None:
        self.kind = kind
        self.number = number
        self.index = index
        self.last_index = last_index
        self.data = data
        self.is_single = last_index == 0 and index == 0


def unpack(data: bytes) -> Fragment:
    """Read a datagram that came up; raises `DecodeError`."""
    if len(data) < HEAD_BYTES:
        raise DecodeError("%d bytes are no datagram" % len(data))
    form, kind = data[0] & 0xF0, data[0] & 0x0F
    if kind >= len(CLASSES):
        raise DecodeError("class %d is not known" % kind)
    number = int.from_bytes(data[1:4], "big")
    if form == SINGLE:
        return Fragment(kind, number, 0, 0, data[HEAD_BYTES:])
    if form != FRAGMENT or len(data) <= FRAGMENT_HEAD_BYTES:
        raise DecodeError("form 0x%02x is not known" % data[0])
    index, last_index = data[4], data[5]
    if not index <= last_index or not last_index:
        raise DecodeError("fragment %d of %d" % (index, last_index))
    return Fragment(kind, number, index, last_index, data[FRAGMENT_HEAD_BYTES:])


def reassemble(parts: "list[bytes]") -> bytes:
    """Put the data of all fragments, in order, together; raises `DecodeError` on a bad CRC."""
    body = b"".join(parts)
    content = body[:-2]
    if len(body) < 2 or crc16(content) != int.from_bytes(body[-2:], "big"):
        raise DecodeError("the fragments do not belong together")
    return content


def make_tag(key: bytes, unit: str, data: bytes) -> bytes:
    """Give the 8 bytes that prove `data` to `unit` ("SITE/UNIT")."""
    key = key + b"\0" * (_HMAC_BLOCK - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]) + _DOMAIN + unit.encode() + b"\0" + data)
    return sha256(bytes([b ^ 0x5C for b in key]) + inner.digest()).digest()[:TAG_BYTES]


def pack_ack(key: bytes, unit: str, ranges: "Ranges") -> bytes:
    """Write an acknowledgement of numbers: (first, how many more, 0 to 255), for one datagram."""
    body = bytes((ACK,))
    for first, more in ranges:
        body += first.to_bytes(3, "big") + bytes((more,))
    return body + make_tag(key, unit, body)


def pack_message(key: bytes, unit: str, number: int, content: bytes) -> bytes:
    """Write a message for a unit; `number` must never have been used for it."""
    body = bytes((MESSAGE,)) + number.to_bytes(3, "big") + content
    return body + make_tag(key, unit, body)


def verify_body(key: bytes, unit: str, data: bytes) -> bytes:
    """Give what came down without its tag; raises `DecodeError` when the tag is wrong."""
    body = data[:-TAG_BYTES]
    if len(data) <= TAG_BYTES or make_tag(key, unit, body) != data[-TAG_BYTES:]:
        raise DecodeError("the tag is wrong")
    return body


def parse_ack(body: bytes) -> "Ranges":
    """Read the body of an acknowledgement; raises `DecodeError`."""
    if len(body) < 5 or body[0] != ACK or (len(body) - 1) % 4:
        raise DecodeError("no acknowledgement")
    return [(int.from_bytes(body[i : i + 3], "big"), body[i + 3]) for i in range(1, len(body), 4)]
