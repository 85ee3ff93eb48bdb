# SPDX-License-Identifier: Apache-2.0
"""The session of the relay: its window at the broker, and a broker that has no MQTT 5."""

import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from deploy.relay.mqtt.broker_client import BrokerSettings, connect
from deploy.relay.mqtt.session_client import SessionClient, make_session_client
from tests.support.programs import running_mosquitto

_TIMEOUT_S = 20.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """A mosquitto with its default window of 20."""
    with running_mosquitto(tmp_path / "mosquitto.conf") as port:
        yield port


def test_messages_without_an_acknowledgement_do_not_block_others(broker: int) -> None:
    received: queue.Queue[bytes] = queue.Queue()
    subscribed = threading.Event()
    client = make_session_client(client_settings(broker), "relay", 500)

    def subscribe(*_: object) -> None:
        client.subscribe("coldloop/v1/+/+/tele", 1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_publication = lambda publication: received.put(publication.payload)
    connect(client, client_settings(broker))
    unit = mqtt.Client(CallbackAPIVersion.VERSION2, "unit")
    try:
        assert subscribed.wait(_TIMEOUT_S)
        unit.connect("127.0.0.1", broker)
        unit.loop_start()
        for number in range(200):
            unit.publish("coldloop/v1/bad/u/tele", b"%d" % number, 1)
            if number % 50 == 0:
                unit.publish("coldloop/v1/bad/u/tele", bytes(2 << 20), 1)  # the broker drops it
        unit.publish("coldloop/v1/good/u/tele", b"good", 1)
        payloads = [received.get(timeout=_TIMEOUT_S) for _ in range(201)]
        assert payloads[-1] == b"good"
    finally:
        for each in (unit, client):
            each.disconnect()
            each.loop_stop()


def client_settings(port: int) -> BrokerSettings:
    return BrokerSettings(("127.0.0.1", port))


class OldBroker:
    """Accepts MQTT 3.1.1 only; notes the protocol level and the flags of each CONNECT."""

    def __init__(self, answer: bytes) -> None:
        self.connects: list[tuple[int, int]] = []
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            with peer:
                packet = peer.recv(1000)
                level, flags = packet[8], packet[9]
                self.connects.append((level, flags))
                peer.sendall(self._answer if level == 5 else b"\x20\x02\x00\x00")
                if level == 4:
                    peer.recv(1000)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", b""],
    ids=["3.1.1", "5", "only ends the connection"],
)
def test_a_broker_without_mqtt_5_gets_3_1_1_with_a_session(answer: bytes) -> None:
    assert connect_to_old_broker(answer, is_long=True) & 2 == 0, "the broker keeps the session"


def test_a_session_that_would_never_end_is_not_kept() -> None:
    """MQTT 3.1.1 has no expiry: the share of a dead relay would wait for ever."""
    assert connect_to_old_broker(b"\x20\x02\x00\x01", is_long=False) & 2


def connect_to_old_broker(answer: bytes, is_long: bool) -> int:
    """Return the flags of the last CONNECT."""
    old = OldBroker(answer)
    client = make_session_client(client_settings(old.port), "relay", 500, is_long)
    connected = threading.Event()

    def on_connect(
        each: SessionClient, _: object, __: object, reason: ReasonCode, *___: object
    ) -> None:
        if not each.refuses_version(reason) and each.keep_version():
            connected.set()

    client.on_connect = on_connect  # type: ignore[assignment]
    client.on_disconnect = lambda each, *_: each.try_other_version()
    connect(client, client_settings(old.port))
    try:
        assert connected.wait(_TIMEOUT_S)
    finally:
        client.disconnect()
        client.loop_stop()
        old.close()
    rounds = 1 if answer else 3  # without a word it can be a broker that is starting
    assert [level for level, _ in old.connects] == [5, 4] * rounds
    return old.connects[-1][1]
