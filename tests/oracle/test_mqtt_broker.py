"""The MQTT client against mosquitto, with paho-mqtt as the other reader and writer."""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.ops.mqtt_session import leave
from protocols.mqtt.client import Client
from protocols.mqtt.client_v5 import Client5
from tests.support.peers import free_port, need, wait_until_open
from tests.support.repository import ROOT, micropython_environment
from tests.support.runtime_rig import INTERPRETERS

LIMIT_S = 10.0
TELE = "coldloop/v1/site/unit-one/tele"


@contextlib.contextmanager
def mosquitto(folder: Path, *settings: str) -> Iterator[int]:
    """A mosquitto of our own on a free loopback port; gives the port.

    Two of them rather than one with two listeners: with per_listener_settings mosquitto 2.0.21
    keeps nothing for a session that is away.
    """
    program = need("mosquitto")
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([f"listener {port} 127.0.0.1", "persistence false", *settings, ""]))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log) as process,
    ):
        try:
            wait_until_open(port)
            yield port
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker that takes anybody."""
    with mosquitto(tmp_path_factory.mktemp("open"), "allow_anonymous true") as port:
        yield port


@pytest.fixture(scope="module")
def locked_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker that takes nobody."""
    with mosquitto(tmp_path_factory.mktemp("locked"), "allow_anonymous false") as port:
        yield port


def now_us() -> int:
    return time.monotonic_ns() // 1000


class Link:
    """A blocking socket that turns our client, as a shell does."""

    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self.seen: list[tuple[object, ...]] = []
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        client.opened(now_us())

    def turn(self) -> None:
        for packet in self.client.out():
            self.socket.sendall(packet)
        self.socket.settimeout(0.02)
        try:
            data = self.socket.recv(4096)
        except TimeoutError:
            pass
        else:
            assert data, "the broker closed the connection"
            self.client.receive(data, now_us())
        self.client.wake(now_us())
        self.seen += self.client.events()

    def until(self, kind: str) -> tuple[object, ...]:
        """Turn until an event of this kind comes; it is taken out of `seen`."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            for event in self.seen:
                if event[0] == kind:
                    self.seen.remove(event)
                    return event
            self.turn()
        pytest.fail(f"no {kind} event; seen {self.seen}")

    def drop(self) -> None:
        """The link dies without a DISCONNECT."""
        self.socket.close()
        self.client.closed(now_us())


class Other:
    """paho in a thread of its own: subscribed to one topic, and able to publish."""

    def __init__(self, port: int, topic: str) -> None:
        self.messages: queue.Queue[tuple[str, bytes, int, bool]] = queue.Queue()
        self.ready: queue.Queue[bool] = queue.Queue()
        make: Any = paho.Client  # typeshed's stubs are those of paho 1
        self.paho = make(CallbackAPIVersion.VERSION2)
        self.paho.on_message = lambda _client, _data, message: self.messages.put(
            (message.topic, message.payload, message.qos, bool(message.retain))
        )
        self.paho.on_subscribe = lambda *_: self.ready.put(True)
        self.paho.connect("127.0.0.1", port)
        self.paho.subscribe(topic, 1)
        self.paho.loop_start()
        self.ready.get(timeout=LIMIT_S)

    def next(self) -> tuple[str, bytes, int, bool]:
        return self.messages.get(timeout=LIMIT_S)

    def close(self) -> None:
        leave(self.paho)


Connect = Callable[[Client, int], Link]


@pytest.fixture(params=[Client, Client5])
def kind(request: pytest.FixtureRequest) -> type[Client]:
    """The client of each version of MQTT."""
    found: type[Client] = request.param
    return found


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes links and closes them in the end."""
    made: list[Link] = []

    def make(client: Client, port: int) -> Link:
        made.append(Link(client, port))
        return made[-1]

    yield make
    for link in made:
        link.socket.close()


