# SPDX-License-Identifier: Apache-2.0
"""The emulated broker: literal packets, faults, clients of paho and mosquitto over sockets."""

from __future__ import annotations

from typing import Any

import pytest

from hil.devices.base import NEVER
from hil.devices.mqtt import packets, topics
from hil.devices.mqtt.broker import Broker, TcpReplies
from hil.devices.mqtt.packets import PacketType
from hil.devices.mqtt.session import QueuedPublish

SECOND = 1_000_000


PINGREQ = packets.build_packet(PacketType.PINGREQ)

# Literal packets.


def connect(client_id: str = "c", clean: bool = True, keepalive_s: int = 0, **more: Any) -> bytes:
    """Build a CONNECT; `more`: will_topic, will_payload, will_qos, will_retain, level."""
    will = "will_topic" in more
    flags = {
        "username": False,
        "password": False,
        "will_retain": more.get("will_retain", False),
        "will_qos": more.get("will_qos", 0),
        "will": will,
        "clean": clean,
        "reserved": False,
    }
    body = packets.CONNECT.build(
        {
            "protocol": "MQTT",
            "level": more.get("level", 4),
            "flags": flags,
            "keepalive_s": keepalive_s,
            "client_id": client_id,
            "will_topic": more.get("will_topic"),
            "will_payload": more.get("will_payload"),
            "username": None,
            "password": None,
        }
    )
    return packets.build_packet(PacketType.CONNECT, body)


def publish(topic: str, payload: bytes, number: int = 0, qos: int = 0, flags: int = 0) -> bytes:
    fields = {"topic": topic, "id": number, "payload": payload}
    body = (packets.PUBLISH_WITH_ID if qos else packets.PUBLISH).build(fields)
    return packets.build_packet(PacketType.PUBLISH, body, qos << 1 | flags)


def subscribe(pattern: str, qos: int = 1, number: int = 1) -> bytes:
    body = packets.SUBSCRIBE.build({"id": number, "wanted": [{"filter": pattern, "qos": qos}]})
    return packets.build_packet(PacketType.SUBSCRIBE, body, 2)


def sent_bytes(out: TcpReplies, conn: int) -> bytes:
    """Return all bytes for one connection; b"CLOSE" where it is closed."""
    return b"".join(b"CLOSE" if data is None else data for c, _, data in out if c == conn)


def send_in_session(broker: Broker, conn: int, packet: bytes = b"", now: int = 0) -> bytes:
    """Open a connection, send CONNECT and the data; return the output."""
    broker.opened(conn, now)
    return sent_bytes(broker.receive(conn, packet or connect(f"c{conn}"), now), conn)


def test_literal_packets() -> None:
    # Written manually from MQTT 3.1.1: CONNECT as "a", clean, keepalive 60; PUBLISH QoS 1 id 10.
    broker = Broker()
    broker.opened(1, 0)
    out = broker.receive(1, bytes.fromhex("100d00044d515454040200 3c000161"), 0)
    assert out == [(1, 0, bytes.fromhex("20020000"))]
    out = broker.receive(1, bytes.fromhex("3207 0003612f62 000a"), 5)
    assert out == [(1, 0, bytes.fromhex("4002000a"))]
    assert list(broker.recent_messages["a/b"]) == [QueuedPublish("a/b", b"", 1, False, 5)]
    assert broker.receive(1, bytes.fromhex("c000"), 6) == [(1, 0, bytes.fromhex("d000"))]
    assert broker.receive(1, bytes.fromhex("8208 0001 0003612f23 01"), 7) == [
        (1, 0, bytes.fromhex("9003000101"))
    ]
    assert broker.receive(1, bytes.fromhex("3006 0003612f6258"), 8) == [
        (1, 0, bytes.fromhex("3006 0003612f6258"))
    ]
    assert broker.receive(1, bytes.fromhex("e000"), 9) == [(1, 0, None)]
    assert broker.client_ids == []


