# SPDX-License-Identifier: Apache-2.0
"""Session of the Sparkplug node on a real broker: connections, primary host, message sizes.

`Monitor` judges as the test kit of Sparkplug 3.0 does (its tests of edge nodes: session, primary
host, termination); that kit needs a broker that is not to be had here.
"""

import itertools
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.outputs.base import OutputContext, OutputError
from deploy.relay.relay import Relay, RelayOptions
from deploy.relay.sparkplug import output as sparkplug_output
from deploy.relay.sparkplug.edge import SparkplugEdge
from deploy.relay.sparkplug.output import SparkplugOutput
from deploy.relay.sparkplug.payload import BOOLEAN, REBIRTH, Metric, encode_payload
from protocols.telemetry import block
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import Schema
from tests.deploy.relay.relay_rig import ALARM, START_MS, UNIT, bulk, pack, rows_record
from tests.deploy.relay.test_outputs import read_metrics
from tests.deploy.relay.test_relay import RelayThread, TopicListener, wait_until
from tests.support.programs import (
    free_port,
    require_program,
    running_mosquitto,
    wait_until_open,
)

_REBIRTH = encode_payload([Metric(True, BOOLEAN, 1, REBIRTH)], 1, None)
_TELE = f"coldloop/v1/{UNIT}/tele"


class RunningBroker:
    """A mosquitto with the limit of the one that is shipped; it keeps nothing over a restart."""

    def __init__(self, config: Path) -> None:
        self.port = free_port()
        self._words = [require_program("mosquitto"), "-c", str(config)]
        head = f"listener {self.port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n"
        config.write_text(head + "message_size_limit 65536\n")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._words, stderr=subprocess.DEVNULL)
        wait_until_open(self.port)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


class Monitor:
    """A host application: checks the order of all messages of the node, asks for rebirths."""

    def __init__(self, port: int) -> None:
        self.listener = TopicListener(port, "spBv1.0/#")
        self._times = itertools.count(1)

    def host(self, is_online: bool, name: str = "scada", at: int = 0) -> None:
        state = {"online": is_online, "timestamp": at or next(self._times)}
        self.listener.publish(f"spBv1.0/STATE/{name}", json.dumps(state).encode(), retain=True)

    def of_node(self) -> list[tuple[str, bytes]]:
        found = [(topic.split("/"), data) for topic, data in list(self.listener.received)]
        return [
            (levels[2], data)
            for levels, data in found
            if levels[1] != "STATE" and levels[2] != "NCMD"
        ]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.of_node()]

    def bd_seqs(self, kind: str) -> list[int]:
        found = [read_metrics(data)[1][0][11] for name, data in self.of_node() if name == kind]
        return [number for number in found if isinstance(number, int)]

    def wait_for(self, *kinds: str) -> None:
        """Wait until the node has sent these messages and no others since the last call."""
        wait_until(lambda: len(self.kinds()) >= len(kinds))
        time.sleep(0.3)
        assert self.kinds() == list(kinds)

    def gaps(self) -> int:
        """Return how many messages do not have the next seq of their session."""
        gaps, expected = 0, None
        for kind, data in self.of_node():
            seq = read_metrics(data)[0]
            if seq is None:
                expected = None
                continue
            gaps += seq != (0 if kind == "NBIRTH" else expected)
            expected = (seq + 1) % 256
        return gaps

    def restart(self) -> None:
        self.listener.received.clear()

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    found = RunningBroker(tmp_path / "mosquitto.conf")
    yield found
    found.kill()


def start_relay(port: int, folder: Path, primary: str = "") -> RelayThread:
    return RelayThread(port, folder, primary=primary)


def sparkplug_position(running: RelayThread) -> int:
    return running.relay.pipeline.workers["sparkplug"].position