@pytest.fixture
def other(broker: int) -> Iterator[Callable[[str], Other]]:
    made: list[Other] = []

    def make(topic: str) -> Other:
        made.append(Other(broker, topic))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_publish_and_acknowledge(
    connect: Connect, kind: type[Client], broker: int, other: Callable[[str], Other]
) -> None:
    reader = other("pub/#")
    link = connect(kind("pub", clean_session=True), broker)
    assert link.until("connected") == ("connected", False)
    big = bytes(range(256)) * 30
    assert link.client.publish("pub/zero", b"0", 0)
    assert link.client.publish("pub/one", b"1", 1, False, "tag")
    assert link.client.publish("pub/big", big, 1, False, "big")
    assert link.until("acknowledged") == ("acknowledged", "tag")
    assert link.until("acknowledged") == ("acknowledged", "big")
    assert reader.next() == ("pub/zero", b"0", 0, False)
    assert reader.next() == ("pub/one", b"1", 1, False)
    assert reader.next() == ("pub/big", big, 1, False)
    link.drop()


def test_retained(
    connect: Connect, kind: type[Client], broker: int, other: Callable[[str], Other]
) -> None:
    link = connect(kind("retain", clean_session=True), broker)
    link.until("connected")
    assert link.client.publish("retain/state", b"kept", 1, True, 1)
    link.until("acknowledged")
    assert other("retain/state").next() == ("retain/state", b"kept", 1, True)
    assert link.client.subscribe("retain/+", 1)
    assert link.until("subscribed") == ("subscribed", "retain/+", 1)
    assert link.until("message") == ("message", "retain/state", b"kept", 1, True)
    link.drop()


def test_the_will_is_sent_when_the_link_dies(
    connect: Connect, kind: type[Client], broker: int, other: Callable[[str], Other]
) -> None:
    reader = other(f"will/{kind.__name__}")
    will = (f"will/{kind.__name__}", b"gone", 1, True)
    link = connect(kind("will", will=will), broker)
    link.until("connected")
    link.drop()
    assert reader.next() == (f"will/{kind.__name__}", b"gone", 1, False)


def test_no_will_after_disconnect(
    connect: Connect, kind: type[Client], broker: int, other: Callable[[str], Other]
) -> None:
    reader = other("leave/#")
    link = connect(kind("leave", will=("leave/will", b"gone", 1, False)), broker)
    link.until("connected")
    assert link.client.publish("leave/last", b"bye", 1, False, 1)
    link.until("acknowledged")
    link.client.disconnect()
    for packet in link.client.out():
        link.socket.sendall(packet)
    assert link.socket.recv(1) == b""
    link.drop()
    assert reader.next() == ("leave/last", b"bye", 1, False)
    reader.paho.publish("leave/end", b"", 1)
    assert reader.next()[0] == "leave/end"


def test_the_session_is_resumed(
    connect: Connect, kind: type[Client], broker: int, other: Callable[[str], Other]
) -> None:
    client = kind(f"resume{kind.__name__}")
    link = connect(client, broker)
    assert link.until("connected") == ("connected", False)
    assert client.subscribe(f"resume/{kind.__name__}", 1)
    link.until("subscribed")
    link.drop()
    writer = other("unused")
    writer.paho.publish(f"resume/{kind.__name__}", b"while away", 1).wait_for_publish(LIMIT_S)
    link = connect(client, broker)
    assert link.until("connected") == ("connected", True)
    assert link.until("message") == ("message", f"resume/{kind.__name__}", b"while away", 1, False)
    link.turn()  # the acknowledgement leaves
    link.drop()
    link = connect(client, broker)
    link.until("connected")
    writer.paho.publish(f"resume/{kind.__name__}", b"next", 1)
    assert link.until("message") == ("message", f"resume/{kind.__name__}", b"next", 1, False)
    link.drop()