@pytest.mark.parametrize("size", [1, 2, 5])
def test_split_packets(size: int) -> None:
    broker = Broker()
    broker.opened(1, 0)
    stream = connect() + publish("t", b"x" * 300, 7, qos=1) + PINGREQ
    out: TcpReplies = []
    for i in range(0, len(stream), size):
        out += broker.receive(1, stream[i : i + size], i)
    assert sent_bytes(out, 1) == b"\x20\x02\x00\x00\x40\x02\x00\x07\xd0\x00"


@pytest.mark.parametrize(
    ("pattern", "topic", "is_match"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("+/+", "/a", True),
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "ab", False),
        ("+/b/#", "a/b/c/d", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/b", "a/B", False),
        ("a/b/", "a/b", False),
    ],
)
def test_wildcards(pattern: str, topic: str, is_match: bool) -> None:
    assert topics.matches(pattern, topic) is is_match


def test_filters_and_topics_are_checked() -> None:
    assert [f for f in ("a", "#", "+", "a/+/b", "a/#", "/") if not topics.is_filter_valid(f)] == []
    assert [f for f in ("", "a#", "#/a", "a+", "a\0") if topics.is_filter_valid(f)] == []
    broker = Broker()
    send_in_session(broker, 1)
    assert sent_bytes(broker.receive(1, subscribe("a#"), 0), 1) == b"\x90\x03\x00\x01\x80"
    assert sent_bytes(broker.receive(1, publish("a/+", b""), 0), 1) == b"CLOSE"


@pytest.mark.parametrize(
    "bad",
    [
        b"\x00\x00",
        b"\xf0\x00",
        packets.build_packet(PacketType.CONNECT, b"", 0),
        connect(),  # a second CONNECT
        b"\x30\xff\xff\xff\xff\x01",  # length field of five bytes
        b"\x30\x87\x80\x80\x80\x00\x00\x03abcde",  # 7 in a length field of five bytes
        b"\x30\xff\xff\xff\x7f",  # announces 256 MB
        b"\x32\x05\x00\x03abc",  # QoS 1 without an id
        b"\x36\x07\x00\x03abc\x00\x01",  # QoS 3
        b"\x32\x07\x00\x03abc\x00\x00",  # id 0
        b"\x80\x07\x00\x01\x00\x02a/\x00",  # SUBSCRIBE without its flags
        b"\x82\x02\x00\x01",  # SUBSCRIBE without topics
        b"\x30\x05\x00\x03\xff\xfe\xfd",  # not UTF-8
        b"\x30\x04\x00\x09ab",  # topic longer than the packet
    ],
)
def test_invalid_packets_close_only_their_connection(bad: bytes) -> None:
    broker = Broker()
    send_in_session(broker, 1)
    send_in_session(broker, 2)
    assert sent_bytes(broker.receive(1, bad, 0), 1) == b"CLOSE"
    assert broker.client_ids == ["c2"]
    assert sent_bytes(broker.receive(2, PINGREQ, 0), 2) == b"\xd0\x00"


def test_first_packet_must_be_connect() -> None:
    broker = Broker()
    assert send_in_session(broker, 1, publish("a", b"")) == b"CLOSE"
    assert send_in_session(broker, 2, connect(level=5)) == b"\x20\x02\x00\x01CLOSE"
    assert send_in_session(broker, 3, connect("", clean=False)) == b"\x20\x02\x00\x02CLOSE"
    assert send_in_session(broker, 4, connect("")) == b"\x20\x02\x00\x00"
    assert broker.client_ids == ["auto-1"]


def test_keepalive_timeout_closes_connection() -> None:
    broker = Broker()
    broker.opened(1, 0)
    assert broker.deadline() == 10 * SECOND
    send_in_session(broker, 2, connect("k", keepalive_s=4), now=SECOND)
    assert broker.deadline() == 7 * SECOND
    broker.receive(2, PINGREQ, 6 * SECOND)
    assert broker.wake(7 * SECOND) == []
    assert broker.wake(10 * SECOND) == [(1, 0, None)]
    assert broker.wake(12 * SECOND) == [(2, 0, None)]
    assert broker.counters.timeouts == 2
    assert broker.deadline() == NEVER


