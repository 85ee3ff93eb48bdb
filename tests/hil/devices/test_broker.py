# SPDX-License-Identifier: Apache-2.0
"""The emulated broker: literal packets, faults, clients of paho and mosquitto over sockets."""

from __future__ import annotations

import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.ops.mqtt_session import disconnect
from hil.devices.base import NEVER
from hil.devices.mqtt import packets, topics
from hil.devices.mqtt.broker import Broker, TcpReplies
from hil.devices.mqtt.packets import PacketType
from hil.devices.mqtt.session import QueuedPublish
from tests.support.cli_tools import TIMEOUT_S

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


class ServedBroker:
    """The broker at a loopback TCP port, in a thread."""

    def __init__(self) -> None:
        self.broker = Broker()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, 0)
        self._sockets: dict[int, socket.socket] = {}
        self._scheduled: list[tuple[int, int, bytes | None]] = []
        self._stop = False
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    @staticmethod
    def now() -> int:
        return time.monotonic_ns() // 1000

    def _loop(self) -> None:
        while not self._stop:
            for key, _ in self._selector.select(0.01):
                self._accept() if key.data == 0 else self._read(key.data)
            if self.broker.deadline() <= self.now():
                self._schedule_output(self.broker.wake(self.now()))
            due = [item for item in self._scheduled if item[0] <= self.now()]
            self._scheduled = [item for item in self._scheduled if item not in due]
            for _, conn, data in due:
                self._send(conn, data)

    def _accept(self) -> None:
        conn = len(self._sockets) + 1
        self._sockets[conn] = self._listener.accept()[0]
        self._selector.register(self._sockets[conn], selectors.EVENT_READ, conn)
        self._schedule_output(self.broker.opened(conn, self.now()))

    def _read(self, conn: int) -> None:
        try:
            data = self._sockets[conn].recv(65536)
        except ConnectionError:
            data = b""
        if data:
            self._schedule_output(self.broker.receive(conn, data, self.now()))
        else:
            self._send(conn, None)
            self._schedule_output(self.broker.closed(conn, self.now()))

    def _schedule_output(self, out: TcpReplies) -> None:
        for conn, delay, data in out:
            if delay:
                self._scheduled.append((self.now() + delay, conn, data))
            else:
                self._send(conn, data)

    def _send(self, conn: int, data: bytes | None) -> None:
        sock = self._sockets[conn]
        if sock.fileno() < 0:
            return
        if data is None:
            self._selector.unregister(sock)
            sock.close()
            return
        try:
            sock.sendall(data)
        except ConnectionError:
            self._selector.unregister(sock)
            sock.close()
            self._schedule_output(self.broker.closed(conn, self.now()))

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        self._selector.close()
        self._listener.close()
        for sock in self._sockets.values():
            sock.close()


@pytest.fixture
def served() -> Iterator[ServedBroker]:
    server = ServedBroker()
    yield server
    server.close()


def wait_for(condition: Any, seconds: float = TIMEOUT_S) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def paho_client(served: ServedBroker, client_id: str, clean: bool = True) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", served.port, keepalive=5)
    client.loop_start()
    return client


def test_paho_both_ways(served: ServedBroker) -> None:
    messages: list[tuple[str, bytes, int]] = []
    client = paho_client(served, "p1")
    client.on_message = lambda _c, _u, m: messages.append((m.topic, bytes(m.payload), m.qos))
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.subscribe("row/#", qos=1)
    assert ready.wait(TIMEOUT_S)
    for i in range(50):
        client.publish("row/a", str(i), qos=1)
    last = client.publish("row/b", b"z" * 20_000, qos=2)
    last.wait_for_publish(TIMEOUT_S)
    assert wait_for(lambda: len(messages) == 51)
    assert [payload for _, payload, _ in messages[:50]] == [str(i).encode() for i in range(50)]
    assert messages[50] == ("row/b", b"z" * 20_000, 1)
    disconnect(client)
    assert wait_for(lambda: served.broker.client_ids == [])
    assert served.broker.counters.published == 51


def test_paho_survives_dropped_acknowledgements_and_restart(served: ServedBroker) -> None:
    client = paho_client(served, "p2", clean=False)
    served.broker.drop_next_acks = 1
    lost = client.publish("a", b"1", qos=1)
    assert wait_for(lambda: served.broker.counters.published == 1)
    assert not lost.is_published()
    served.broker.down = True
    assert wait_for(lambda: served.broker.client_ids == [])
    served.broker.down = False
    lost.wait_for_publish(TIMEOUT_S)
    assert lost.is_published()
    assert [m.payload for m in served.broker.recent_messages["a"]] == [b"1", b"1"]
    disconnect(client)


def mosquitto(tool: str, served: ServedBroker, *arguments: str) -> subprocess.Popen[bytes]:
    path = shutil.which(tool)
    if path is None:
        pytest.skip("program missing: mosquitto-clients")
    command = [path, "-h", "127.0.0.1", "-p", str(served.port), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_mosquitto_clients(served: ServedBroker) -> None:
    listener = mosquitto("mosquitto_sub", served, "-t", "site/+/tele", "-q", "1", "-C", "3", "-v")
    assert wait_for(lambda: len(served.broker.client_ids) == 1)
    sessions = served.broker._sessions
    assert wait_for(lambda: any(each.subscriptions for each in list(sessions.values())))
    for qos in ("0", "1", "2"):
        sender = mosquitto(
            "mosquitto_pub", served, "-t", "site/u1/tele", "-m", f"hello {qos}", "-q", qos
        )
        assert sender.communicate(timeout=TIMEOUT_S)[0] == b""
        assert sender.returncode == 0
    output, _ = listener.communicate(timeout=TIMEOUT_S)
    assert output.splitlines() == [b"site/u1/tele hello %d" % i for i in range(3)]


def test_mosquitto_receives_retained_messages_and_will(served: ServedBroker) -> None:
    sender = mosquitto("mosquitto_pub", served, "-t", "s/state", "-m", "up", "-r", "-q", "1")
    sender.communicate(timeout=TIMEOUT_S)
    killed_client = mosquitto(
        "mosquitto_sub", served, "-t", "none", "-i", "rude",
        "--will-topic", "s/state", "--will-payload", "down", "--will-retain",
    )  # fmt: skip
    assert wait_for(lambda: "rude" in served.broker.client_ids)
    first = mosquitto("mosquitto_sub", served, "-t", "s/#", "-C", "1")
    assert first.communicate(timeout=TIMEOUT_S)[0] == b"up\n"
    killed_client.kill()
    killed_client.communicate(timeout=TIMEOUT_S)
    assert wait_for(lambda: served.broker.retained["s/state"].payload == b"down")
