# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 CONNECT, the first packet of a client [3.1].

Does not decode it. A client encodes it once, when it is built; a board unloads this module then.
"""

from protocols.errors import EncodeError
from protocols.mqtt import packets

_CONNECT_HEAD = b"\x00\x04MQTT\x04"


def encode_binary(raw: bytes) -> bytes:
    """Return length and bytes of a will or a password; `EncodeError` over 65,535."""
    size = len(raw)
    if size > 65_535:
        raise EncodeError("%d bytes where MQTT carries 65535" % size)
    return bytes((size >> 8, size & 0xFF)) + raw


def connect(
    client_id: str,
    keepalive_s: int,
    clean_session: bool,
    will: "packets.Will | None" = None,
    username: "str | None" = None,
    password: "str | bytes | None" = None,
) -> bytes:
    """Encode CONNECT. `will` is (topic, payload, QoS 0 or 1, retain)."""
    if not 0 <= keepalive_s <= 65_535:
        raise EncodeError("keep alive of %d s is not 0 to 65535" % keepalive_s)
    if not client_id and not clean_session:
        raise EncodeError("a client without an id needs a clean session")  # [3.1.3-7]
    if password is not None and username is None:
        raise EncodeError("a password needs a user name")  # [3.1.2-22]
    flags = 0x02 if clean_session else 0
    payload = packets.encode_text(client_id)
    if will is not None:
        topic, message, qos, retain = will
        flags |= 0x04 | packets.check_qos(qos) << 3 | (0x20 if retain else 0)
        payload += packets.encode_topic(topic) + encode_binary(message)
    if username is not None:
        flags |= 0x80
        payload += packets.encode_text(username)
    if password is not None:
        flags |= 0x40
        if isinstance(password, bytes):
            payload += encode_binary(password)
        else:
            payload += packets.encode_text(password)
    keepalive = bytes((keepalive_s >> 8, keepalive_s & 0xFF))
    return packets.build_packet(0x10, _CONNECT_HEAD + bytes((flags,)) + keepalive + payload)