def test_bytes_without_a_packet_do_not_keep_a_connection() -> None:
    """A client lost power in a packet on a serial line: its CONNECTs must not fill that packet."""
    broker = Broker()
    send_in_session(broker, 1, connect("k", keepalive_s=4), now=SECOND)
    broker.receive(1, publish("a", bytes(5000))[:100], 2 * SECOND)
    for second in range(3, 7):
        broker.receive(1, connect("k", keepalive_s=4), second * SECOND)
    assert broker.wake(7 * SECOND) == [(1, 0, None)]


def test_will_is_published_unless_client_disconnects() -> None:
    will: dict[str, Any] = {
        "will_topic": "w",
        "will_payload": b"gone",
        "will_qos": 1,
        "will_retain": True,
    }
    broker = Broker()
    send_in_session(broker, 1)
    broker.receive(1, subscribe("w", qos=0), 0)
    send_in_session(broker, 2, connect("polite", **will))
    assert sent_bytes(broker.receive(2, packets.build_packet(PacketType.DISCONNECT), 0), 1) == b""
    send_in_session(broker, 3, connect("rude", **will))
    assert sent_bytes(broker.closed(3, 0), 1) == publish("w", b"gone")
    assert broker.closed(3, 0) == []
    send_in_session(broker, 4, connect("silent", keepalive_s=1, **will))
    assert sent_bytes(broker.wake(2 * SECOND), 1) == publish("w", b"gone")
    assert broker.counters.wills == 2
    assert broker.retained["w"].payload == b"gone"


def test_retained_messages() -> None:
    broker = Broker()
    send_in_session(broker, 1)
    broker.receive(1, publish("a/x", b"1", flags=1), 0)
    broker.receive(1, publish("a/y", b"2"), 0)
    out = sent_bytes(broker.receive(1, subscribe("a/#", qos=0), 0), 1)
    assert out == b"\x90\x03\x00\x01\x00" + publish("a/x", b"1", flags=1)
    assert sent_bytes(broker.receive(1, publish("a/x", b"3", flags=1), 0), 1) == publish(
        "a/x", b"3"
    )
    broker.receive(1, publish("a/x", b"", flags=1), 0)
    assert broker.retained == {}


def test_qos_is_the_lower_of_both() -> None:
    broker = Broker()
    send_in_session(broker, 1)
    send_in_session(broker, 2)
    broker.receive(1, subscribe("a", qos=0), 0)
    broker.receive(2, subscribe("a", qos=2), 0)
    out = broker.publish("a", b"x", 0, qos=1)
    assert sent_bytes(out, 1) == publish("a", b"x")
    assert sent_bytes(out, 2) == publish("a", b"x", 1, qos=1)


def test_overlapping_subscriptions_deliver_once() -> None:
    broker = Broker()
    send_in_session(broker, 1)
    broker.receive(1, subscribe("a/#", qos=0), 0)
    broker.receive(1, subscribe("a/+", qos=1), 0)
    assert sent_bytes(broker.publish("a/b", b"x", 0), 1) == publish("a/b", b"x", 1, qos=1)


def test_persistent_session_queues_and_resends_with_dup() -> None:
    broker = Broker()
    assert send_in_session(broker, 1, connect("s", clean=False)) == b"\x20\x02\x00\x00"
    broker.receive(1, subscribe("a"), 0)
    assert sent_bytes(broker.publish("a", b"1", 0), 1) == publish("a", b"1", 1, qos=1)
    broker.closed(1, 0)
    broker.publish("a", b"2", 0)
    out = send_in_session(broker, 2, connect("s", clean=False))
    again = publish("a", b"1", 1, qos=1, flags=8)
    assert out == b"\x20\x02\x01\x00" + again + publish("a", b"2", 2, qos=1)
    for number in (1, 2):
        broker.receive(2, packets.build_packet(PacketType.PUBACK, bytes((0, number))), 0)
    broker.closed(2, 0)
    assert send_in_session(broker, 3, connect("s", clean=False)) == b"\x20\x02\x01\x00"
    assert send_in_session(broker, 4, connect("s", clean=True)) == b"\x20\x02\x00\x00"