def test_the_node_follows_the_primary_host(broker: RunningBroker, tmp_path: Path) -> None:
    monitor = Monitor(broker.port)
    running = start_relay(broker.port, tmp_path, "scada")
    try:
        monitor.host(True, "scada_other")
        monitor.host(False)
        monitor.listener.publish(_TELE, pack(ALARM, bulk(1)))
        time.sleep(1)
        assert monitor.kinds() == [], "no births before the host is online"
        monitor.host(True, at=100)
        monitor.wait_for("NBIRTH", "DBIRTH", "DDATA")
        monitor.host(False, at=99)
        monitor.listener.publish(_TELE, pack(bulk(2)))
        monitor.wait_for("NBIRTH", "DBIRTH", "DDATA", "DDATA")
        (first,) = monitor.bd_seqs("NBIRTH")
        monitor.restart()
        monitor.host(False, at=101)
        wait_until(lambda: bool(monitor.kinds()))
        monitor.listener.publish(_TELE, pack(bulk(3)))
        time.sleep(2)
        assert set(monitor.kinds()) == {"NDEATH"}, "it leaves, connects again and waits"
        assert set(monitor.bd_seqs("NDEATH")) == {first}
        before = sparkplug_position(running)
        monitor.restart()
        monitor.host(True, at=102)
        monitor.wait_for("NBIRTH", "DBIRTH", "DDATA")
        assert monitor.bd_seqs("NBIRTH") == [(first + 1) % 256]
        assert monitor.gaps() == 0
        wait_until(lambda: sparkplug_position(running) > before)
        monitor.restart()
    finally:
        running.close()
    wait_until(lambda: bool(monitor.kinds()))
    assert set(monitor.bd_seqs("NDEATH")) == {(first + 1) % 256}
    monitor.close()


def test_a_broker_that_comes_back_without_the_host(broker: RunningBroker, tmp_path: Path) -> None:
    monitor = Monitor(broker.port)
    running = start_relay(broker.port, tmp_path, "scada")
    monitor.host(True)
    monitor.wait_for("NBIRTH")
    monitor.close()
    broker.kill()
    broker.start()
    monitor = Monitor(broker.port)
    try:
        wait_until(running.relay._output_connection.is_connected)
        wait_until(running.relay._is_connected.is_set)
        monitor.listener.publish(_TELE, pack(ALARM, bulk(1)))
        time.sleep(1.5)
        assert monitor.kinds() == []
        assert running.relay.pipeline.workers["sparkplug"].delivered == 0
        monitor.host(True)
        monitor.wait_for("NBIRTH", "DBIRTH", "DDATA")
    finally:
        running.close()
        monitor.close()


def test_a_host_that_never_comes_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sparkplug_output, "_HOST_WAIT_S", 0.3)
    with running_mosquitto(tmp_path / "mosquitto.conf") as port:
        running = start_relay(port, tmp_path, "scada")
        topic, text = "spBv1.0/STATE/scada", ""

        def lines() -> str:
            nonlocal text
            text += capsys.readouterr().err
            return text

        try:
            wait_until(lambda: f"no STATE online at {topic}" in lines())
            on_subscribe = running.relay._output_connection._client.on_subscribe
            assert on_subscribe is not None
            # mosquitto grants each subscription
            answer = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in (1, 1, 0x87)]
            for _ in range(2):
                on_subscribe(None, None, 1, answer, None)  # type: ignore[call-arg, arg-type]
        finally:
            running.close()
    assert f"rejects the subscription of {topic}: Not authorized" in lines()
    assert lines().count(topic) == 2


def test_each_connection_has_its_own_number(broker: RunningBroker, tmp_path: Path) -> None:
    monitor = Monitor(broker.port)
    running = start_relay(broker.port, tmp_path)
    running.relay._database.execute("INSERT OR REPLACE INTO node VALUES ('r1', 254)")
    try:
        monitor.wait_for("NBIRTH")
        for _ in range(3):
            socket = running.relay._output_connection._client.socket()
            assert socket is not None
            count = len(monitor.kinds())
            socket.close()
            wait_until(lambda before=count: len(monitor.kinds()) == before + 2)  # type: ignore[misc]
        assert monitor.kinds() == ["NBIRTH", *["NDEATH", "NBIRTH"] * 3]
        assert monitor.bd_seqs("NDEATH") == monitor.bd_seqs("NBIRTH")[:-1]
        assert monitor.bd_seqs("NBIRTH") == [0, 255, 0, 1]
    finally:
        running.close()
        monitor.close()


