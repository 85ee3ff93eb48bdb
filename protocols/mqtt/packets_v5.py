# SPDX-License-Identifier: Apache-2.0
"""MQTT 5 control packets where they differ from 3.1.1 (`packets`): properties and reason codes.

Covers only the needs of the client: it reads the limits of a server and reason codes; it writes
session expiry, packet limit, message expiry and topic alias. Other properties are checked for their
form and skipped. The numbers in brackets are the rules of the OASIS standard "MQTT Version 5.0" (7
March 2019).
"""

from protocols.errors import DecodeError
from protocols.mqtt import packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    Properties = dict[int, int]
    """The numeric properties of a packet, by identifier."""

DISCONNECT = 0xE0
MESSAGE_EXPIRY, SESSION_EXPIRY, KEEP_ALIVE, PROBLEM_INFO = 0x02, 0x11, 0x13, 0x17
RECEIVE_MAXIMUM, ALIAS_MAXIMUM, ALIAS, MAXIMUM_QOS, MAXIMUM_PACKET = 0x21, 0x22, 0x23, 0x24, 0x27
FIRST_ERROR_CODE = 0x80
"""First reason code that means a failure."""
_TEXT, _PAIR, _VARIABLE = 7, 8, 9
_PROPERTY_TYPES = (
    b"\x00\x01\x04\x07\x00\x00\x00\x00\x07\x07\x00\x09\x00\x00\x00\x00\x00\x04\x07\x02\x00\x07\x07"
    b"\x01\x04\x01\x07\x00\x07\x00\x00\x07\x00\x02\x02\x02\x01\x01\x08\x04\x01\x01\x01"
)
"""By property: bytes of its number, or one of the types above; 0: no such property [2.2.2.2]."""
_NO_EXPIRY = 0xFFFFFFFF