def test_second_connection_of_client_closes_the_first() -> None:
    broker = Broker()
    send_in_session(broker, 1, connect("same", clean=False))
    broker.opened(2, 0)
    out = broker.receive(2, connect("same", clean=False), 0)
    assert out == [(1, 0, None), (2, 0, b"\x20\x02\x01\x00")]
    assert broker.receive(1, PINGREQ, 0) == [(1, 0, None)]


def test_window_and_queue_are_bounded() -> None:
    broker = Broker()
    send_in_session(broker, 1, connect("s", clean=False))
    broker.receive(1, subscribe("a"), 0)
    sent = sum(len(broker.publish("a", b"x", 0)) for _ in range(1100))
    assert sent == 20
    assert broker.counters.queue_dropped == 80
    assert len(broker.receive(1, packets.build_packet(PacketType.PUBACK, b"\0\1"), 0)) == 1


def test_qos_2_publisher_is_served_once() -> None:
    broker = Broker()
    send_in_session(broker, 1)
    for _ in range(2):
        out = broker.receive(1, publish("a", b"x", 5, qos=2), 0)
        assert sent_bytes(out, 1) == b"\x50\x02\x00\x05"
    assert broker.counters.published == 1
    assert sent_bytes(broker.receive(1, b"\x62\x02\x00\x05", 0), 1) == b"\x70\x02\x00\x05"


def test_topics_and_history_are_bounded() -> None:
    broker = Broker(max_recent=3)
    for i in range(1500):
        broker.publish(f"t/{i}", b"", 0, retain=True)
        broker.publish("same", str(i).encode(), 0)
    assert len(broker.recent_messages) <= 1000
    assert [m.payload for m in broker.recent_messages["same"]] == [b"1497", b"1498", b"1499"]


# Faults.


def test_down_closes_and_refuses_connections_without_wills() -> None:
    broker = Broker()
    send_in_session(broker, 1, connect("s", clean=False, will_topic="w", will_payload=b"x"))
    broker.down = True
    assert broker.deadline() == 0
    assert broker.wake(5) == [(1, 0, None)]
    assert broker.deadline() == NEVER
    assert broker.opened(2, 6) == [(2, 0, None)]
    assert "w" not in broker.recent_messages
    broker.down = False
    assert send_in_session(broker, 3, connect("s", clean=False)) == b"\x20\x02\x01\x00"


def test_down_closes_connection_at_next_received_bytes() -> None:
    broker = Broker()
    send_in_session(broker, 1)
    send_in_session(broker, 2)
    broker.down = True
    out = broker.receive(1, publish("a", b"x", 1, qos=1), 5)
    assert sorted(out) == [(1, 0, None), (2, 0, None)]
    assert broker.counters.published == 0


def test_slow_and_dropped_acknowledgements() -> None:
    broker = Broker()
    send_in_session(broker, 1)
    broker.slow_acks_us = 700_000
    broker.drop_next_acks = 1
    assert broker.receive(1, publish("a", b"x", 1, qos=1), 0) == []
    out = broker.receive(1, publish("a", b"x", 1, qos=1, flags=8), 0)
    assert out == [(1, 700_000, b"\x40\x02\x00\x01")]
    counters = broker.counters
    assert (counters.published, counters.acked, counters.acks_dropped) == (2, 1, 1)


def test_connack_code_silence_and_lost_session() -> None:
    broker = Broker()
    broker.connack_code = 3
    assert send_in_session(broker, 1) == b"\x20\x02\x00\x03CLOSE"
    broker.connack_code = 0
    send_in_session(broker, 2, connect("s", clean=False))
    broker.silent = True
    assert broker.receive(2, PINGREQ, 0) == []
    broker.silent = False
    broker.closed(2, 0)
    broker.lose_session = True
    assert send_in_session(broker, 3, connect("s", clean=False)) == b"\x20\x02\x00\x00"


# Real clients over real sockets.
