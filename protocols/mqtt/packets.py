# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 control packets of a client: encoders and decoders. CONNECT is in `connect_packet`.

Encoders return complete packets and raise `EncodeError` for values that the protocol cannot carry.
Decoders take the first byte and the body of a `PacketReader` packet. They raise `DecodeError` with
the broken rule. Does not support QoS 2 and keeps no state. The numbers in brackets are the rules of
the OASIS standard "MQTT Version 3.1.1" (29 October 2014).
"""

from protocols.errors import DecodeError, EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Will = tuple[str, bytes, int, bool]
    Message = tuple[str, bytes, int, bool, int]

CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
SUBACK = 0x90
PINGRESP = 0xD0

SKIPPED = 0x100
"""In place of the first byte: a PUBLISH that was longer than `max_packet`."""
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

DUP = 0x08
RETAIN = 0x01
FAILURE = 0x80
"""SUBACK's "granted" for a subscription that the server rejected."""

_MAX_BODY = 268_435_455  # four bytes of remaining length [2.2.3]


def encode_text(text: str) -> bytes:
    """Return length and UTF-8 of a text [1.5.3]; `EncodeError` over 65,535 bytes or with U+0000."""
    raw = _encode_utf8(text)
    if raw is None:
        raise EncodeError("%r is not text that MQTT carries" % text)
    size = len(raw)
    if size > 65_535:
        raise EncodeError("%d bytes where MQTT carries 65535" % size)
    return bytes((size >> 8, size & 0xFF)) + raw


def _encode_utf8(text: str) -> "bytes | None":
    try:
        raw = text.encode()
        check_utf8(raw)
    except (DecodeError, UnicodeError):
        return None
    return raw


def encode_topic(topic: str) -> bytes:
    """Encode a topic to publish to: text, not empty, no wildcards [4.7.1-1, 4.7.3-1]."""
    if not topic or "+" in topic or "#" in topic:
        raise EncodeError("%r is no topic to publish to" % topic)
    return encode_text(topic)


def encode_filter(topic: str) -> bytes:
    """Encode a topic filter: a wildcard fills a whole level, `#` only the last one [4.7.1]."""
    levels = topic.split("/")
    if levels[-1] == "#":
        levels[-1] = ""
    for level in levels:
        if "#" in level or ("+" in level and level != "+"):
            raise EncodeError("%r is no topic to subscribe to" % topic)
    if not topic:
        raise EncodeError("a topic to subscribe to is empty")
    return encode_text(topic)


def build_packet(first: int, body: bytes) -> bytes:
    """Return first byte, remaining length [2.2.3], body."""
    size = len(body)
    if size < 128:
        return bytes((first, size)) + body
    if size > _MAX_BODY:
        raise EncodeError("%d bytes where MQTT carries %d" % (size, _MAX_BODY))
    head = bytearray((first,))
    while size > 127:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + body


def check_qos(qos: int) -> int:
    """Return the QoS if it is 0 or 1; else `EncodeError`."""
    if qos not in (0, 1):
        raise EncodeError("QoS %r is not 0 or 1" % (qos,))
    return qos


def publish(topic: bytes, payload: bytes, retain: bool, packet_id: int = 0) -> bytes:
    """Encode PUBLISH to a topic from `encode_topic`; QoS 1 if there is a packet id."""
    first = PUBLISH | RETAIN if retain else PUBLISH
    if not packet_id:
        return build_packet(first, topic + payload)
    return build_packet(first | 0x02, topic + bytes((packet_id >> 8, packet_id & 0xFF)) + payload)


def duplicate(publish_packet: bytes) -> bytes:
    """Return the same PUBLISH with DUP set [3.3.1-1]."""
    return bytes((publish_packet[0] | DUP,)) + publish_packet[1:]


def puback(packet_id: int) -> bytes:
    """Encode PUBACK."""
    return bytes((PUBACK, 2, packet_id >> 8, packet_id & 0xFF))


def subscribe(packet_id: int, topic: str, qos: int) -> bytes:
    """Encode SUBSCRIBE to one topic filter."""
    head = bytes((packet_id >> 8, packet_id & 0xFF))
    return build_packet(0x82, head + encode_filter(topic) + bytes((check_qos(qos),)))


def decode_connack(body: bytes) -> "tuple[bool, int]":
    """Return (session present, return code: 0 accepted, 1 to 5 refused) [3.2]."""
    if len(body) != 2:
        raise DecodeError("CONNACK of %d bytes" % len(body))
    if body[0] > 1 or body[1] > 5 or (body[0] and body[1]):
        raise DecodeError("CONNACK with %02x %02x" % (body[0], body[1]))
    return body[0] == 1, body[1]


def decode_puback(body: bytes) -> int:
    """Return the packet id [3.4]."""
    if len(body) != 2:
        raise DecodeError("PUBACK of %d bytes" % len(body))
    return _decode_packet_id(body, 0)


def decode_suback(body: bytes) -> "tuple[int, int]":
    """Return (packet id, granted QoS or FAILURE) of a subscription to one topic [3.9]."""
    if len(body) != 3:
        raise DecodeError("SUBACK of %d bytes" % len(body))
    if body[2] not in (0, 1, FAILURE):
        raise DecodeError("SUBACK grants %02x" % body[2])
    return _decode_packet_id(body, 0), body[2]


