# SPDX-License-Identifier: Apache-2.0
"""How the relay reads a PUBLISH: properties that the library cannot read, sizes, errors."""

import queue
import random
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from deploy.relay.intake.known_units import KnownUnits
from deploy.relay.mqtt.broker_client import BrokerSettings, connect
from deploy.relay.mqtt.session_client import Publication, make_session_client, read_publication
from deploy.relay.outputs.registry import Outputs
from deploy.relay.pipeline import Pipeline
from tests.deploy.relay.relay_rig import ALARM, UNIT, bulk, pack
from tests.deploy.relay.test_relay import RelayThread, TopicListener, broker, wait_until

_TIMEOUT_S = 20.0
_BROKER = broker
"""The fixture: a mosquitto."""


def _publish_properties() -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = [("name", "a\ufeffb"), ("\ufeff", "")]
    properties.ContentType = "\ufeff"
    properties.CorrelationData = bytes(range(256))
    properties.MessageExpiryInterval = 4_000_000_000
    return properties


@pytest.mark.parametrize("payload", [b"", b"x", bytes(70_000)])
@pytest.mark.parametrize("properties", [b"\0", _publish_properties().pack(), None])  # type: ignore[no-untyped-call]
def test_a_publication_is_read_and_a_cut_one_is_none(
    payload: bytes, properties: bytes | None
) -> None:
    packet = b"\x00\x03a/b\x12\x34" + (properties or b"") + payload
    has_properties = properties is not None
    whole = Publication(b"a/b", 0x1234, 1, payload)
    assert read_publication(0x32, packet, has_properties) == whole
    size = len(packet) - len(payload)
    found = {read_publication(0x32, packet[:end], has_properties) for end in range(size)}
    assert found == {None}


def test_the_subscriptions_of_a_publication_are_found() -> None:
    properties = _publish_properties()
    properties.PayloadFormatIndicator = 1
    properties.TopicAlias = 11
    properties.ResponseTopic = "a"
    properties.SubscriptionIdentifier = [1, (1 << 28) - 1]
    packet = b"\x00\x03a/b\x12\x34" + properties.pack()  # type: ignore[no-untyped-call]
    found = read_publication(0x32, packet, True)
    assert found == Publication(b"a/b", 0x1234, 1, b"", (1, (1 << 28) - 1))


def test_mutated_packets_end_in_no_exception() -> None:
    draw = random.Random(1)
    packet = b"\x00\x03a/b\x12\x34" + _publish_properties().pack() + b"x"  # type: ignore[no-untyped-call]
    for _ in range(2000):
        mutated = bytearray(packet)
        for _ in range(draw.randrange(1, 4)):
            mutated[draw.randrange(len(mutated))] = draw.randrange(256)
        read_publication(draw.choice((0x30, 0x32)), mutated[: draw.randrange(400)], True)


def test_a_property_that_the_library_cannot_read_stops_no_unit(broker: int) -> None:
    """The broker accepts U+FEFF; the library ends the connection, then the same comes again."""
    received: queue.Queue[bytes] = queue.Queue()
    connections: list[int] = []
    subscribed = threading.Event()
    client = make_session_client(BrokerSettings(("127.0.0.1", broker)), "relay", 500)

    def subscribe(*arguments: object) -> None:
        connections.append(len(arguments))
        client.subscribe("coldloop/v1/+/+/tele", 1)

    def take(publication: Publication) -> None:
        received.put(publication.payload)
        client.ack(publication.ident, publication.qos)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_publication = take
    connect(client, BrokerSettings(("127.0.0.1", broker)))
    unit = mqtt.Client(CallbackAPIVersion.VERSION2, "unit", protocol=mqtt.MQTTv5)
    draw = random.Random(2)
    payloads = [draw.randbytes(draw.choice((0, 1, 300, 20_000, 200_000))) for _ in range(60)]
    try:
        assert subscribed.wait(_TIMEOUT_S)
        unit.connect("127.0.0.1", broker)
        unit.loop_start()
        for payload in payloads:
            unit.publish("coldloop/v1/s/u/tele", payload, 1, properties=_publish_properties())
        assert [received.get(timeout=_TIMEOUT_S) for _ in payloads] == payloads
        assert len(connections) == 1
    finally:
        for each in (unit, client):
            each.disconnect()
            each.loop_stop()


def test_an_error_in_a_message_does_not_end_the_thread_of_the_client(
    broker: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError("of the test")

    running = RelayThread(broker, tmp_path)
    listener = TopicListener(broker, "coldloop/v1/+/+/ack", "out/#", "spBv1.0/#")
    try:
        monkeypatch.setattr(Outputs, "on_unit_state", fail)
        monkeypatch.setattr(Outputs, "on_message", fail)
        for _ in range(3):
            listener.publish(f"coldloop/v1/{UNIT}/state", b"{}")
            listener.publish("spBv1.0/fleet/NCMD/r1", b"x")
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        wait_until(lambda: bool(listener.payloads("/ack")))
        wait_until(lambda: bool(listener.payloads("out", "rows")))
        assert running.relay.pipeline.ingest.counts["bad_messages"] == 3
    finally:
        running.close()
        listener.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if "of the test" in line]
    assert len([line for line in lines if "/state" in line]) == 1, lines


def test_two_relays_with_one_name_say_so_and_lose_nothing(
    broker: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    listener = TopicListener(broker, "coldloop/v1/+/+/ack", "out/#")  # json is required here
    running = []
    try:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            running.append(RelayThread(broker, tmp_path / folder))
        wait_until(lambda: "another relay has --name r1" in running[0].relay.problem)
        for ident in range(1, 4):
            records = [ALARM, bulk(ident)]  # the other relay does not know the schema
            listener.publish(f"coldloop/v1/{UNIT}/tele", pack(*records))
        wait_until(lambda: len(listener.payloads("/ack")) >= 3)
    finally:
        for each in running:
            each.close()
        listener.close()
    assert "taken over: another relay has --name r1" in capfd.readouterr().err


def test_a_relay_whose_queue_is_full_ends(
    broker: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is away and the messages are large: the thread of the client waits for room."""
    monkeypatch.setattr("deploy.relay.intake.fair_queue._MOST_BYTES", 100)
    monkeypatch.setattr(Pipeline, "is_behind", lambda _: True)
    monkeypatch.setattr(KnownUnits, "is_new", lambda *_: False)  # messages of new ones are dropped
    running = RelayThread(broker, tmp_path)
    inbox = running.relay._inbox
    listener = TopicListener(broker, "coldloop/v1/+/+/ack")
    for number in range(8):
        listener.publish(f"coldloop/v1/s/u{number}/tele", pack(ALARM, bulk(1)))
    wait_until(lambda: len(inbox._changed._waiters) > 0)  # type: ignore[attr-defined]
    closing = threading.Thread(target=running.close, daemon=True)
    closing.start()
    closing.join(_TIMEOUT_S)
    listener.close()
    assert not closing.is_alive()
    monkeypatch.undo()
    again = RelayThread(broker, tmp_path)  # the broker has kept what was not stored
    listener = TopicListener(broker, "out/#")
    try:
        wait_until(lambda: again.relay.pipeline.ingest.counts["messages"] == 8)
    finally:
        again.close()
        listener.close()