def test_a_unit_with_many_long_names_harms_no_other(
    broker: RunningBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its DBIRTH would be above the limit of the broker, which drops it without a word."""
    monitor = Monitor(broker.port)
    running = start_relay(broker.port, tmp_path)
    names = [f"{at}_{'x' * 52}" for at in range(1020)]
    schema = Schema([("t", "ms", 1, 1), *[(name, "1", 1, 10) for name in names]])
    wide = block.encode(schema.number, 1, [[START_MS], *[[at] for at in range(1020)]])
    messages = [pack((4, telemetry_message.SCHEMA, schema.text)), pack(rows_record(1, wide))]
    try:
        monitor.wait_for("NBIRTH")
        for message in messages:
            monitor.listener.publish("coldloop/v1/s1/bad/tele", message)
        monitor.wait_for("NBIRTH", "DBIRTH", "DDATA")
        for message in (pack(ALARM, bulk(1)), pack(bulk(2))):
            monitor.listener.publish(_TELE, message)
        monitor.wait_for("NBIRTH", "DBIRTH", "DDATA", "DBIRTH", "DDATA", "DDATA")
        assert monitor.gaps() == 0
        births = [data for kind, data in monitor.of_node() if kind == "DBIRTH"]
        assert 500 < len(read_metrics(births[0])[1]) < 1020
        assert running.relay._counts()["output_sparkplug_ignored"] > 0
    finally:
        running.close()
        monitor.close()
    assert capsys.readouterr().err.count("sparkplug: s1/bad has more metrics than") == 1


def test_a_host_that_asks_for_rebirths_without_end(
    broker: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparkplug_output, "_REBIRTHS_S", 3.0)
    monitor = Monitor(broker.port)
    running = start_relay(broker.port, tmp_path)
    try:
        monitor.wait_for("NBIRTH")
        monitor.listener.publish(_TELE, pack(ALARM, bulk(1)))
        end = time.monotonic() + 2
        for number in itertools.count(2):
            monitor.listener.publish("spBv1.0/fleet/NCMD/r1", _REBIRTH)
            monitor.listener.publish(_TELE, pack(bulk(number)))
            time.sleep(0.02)  # a unit has 200 messages a second
            if time.monotonic() > end:
                break
        assert monitor.kinds().count("NBIRTH") <= 4
        wait_until(lambda: monitor.kinds().count("NBIRTH") == 5)  # the last command has births too
        wait_until(lambda: monitor.kinds().count("DDATA") == number)
        assert monitor.gaps() == 0
    finally:
        running.close()
        monitor.close()


# --- Without a broker -----------------------------------------------------------------------------


class _Publisher:
    """Keeps what is published; the connection can break in an acknowledgement."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.output: SparkplugOutput | None = None
        self.breaks = False
        self.reconnects = 0

    def is_connected(self) -> bool:
        return True

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        self.sent.append(topic.split("/")[2])

    def flush(self, needs_subscriber: bool = False) -> None:
        if self.breaks and self.output is not None:
            self.output.on_connecting()

    def most_bytes(self) -> int:
        if self.reconnects and self.output is not None:
            self.reconnects -= 1
            self.output.on_connecting()
            self.output.on_connected()
        return 1 << 28

    def leave(self) -> None:
        self.sent.append("LEAVE")


def _make_output(publisher: _Publisher, primary: str = "") -> SparkplugOutput:
    def full() -> int:
        raise sqlite3.OperationalError("database or disk is full")

    output = SparkplugOutput(
        OutputContext("g", "n", primary, publisher, full, lambda: START_MS, dict)
    )
    publisher.output = output
    return output


def _rows(count: int = 2, columns: int = 2, at_ms: int = START_MS) -> Rows:
    names = tuple(f"signal_{at}" for at in range(columns))
    values: list[tuple[int, list[float | None]]] = [
        (at_ms + row, [row + 0.5] * columns) for row in range(count)
    ]
    return Rows(UNIT, 7, 1, names, values)


def test_no_message_goes_out_before_the_births_of_its_connection() -> None:
    publisher = _Publisher()
    output = _make_output(publisher)
    with pytest.raises(OutputError):
        output.deliver([_rows()])
    for number in range(3):
        output.on_connecting()
        assert read_metrics(output.will()[1])[1][0][11] == number, "counted also on a full disk"
        with pytest.raises(OutputError):
            output.deliver([_rows()])
        output.on_connected()
        output.process()
    output.deliver([_rows()])
    publisher.breaks = True
    with pytest.raises(OutputError, match="connection was lost"):
        output.deliver([_rows()])
    before = list(publisher.sent)
    with pytest.raises(OutputError):
        output.deliver([_rows()])
    output.process()
    assert publisher.sent == before


@pytest.mark.parametrize("primary", ["", "scada"])
def test_a_new_connection_while_the_births_are_made(primary: str) -> None:
    publisher = _Publisher()
    output = _make_output(publisher, primary)
    publisher.reconnects = 1
    output.on_connecting()
    output.on_connected()
    state = b'{"online":true,"timestamp":5}'
    output.on_message("spBv1.0/STATE/scada", state)
    output.process()
    assert publisher.sent == [], "they are those of the first connection"
    output.on_unit_offline(UNIT)
    output.process()
    assert publisher.sent == ([] if primary else ["NBIRTH"]), "the host is not known again"
    output.on_message("spBv1.0/STATE/scada", state)
    output.process()
    output.deliver([_rows()])
    assert publisher.sent == ["NBIRTH", "DBIRTH", "DDATA", "DDEATH", "_relay"]


def test_a_host_that_goes_offline_in_a_delivery() -> None:
    publisher = _Publisher()
    output = _make_output(publisher, "scada")
    topic = "spBv1.0/STATE/scada"
    output.on_connecting()
    output.on_connected()
    output.on_message(topic, b'{"online":true,"timestamp":5}')
    output.process()
    output.process()
    output.deliver([_rows()])
    output.on_message(topic, b'{"online":false,"timestamp":5}')
    output.on_message(topic, b'{"online":true,"timestamp":6}')
    publisher.sent.clear()
    output.process()
    assert publisher.sent == ["NDEATH", "LEAVE"], "the host was away for a moment"
    assert not output.ready()


@pytest.mark.parametrize("most", [100, 300, 3000, 8000, 30_000])
def test_each_message_keeps_the_limit_of_the_broker(most: int) -> None:
    edge = SparkplugEdge("g", "n", 0, lambda: START_MS)
    wide = _rows(30, 1500)
    edge.data_messages(wide)
    edge.alarm_messages(Note(UNIT, 4, {"alarm": "raised", "code": "leak"}, "", START_MS))
    edge.most_bytes = most
    messages = edge.birth_messages()
    for at in range(1, 4):
        messages += edge.data_messages(_rows(30, 1500, START_MS + 1000 * at))
        messages += edge.answer_messages(UNIT, f"answer {at} {'x' * 3500}")
    messages += edge.death_messages(UNIT)
    assert all(len(topic) + len(data) <= most for topic, data, _, _ in messages)
    assert [read_metrics(data)[0] for _, data, _, _ in messages] == [
        at % 256 for at in range(len(messages))
    ]
    kinds = [topic.split("/")[2] for topic, *_ in messages]
    assert "DDATA" not in kinds or kinds.index("DBIRTH") < kinds.index("DDATA")
    assert "DDATA" in kinds or most < 8000
    assert edge.left_out > 0


def test_an_active_alarm_has_its_place_in_a_full_device() -> None:
    edge = SparkplugEdge("g", "n", 0, lambda: START_MS)

    def change(number: int, kind: str, at_ms: int) -> None:
        edge.alarm_messages(Note(UNIT, number, {"alarm": kind, "code": "leak"}, "1", at_ms))

    def value() -> tuple[float | None, int]:
        device = edge._devices["s1.u1"]
        return device.last_values[device.names.index("Alarms/leak")]

    change(4, "raised", START_MS)
    births = sum(len(edge.data_messages(_rows(1, columns))) for columns in (3000, 3000, 2, 2500))
    assert births == 4 + 1, "known names need no second DBIRTH"
    assert value() == (True, START_MS)
    change(8, "cleared", START_MS - 60_000)  # the clock of the unit was set back
    assert value() == (False, START_MS), "the time of a live value does not go back"


def test_the_number_of_a_node_is_durable(tmp_path: Path) -> None:
    relay = Relay(
        RelayOptions(
            BrokerSettings(("127.0.0.1", free_port())),
            tmp_path / "relay.db",
            outputs={"sparkplug": "g"},
        )
    )
    numbers = [relay._database.next_bd_seq() for _ in range(258)]
    assert numbers == [*range(256), 0, 1]
    relay.close()