def decode_publish(first: int, body: bytes) -> "Message":
    """Return (topic, payload, QoS, retain, packet id or 0) [3.3]. QoS 2 raises `DecodeError`."""
    qos = first >> 1 & 3
    if qos > 1:
        raise DecodeError("PUBLISH with QoS %d" % qos)
    if first & DUP and not qos:
        raise DecodeError("PUBLISH with DUP at QoS 0")  # [3.3.1-2]
    if len(body) < 2:
        raise DecodeError("PUBLISH without a topic")
    at = 2 + (body[0] << 8 | body[1])
    if at > len(body):
        raise DecodeError("PUBLISH with a topic longer than itself")
    topic = _decode_topic(body[2:at])
    if not qos:
        return topic, body[at:], 0, first & RETAIN == RETAIN, 0
    if at + 2 > len(body):
        raise DecodeError("PUBLISH without a packet id")
    return topic, body[at + 2 :], 1, first & RETAIN == RETAIN, _decode_packet_id(body, at)


def _decode_packet_id(body: bytes, at: int) -> int:
    packet_id = body[at] << 8 | body[at + 1]
    if not packet_id:
        raise DecodeError("packet id 0")  # [2.3.1-1]
    return packet_id


def _decode_topic(raw: bytes) -> str:
    if not raw or b"+" in raw or b"#" in raw:
        raise DecodeError("PUBLISH to no topic")  # [3.3.2-2]
    check_utf8(raw)
    return raw.decode()


def check_utf8(raw: bytes) -> None:
    """Raise `DecodeError` unless this is UTF-8 without U+0000 and surrogates [1.5.3].

    The check is here because MicroPython's own decoder accepts more than Unicode.
    """
    if raw and min(raw) > 0 and max(raw) < 0x80:
        return
    from protocols.mqtt.utf8_check import check_code_points  # noqa: PLC0415 - few units have such text

    check_code_points(raw)


class PacketReader:
    """Splits a stream into packets of at most `max_packet` bytes.

    It keeps less than one packet. After an error it accepts no bytes until `reset`. A longer
    PUBLISH is no error: the server would send it again after each connection. Its payload is
    dropped, and `feed` gives (`SKIPPED`, packet id). The id has 2 bytes, none with QoS 0.
    """

    __slots__ = ("_buffer", "_max_packet", "_to_skip", "error")

    def __init__(self, max_packet: int) -> None:
        self._max_packet = max_packet
        self._buffer = b""
        self._to_skip = 0
        self.error = ""

    def reset(self) -> None:
        """Start a new stream."""
        self._buffer = b""
        self._to_skip = 0
        self.error = ""

    def feed(self, data: bytes) -> "list[tuple[int, bytes]]":
        """Add a chunk; return the complete packets as (first byte, body).

        If the stream is unreadable, `error` names the reason.
        """
        found: list[tuple[int, bytes]] = []
        if self.error:
            return found
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            data = data[skipped:]
        buffer = self._buffer + data if self._buffer else data
        end = len(buffer)
        at = 0
        while end - at >= 2:
            size = buffer[at + 1]
            body = at + 2
            if size > 127:
                size, body = self._decode_long_size(buffer, at)
                if size < 0:
                    break
            if body + size - at > self._max_packet:
                after = self._skip_publish(buffer, at, body, size, found)
                if after < 0:
                    self.error = "packet of %d bytes" % (body + size - at)
                if after <= 0:
                    break
                at = after
                continue
            if body + size > end:
                break
            found.append((buffer[at], buffer[body : body + size]))
            at = body + size
        self._buffer = b"" if self.error else buffer[at:]
        return found

    def _skip_publish(
        self, buffer: bytes, at: int, body: int, size: int, found: "list[tuple[int, bytes]]"
    ) -> int:
        """Drop a PUBLISH that is too long. Return the index after it, or the end of the buffer.

        0: its topic and packet id are not complete; -1: it is no valid PUBLISH.
        """
        qos = buffer[at] >> 1 & 3
        end = len(buffer)
        id_at = body + 2 + (buffer[body] << 8 | buffer[body + 1]) if body + 2 <= end else 0
        head = id_at + 2 if qos else id_at
        is_publish = buffer[at] & 0xF0 == PUBLISH and qos < 2 and head - body <= size
        if not is_publish or head - at > self._max_packet:
            return -1
        if not id_at or head > end:
            return 0
        found.append((SKIPPED, buffer[id_at:head]))
        self._to_skip = max(0, body + size - end)
        return min(body + size, end)

    def _decode_long_size(self, buffer: bytes, at: int) -> "tuple[int, int]":
        """Return (remaining length, start of the body) of a length with several bytes; (-1, 0) to
        wait.
        """
        size = 0
        for index in range(4):
            offset = at + 1 + index
            if offset >= len(buffer):
                return -1, 0
            byte = buffer[offset]
            size |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return size, offset + 1
        self.error = "remaining length of more than 4 bytes"
        return -1, 0