@pytest.mark.parametrize("clean", [True, False])
def test_what_was_in_flight_is_sent_again(
    connect: Connect, kind: type[Client], broker: int, other: Callable[[str], Other], clean: bool
) -> None:
    reader = other(f"again{clean}/#")
    client = kind(f"again{clean}", clean_session=clean)
    link = connect(client, broker)
    link.until("connected")
    topic = f"again{clean}/tele"
    for number in range(8):
        assert client.publish(topic, b"%d" % number, 1, False, number)
    lost = client.out()
    for packet in lost[:3]:  # these reach the broker, but nobody reads its acknowledgements
        link.socket.sendall(packet)
    first = [reader.next()[1] for _ in range(3)]
    link.drop()
    link = connect(client, broker)
    assert link.until("connected") == ("connected", not clean)
    assert client.publish(topic, b"8", 1, False, 8)
    acknowledged = [link.until("acknowledged")[1] for _ in range(9)]
    assert acknowledged == list(range(9))
    again = [reader.next()[1] for _ in range(9)]
    assert first == [b"0", b"1", b"2"]
    assert again == [b"%d" % number for number in range(9)]
    assert client.inflight == 0
    link.drop()


def test_refused_without_a_password(
    connect: Connect, kind: type[Client], locked_broker: int
) -> None:
    link = connect(kind("nobody"), locked_broker)
    assert link.until("refused")[1] in (5, 0x87)
    link.drop()
    link = connect(kind("nobody", username="me", password="wrong"), locked_broker)
    assert link.until("refused")[1] in (4, 5, 0x86, 0x87)
    link.drop()


def test_pings_keep_an_idle_link_open(connect: Connect, kind: type[Client], broker: int) -> None:
    # mosquitto counts whole seconds: with a keep-alive of 1 s it gives up after as little as 1.01 s
    # (at 1.99 s after 0.98 s, say), with 3 s never before 4 s.
    link = connect(kind("idle", keepalive_s=3, clean_session=True), broker)
    link.until("connected")
    end = time.monotonic() + 6.5
    while time.monotonic() < end:
        link.turn()
    assert link.client.connected
    assert link.client.publish("idle", b"x", 1, False, "late")
    assert link.until("acknowledged") == ("acknowledged", "late")
    link.drop()


def test_a_broker_that_falls_silent_is_noticed(
    connect: Connect, kind: type[Client], broker: int
) -> None:
    client = kind("silent", keepalive_s=1, response_timeout_us=500_000)
    link = connect(client, broker)
    link.until("connected")
    end = time.monotonic() + LIMIT_S
    while client.connected and time.monotonic() < end:  # nothing is sent or received any more
        time.sleep(0.05)
        client.wake(now_us())
        client.out()
    assert client.events() == [("broken", "no PINGRESP")]
    link.drop()


@pytest.mark.parametrize("interpreter", INTERPRETERS)
@pytest.mark.parametrize("most", [1, 20])
def test_version_5_on_both_interpreters(interpreter: str, most: int, tmp_path: Path) -> None:
    """Receive maximum, alias and expiry as mosquitto and paho have them."""
    heard: queue.Queue[Any] = queue.Queue()
    ready: queue.Queue[bool] = queue.Queue()
    settings = ("allow_anonymous true", f"max_inflight_messages {most}")
    with mosquitto(tmp_path, *settings) as port:
        make: Any = paho.Client
        reader = make(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        reader.on_message = lambda _client, _data, message: heard.put(message)
        reader.on_subscribe = lambda *_: ready.put(True)
        reader.connect("127.0.0.1", port)
        reader.subscribe(TELE, 1)
        reader.loop_start()
        ready.get(timeout=LIMIT_S)
        program = [sys.executable] if interpreter == "cpython" else [need("micropython")]
        said = subprocess.run(
            [*program, "-m", "tests.oracle.mqtt_writer", str(port), "30"],
            cwd=ROOT,
            env={**os.environ, **micropython_environment()},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.splitlines()
        messages = [heard.get(timeout=LIMIT_S) for _ in range(30)]
        leave(reader)
    assert said[0] == "acknowledged " + " ".join(map(str, range(30)))
    assert said[2] == "events [('connected', False)]"
    assert [message.payload for message in messages] == [b"%03d" % i for i in range(30)]
    assert {message.topic for message in messages} == {TELE}
    assert all(0 < message.properties.MessageExpiryInterval <= 300 for message in messages)
    whole = 2 + 2 + len(TELE) + 2 + 1 + 5 + 3
    # The first goes before anything of the server is known; the second says topic and alias.
    assert int(said[1].split()[1]) == whole + (whole + 3) + 28 * (whole + 3 - len(TELE))
