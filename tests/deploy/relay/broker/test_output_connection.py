# SPDX-License-Identifier: Apache-2.0
"""Connection of the outputs: what the broker refuses is not delivered."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.relay.decode.row_format import Rows
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.mqtt.output_connection import OutputConnection
from deploy.relay.options import RelayOptions
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.outputs.registry import Outputs
from deploy.relay.outputs.text.row_text import rows_to_json_parts
from deploy.relay.relay import Relay
from deploy.relay.sparkplug.edge import SparkplugEdge
from tests.deploy.relay.bad_unit.test_window import OldBroker
from tests.deploy.relay.relay_rig import ALARM, START_MS, UNIT, bulk, pack
from tests.deploy.relay.stores.test_stores import context
from tests.deploy.relay.test_relay import TopicListener, wait_until
from tests.support.programs import (
    running_mosquitto,
)

_RIGHTS = """
topic readwrite coldloop/v1/+/+/tele
topic read coldloop/v1/+/+/state
topic read coldloop/v1/+/+/cfg/reported
topic readwrite coldloop/v1/+/+/ack
topic read denied/#
topic readwrite fleet/#
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A mosquitto with the limit of the one that is shipped, and without a right at `denied`."""
    rights = tmp_path / "acl"
    rights.write_text(_RIGHTS)
    rights.chmod(0o644)
    settings = f"user root\nacl_file {rights}\nmessage_size_limit 65536\n"
    with running_mosquitto(tmp_path / "mosquitto.conf", settings) as port:
        yield port


@pytest.fixture
def connection(port: int) -> Iterator[OutputConnection]:
    connection = OutputConnection(BrokerSettings(("127.0.0.1", port)), "r1")
    connection.start(Outputs({}, lambda _, argument: context(argument)))
    try:
        wait_until(connection.is_connected)
        yield connection
    finally:
        connection.close()


def test_a_message_without_the_right_is_not_delivered(connection: OutputConnection) -> None:
    connection.publish("fleet/a", b"x", 1, False)
    connection.flush()
    connection.publish("denied/a", b"x", 1, False)
    connection.publish("fleet/a", b"x", 1, False)
    with pytest.raises(OutputError, match=r"refuses messages of denied/a: not authorized"):
        connection.flush()
    connection.publish("fleet/a", b"x", 1, False)
    connection.flush()


def test_a_message_that_is_too_large_is_refused_alone(connection: OutputConnection) -> None:
    connection.publish("fleet/a", bytes(70_000), 1, False)
    with pytest.raises(RefusedError, match="packet too large"):
        connection.flush()
    connection.publish("fleet/a", b"x", 1, False)
    connection.flush()


def test_the_limits_of_the_broker_are_kept(tmp_path: Path) -> None:
    settings = "max_inflight_messages 7\nmax_packet_size 5000\n"
    with running_mosquitto(tmp_path / "strict.conf", settings) as strict:
        connection = OutputConnection(BrokerSettings(("127.0.0.1", strict)), "r1")
        connection.start(Outputs({}, lambda _, argument: context(argument)))
        try:
            wait_until(connection.is_connected)
            wait_until(lambda: connection._client.max_inflight_messages == 7)
            for _ in range(100):
                connection.publish("fleet/a", b"x", 1, False)
            connection.flush()
            connection.publish("fleet/a", bytes(5000), 1, False)
            connection.publish("fleet/a", bytes(5000), 0, False)
            with pytest.raises(RefusedError, match="packet too large"):
                connection.flush()
            assert connection.is_connected()
        finally:
            connection.close()


def test_a_broker_without_mqtt_5_gets_3_1_1_without_a_session() -> None:
    old = OldBroker(b"\x20\x02\x00\x01")
    connection = OutputConnection(BrokerSettings(("127.0.0.1", old.port)), "r1")
    connection.start(Outputs({}, lambda _, argument: context(argument)))
    try:
        wait_until(connection.is_connected)
    finally:
        connection.close()
        old.close()
    assert [level for level, _ in old.connects] == [5, 4]
    assert old.connects[-1][1] & 2 == 2, "a clean session"


class _RunningRelay:
    def __init__(
        self, port: int, folder: Path, topic: str, required: set[str] | None = None
    ) -> None:
        settings = BrokerSettings(("127.0.0.1", port))
        options = RelayOptions(
            settings, folder / "relay.db", outputs={"json": topic}, required=required
        )
        self.relay = Relay(options)
        self.relay.start()
        self._thread = threading.Thread(target=self.relay.run)
        self._thread.start()
        wait_until(self.relay.ready.is_set)

    def close(self) -> None:
        self.relay.stop()
        self._thread.join()
        self.relay.close()


def test_a_record_without_a_delivery_has_no_receipt(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = TopicListener(port, "denied/#", "coldloop/v1/+/+/ack")
    running = _RunningRelay(port, tmp_path, "denied")
    worker = running.relay.pipeline.workers["json"]
    try:
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        wait_until(lambda: "not authorized" in worker.error)
        assert worker.delivered == 0
        # The schema has its receipt; it goes to no output.
        assert all(b"\x03" not in data[5:] for data in listener.payloads("/ack"))
    finally:
        running.close()
        listener.close()
    assert "output json: the broker refuses messages of denied/" in capsys.readouterr().err


def test_a_required_message_needs_a_subscriber(connection: OutputConnection) -> None:
    connection.publish("fleet/a", b"x", 1, False)
    connection.flush()
    connection.publish("fleet/a", b"x", 1, False)
    with pytest.raises(OutputError, match=r"refuses messages of fleet/a: no subscriber"):
        connection.flush(needs_subscriber=True)


def test_json_as_the_only_required_output(port: int, tmp_path: Path) -> None:
    units = TopicListener(port, "coldloop/v1/+/+/ack")
    running = _RunningRelay(port, tmp_path, "fleet", {"json"})
    worker = running.relay.pipeline.workers["json"]
    try:
        units.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        wait_until(lambda: "no subscriber" in worker.error)
        assert worker.delivered == 0
        consumer = TopicListener(port, "fleet/#")
        wait_until(lambda: worker.delivered == 1)
        wait_until(lambda: bool(consumer.payloads("rows")))
        consumer.close()
    finally:
        running.close()
        units.close()


def long_rows(count: int, columns: int) -> Rows:
    names = tuple(f"rack_inlet_temperature_{at}" for at in range(columns))
    values: list[tuple[int, list[float | None]]] = [
        (START_MS + 1000 * row, [row + at / 7 for at in range(columns)]) for row in range(count)
    ]
    return Rows(UNIT, 7, 1, names, values, "010203", 5)


def test_no_message_is_above_the_limit_of_the_shipped_broker() -> None:
    rows = long_rows(360, 41)
    texts = rows_to_json_parts(rows, 60_000)
    assert len(texts) > 1
    assert max(map(len, texts)) <= 60_000
    found = [row for text in texts for row in json.loads(text)["rows"]]
    assert found == [[at, *values] for at, values in rows.values]
    messages = SparkplugEdge("fleet", "r1", 0, lambda: START_MS).data_messages(rows)
    assert max(len(payload) for _, payload, _, _ in messages) < 65_536


def test_refused_receipts_are_reported(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rights = (tmp_path / "acl").read_text()
    assert "ack" in rights
    running = _RunningRelay(port, tmp_path, "fleet")
    try:
        running.relay._units_client.publish("coldloop/v2/no/right", b"", 1)
        wait_until(lambda: running.relay._counts()["refused_receipts_now"] == 1)
        running.relay._units_client.publish("coldloop/v1/s/u/ack", b"", 1)
        wait_until(lambda: running.relay._counts()["refused_receipts_now"] == 0)
    finally:
        running.close()
    assert "the broker refuses receipts" in capsys.readouterr().err