def encode_variable(number: int) -> bytes:
    """Encode a variable byte integer [1.5.5]."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_property(ident: int, value: int) -> bytes:
    """Encode a numeric property."""
    size = _PROPERTY_TYPES[ident]
    return bytes([ident] + [value >> 8 * (size - 1 - i) & 255 for i in range(size)])


def connect(v3_packet: bytes, max_packet: int) -> bytes:
    """Convert a CONNECT of `connect_packet.connect` to version 5.

    A persistent session never expires, as in 3.1.1.
    """
    at = 1
    while v3_packet[at] > 127:
        at += 1
    head, rest = bytearray(v3_packet[at + 1 : at + 11]), v3_packet[at + 11 :]
    head[6] = 5
    properties = encode_property(PROBLEM_INFO, 0) + encode_property(MAXIMUM_PACKET, max_packet)
    if not head[7] & 0x02:
        properties = encode_property(SESSION_EXPIRY, _NO_EXPIRY) + properties
    end = 2 + (rest[0] << 8 | rest[1])
    will = b"\x00" if head[7] & 0x04 else b""
    body = (
        bytes(head) + encode_variable(len(properties)) + properties + rest[:end] + will + rest[end:]
    )
    return packets.build_packet(0x10, body)


def publish(
    topic: bytes, payload: bytes, retain: bool, packet_id: int, properties: bytes = b""
) -> bytes:
    """Encode PUBLISH; see `packets.publish`."""
    id_bytes = bytes((packet_id >> 8, packet_id & 0xFF)) if packet_id else b""
    first = packets.PUBLISH | (packets.RETAIN if retain else 0) | (0x02 if packet_id else 0)
    return packets.build_packet(
        first, topic + id_bytes + bytes((len(properties),)) + properties + payload
    )


def subscribe(packet_id: int, topic: str, qos: int) -> bytes:
    """Encode SUBSCRIBE to one topic filter."""
    head = bytes((packet_id >> 8, packet_id & 0xFF, 0))
    options = bytes((packets.check_qos(qos),))
    return packets.build_packet(0x82, head + packets.encode_filter(topic) + options)


def _decode_variable(body: bytes, at: int) -> "tuple[int, int]":
    number = 0
    for shift in (0, 7, 14, 21):
        if at >= len(body):
            break
        byte = body[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise DecodeError("a length that is cut off or too long")


def decode_properties(body: bytes, at: int) -> "tuple[Properties, int]":
    """Return the properties at `at` and the index of their end. Each is allowed once [2.2.2.2]."""
    size, at = _decode_variable(body, at)
    end = at + size
    found: Properties = {}
    if end > len(body):
        raise DecodeError("properties that are cut off")
    while at < end:
        ident = body[at]
        property_type = _PROPERTY_TYPES[ident] if ident < len(_PROPERTY_TYPES) else 0
        if not property_type or (ident in found and ident != 0x26):
            raise DecodeError("property %02x" % ident)
        found[ident], at = _decode_value(body, property_type, at + 1)
    if at > end:
        raise DecodeError("a property that is cut off")
    return found, end


def _decode_value(body: bytes, property_type: int, at: int) -> "tuple[int, int]":
    """Return (value, end) of a property, 0 for a text; a truncated one ends beyond the end."""
    if property_type == _VARIABLE:
        return _decode_variable(body, at)
    if property_type < _TEXT:
        number = 0
        for byte in body[at : at + property_type]:
            number = number << 8 | byte
        return number, at + property_type
    for _ in range(1 if property_type == _TEXT else 2):
        if at + 2 > len(body):
            return 0, len(body) + 1
        at += 2 + (body[at] << 8 | body[at + 1])
    return 0, at


def decode_connack(body: bytes) -> "tuple[bool, int, Properties]":
    """Return (session present, reason code, properties) [3.2]; also reads a 3.1.1 rejection."""
    if len(body) == 2 and body[1]:
        return False, body[1], {}
    if len(body) < 3 or body[0] > 1 or 0 < body[1] < FIRST_ERROR_CODE or (body[0] and body[1]):
        raise DecodeError("CONNACK of %d bytes, %s" % (len(body), list(body[:2])))
    properties, end = decode_properties(body, 2)
    if end != len(body) or not properties.get(RECEIVE_MAXIMUM, 1):
        raise DecodeError("CONNACK with properties that cannot be")
    return body[0] == 1, body[1], properties


def decode_reason(body: bytes, at: int) -> int:
    """Return the reason code at `at`, 0 if absent, and check the bytes after it."""
    if len(body) <= at:
        return 0
    if len(body) > at + 1 and decode_properties(body, at + 1)[1] != len(body):
        raise DecodeError("bytes behind the properties")
    return body[at]


def decode_puback(body: bytes) -> int:
    """Return the packet id [3.4]. A rejection raises `DecodeError`, so that no loss stays
    unnoticed.
    """
    code = decode_reason(body, 2)
    if code >= FIRST_ERROR_CODE:
        raise DecodeError("PUBACK refuses with reason %d" % code)
    return packets.decode_puback(body[:2])


def decode_suback(body: bytes) -> "tuple[int, int]":
    """Return (packet id, granted QoS or FAILURE) of a subscription to one topic [3.9]."""
    if len(body) < 4:
        raise DecodeError("SUBACK of %d bytes" % len(body))
    codes = body[decode_properties(body, 2)[1] :]
    if len(codes) == 1 and codes[0] >= FIRST_ERROR_CODE:
        codes = bytes((packets.FAILURE,))
    return packets.decode_suback(body[:2] + codes)


def decode_publish(first: int, body: bytes) -> "packets.Message":
    """See `packets.decode_publish`. A topic alias raises `DecodeError`; the client allows none."""
    at = 2 + (body[0] << 8 | body[1]) if len(body) >= 2 else 0
    at += 2 if first & 0x06 else 0
    properties, end = decode_properties(body, at)
    if ALIAS in properties:
        raise DecodeError("PUBLISH with an alias")  # [3.3.2-9]
    return packets.decode_publish(first, body[:at] + body[end:])
