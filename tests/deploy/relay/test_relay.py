# SPDX-License-Identifier: Apache-2.0
"""Relay on a real mosquitto: stored before acknowledged, delivered once, also over restarts."""

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.relay import command
from deploy.relay.intake.http_server import HttpSettings
from deploy.relay.intake.webhook_auth import WebhookAuth
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.records.database import RelayDatabase
from deploy.relay.relay import Relay
from deploy.relay.sparkplug import payload as sparkplug_payload
from protocols.telemetry import message as telemetry_message
from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import (
    ALARM,
    GENERATION,
    START_MS,
    UNIT,
    PipelineRig,
    bulk,
    merged_record,
    pack,
)
from tests.support.programs import require_program

TIMEOUT_S = 60.0  # two relays share the locks of a database; on a busy disk 20 s were too short


# --- Without a broker -----------------------------------------------------------------------------


def test_received_record_ranges(tmp_path: Path) -> None:
    database = RelayDatabase(tmp_path / "relay.db", "a")
    with database.transaction():
        order = [3, 1, 2, 7, 5, 6, 4, 9]
        assert all(database.mark_received(UNIT, GENERATION, ident * 4 + 3) for ident in order)
        assert not any(database.mark_received(UNIT, GENERATION, ident * 4 + 3) for ident in order)
        assert database.mark_received(UNIT, GENERATION, 8 * 4 + 2)
        assert database.mark_received("s1/u2", GENERATION, 3 * 4 + 3)
    database.close()
    reopened = RelayDatabase(tmp_path / "relay.db", "b")
    rows = list(
        reopened._db.execute("SELECT first, last FROM received WHERE unit=? AND class=3", (UNIT,))
    )
    assert rows == [(1, 7), (9, 9)]
    reopened.close()


def test_duplicates_are_acknowledged_and_delivered_once(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db", {UNIT: b"k" * 16})
    first = rig.send(pack(ALARM, bulk(1), bulk(2)))
    second = rig.send(pack(bulk(2), bulk(3)), b"nonsense", b"\xd1abc\xff")
    assert [item.number >> 2 for item in rig.items] == [1, 2, 3]
    assert rig.ranges(first) == [(0, 1, 1), (3, 1, 2)]
    output = receipt.parse_receipt(second.receipts[0][1], UNIT, b"k" * 16)
    assert (output.generation, output.flags, output.ranges) == (GENERATION, 0, [(3, 2, 3)])
    counts = rig.pipeline.counts()
    assert (counts["duplicates"], counts["bad_messages"]) == (1, 2)
    assert rig.rows()[0].values[0] == (START_MS + 10_000, [30.1, 30.2, 30.3, 30.4, 30.5])
    rig.close()


def test_a_block_without_schema_is_stored_and_the_schema_requested() -> None:
    rig = PipelineRig()
    due = rig.send(pack(bulk(1)))
    parsed = receipt.parse_receipt(due.receipts[0][1], UNIT, b"")
    assert (parsed.flags, parsed.ranges) == (receipt.SCHEMA_MISSING, [(3, 1, 1)])
    assert (rig.items, rig.reasons()) == ([], ["schema"])
    rig.send(pack(ALARM))
    assert (len(rig.items), rig.reasons()) == (1, [])
    rig.close()


def test_chunks_in_any_order() -> None:
    rig = PipelineRig()
    rig.send(pack(ALARM))
    record = bulk(5)
    size = 30
    of = len(record[2]) // size + 1
    chunks = [
        telemetry_message.build_fragment(GENERATION, record, place, of, size) for place in range(of)
    ]
    for message in reversed(chunks[1:]):
        assert rig.send(message, message).receipts == []
    result = rig.receive(chunks[0])
    assert [entry.payload for entry in result.entries] == [record[2]]
    rig.close()


def seconds(rig: PipelineRig) -> list[int]:
    """Return the times, in seconds, of the rows to deliver."""
    return [(at - START_MS) // 1000 for rows in rig.rows() for at, _ in rows.values]


@pytest.mark.parametrize("before", [[], [2], [1, 2, 3], [4]])
def test_a_merged_block_counts_as_its_blocks(before: list[int]) -> None:
    rig = PipelineRig()
    rig.send(pack(ALARM, *[bulk(ident) for ident in before]))
    rig.items.clear()
    result = rig.receive(pack(merged_record(1, 3)))
    assert rig.ranges(rig.settle()) == [(3, 1, 3)]
    expected = [
        second for i in range(1, 4) if i not in before for second in range(10 * i, 10 * i + 10)
    ]
    assert seconds(rig) == expected
    assert len(result.entries) == (1 if not {1, 2, 3} & set(before) else 3 - len(before))
    rig.items.clear()
    rig.send(pack(bulk(3), merged_record(1, 3), bulk(5)))
    assert seconds(rig) == list(range(50, 60))
    rig.close()


def test_a_merged_block_in_chunks_without_schema() -> None:
    rig = PipelineRig()
    record = merged_record(1, 3)
    of = len(record[2]) // 30 + 1
    chunks = [
        telemetry_message.build_fragment(GENERATION, record, place, of, 30) for place in range(of)
    ]
    due = rig.send(*chunks)
    output = receipt.parse_receipt(due.receipts[0][1], UNIT, b"")
    assert (output.flags, output.ranges) == (receipt.SCHEMA_MISSING, [(3, 1, 3)])
    assert seconds(rig) == []
    rig.send(pack(ALARM))
    assert seconds(rig) == list(range(10, 40))
    rig.close()


def test_an_invalid_merged_block_is_counted() -> None:
    rig = PipelineRig()
    for content in (b"", b"\xff\xff\xff\xff\x7f\x06", b"\x00\x06abc"):
        rig.send(pack((7, telemetry_message.MERGED, content)))
    assert rig.pipeline.counts()["bad_blocks"] == 3
    assert rig.reasons() == ["block"] * 3
    rig.close()


def test_a_crash_between_store_and_delivery_loses_nothing(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db")
    rig.receive(pack(ALARM, bulk(1)))
    rig.database._db.close()  # as after a kill
    again = PipelineRig(tmp_path / "relay.db")
    assert [entry.number >> 2 for entry in again.database.outbox()] == [1]
    received = again.receive(pack(bulk(1)))
    assert (received.entries, received.duplicates) == ([], []), "no receipt before the delivery"
    assert again.ranges(again.settle()) == [(3, 1, 1)]
    assert len(again.items) == 1
    again.close()


_GOOD = ["--broker", "127.0.0.1:1", "--store", "s.db"]


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            "--name ",
            "--name a/b",
            "--group +",
            "--json ",
            "--json a/+/b",
            "--json $x",
            "--json /a",
        ),
        *("--alarms #", "--sparkplug a/b", "--sparkplug G --primary a/b", "--fleet "),
        *("--postgres nonsense://", "--influx ftp://x", "--clickhouse http://"),
        *("--influx http://", "--influx http://h:x/w", "--gateway http://", "--json /a"),
        *("--unit-bytes -5", "--unit-messages 0", "--unit-values 0", "--unit-quarantine -1"),
        *("--unit-cpu nan", "--undated-wait nan", "--undated-wait -1", "--gather -5"),
        *("--broker tcp:127.0.0.1:0", "--influx http://h/write#settle=x"),
        *(f"--influx http://h/write#settle={s}" for s in ("nan", "inf", "-5")),
        *("--modem 1=s1/u#", "--modem 1=s1/+", "--modem 1/2=s1/u1", "--modem =s1/u1"),
        *("--keys names", "--check --modem 1=S/u"),
        *("--keys binary", "--password-file binary", "--http-token binary --http 127.0.0.1:0"),
        *("--gateway-login binary --gateway http://h", "--sbd-key binary --http 127.0.0.1:0"),
    ],
)
def test_wrong_options_end_with_one_line(
    arguments: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("binary").write_bytes(b"\xff\xfe\x00")
    Path("names").write_text("s1/u# 0102")
    monkeypatch.setattr(Relay, "run", lambda *_: None)
    code: object = 0
    try:
        code = command.run([*_GOOD, *arguments.split(" ")])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--broker", "x", "--store", "s"],
        ["--broker", "h:99999", "--store", "s"],
        ["--broker", "h:1", "--store", "s", "--modem", "1"],
        ["--broker", "h:1", "--store", "/nowhere/at/all"],
        ["--broker", "h:1", "--store", "s", "--output-cert", "c.pem"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- On mosquitto ---------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    process = subprocess.Popen(
        [require_program("mosquitto"), "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(up)
        yield port
    finally:
        process.terminate()
        process.wait(10)


class TopicListener:
    """A client that stores received messages and publishes."""

    def __init__(self, port: int, *topics: str) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _, __, m: self.received.append((m.topic, bytes(m.payload)))
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([(topic, 1) for topic in topics])
        assert ready.wait(TIMEOUT_S)

    def publish(self, topic: str, data: bytes, retain: bool = False) -> None:
        self.client.publish(topic, data, 1, retain).wait_for_publish(TIMEOUT_S)

    def payloads(self, *arguments: str) -> list[bytes]:
        return [
            data for topic, data in list(self.received) if all(word in topic for word in arguments)
        ]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class RelayThread:
    """A relay in a thread."""

    def __init__(
        self,
        port: int,
        folder: Path,
        name: str = "r1",
        outputs: dict[str, str] | None = None,
        **more: object,
    ) -> None:
        outputs = {"sparkplug": "fleet", "json": "out", **(outputs or {})}
        self.relay = Relay(
            RelayOptions(
                BrokerSettings(("127.0.0.1", port)),
                folder / "relay.db",
                name,
                outputs=outputs,
                **more,  # type: ignore[arg-type]
            )
        )
        self.relay.start()
        wait_until(self.relay.ready.is_set)
        self.thread = threading.Thread(target=self.relay.run)
        self.thread.start()

    def close(self) -> None:
        self.relay.stop()
        self.thread.join()
        self.relay.close()


def test_a_block_through_a_real_broker(broker: int, tmp_path: Path) -> None:
    listener = TopicListener(broker, "spBv1.0/#", "out/#", "coldloop/v1/+/+/ack")
    key = b"k" * 16
    lines = tmp_path / "lines"
    running = RelayThread(
        broker,
        tmp_path,
        keys={UNIT: key},
        outputs={"lines": str(lines)},
        http=HttpSettings("127.0.0.1", 0, webhook=WebhookAuth([])),
        modems={"3001": UNIT},
    )
    try:
        wait_until(lambda: bool(listener.payloads("NBIRTH")))
        note = (
            8 + telemetry_message.ALARM,
            telemetry_message.JSON_EVENT,
            b'{"alarm":"raised","code":"leak"}',
        )
        for message in (pack(ALARM, bulk(1), note), pack(bulk(1), bulk(2))):
            listener.publish(f"coldloop/v1/{UNIT}/tele", message)
        wait_until(
            lambda: len(listener.payloads("out", "rows")) == 2 and bool(listener.payloads("notes"))
        )
        wait_until(lambda: len(listener.payloads("DDATA")) == 3)  # two blocks and an alarm
        assert [json.loads(data)["record"] >> 2 for data in listener.payloads("out", "rows")] == [
            1,
            2,
        ]
        assert json.loads(listener.payloads("notes")[0])["code"] == "leak"
        acks = f"coldloop/v1/{UNIT}/ack"
        wait_until(
            lambda: (
                (3, 2)
                in {
                    (group, last)
                    for data in listener.payloads(acks)
                    for group, _, last in receipt.parse_receipt(data, UNIT, key).ranges
                }
            )
        )
        assert len(lines.read_text().splitlines()) == 20
        assert running.relay.http_server is not None
        assert running.relay.http_server.address is not None
        base = f"http://127.0.0.1:{running.relay.http_server.address[1]}"
        with urllib.request.urlopen(f"{base}/metrics", timeout=10) as page:
            text = page.read().decode()
        assert 'coldloop_unit_data_age_seconds{site="s1",unit="u1"}' in text
        with urllib.request.urlopen(f"{base}/metrics/unit?unit=s1/u1", timeout=10) as page:
            text = page.read().decode()
        assert "signal=" not in text, "the newest row is older than 15 minutes"
        body = f"imei=3001&momsn=1&data={pack(bulk(9)).hex()}".encode()
        with urllib.request.urlopen(f"{base}/sbd", body, timeout=10) as page:
            assert page.status == 200
        wait_until(lambda: len(listener.payloads("out", "rows")) == 3)
        for bad in (b"imei=3001&data=zz", b"", b"\xff\xfe"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{base}/sbd", bad + b" ", timeout=10)
            refused.value.close()
        for topic in ("state", "cfg/reported"):
            large = b'{"online": false, "x": "' + bytes(80_000) + b'"}'
            listener.publish(f"coldloop/v1/{UNIT}/{topic}", large)
        counts = running.relay.pipeline.ingest.counts
        wait_until(lambda: counts["bad_messages"] == 2)
        assert not listener.payloads("DDEATH")
        listener.publish(f"coldloop/v1/{UNIT}/state", b'{"online": false}')
        wait_until(lambda: bool(listener.payloads("DDEATH")))
        rebirth = sparkplug_payload.encode_payload(
            [
                sparkplug_payload.Metric(
                    True, sparkplug_payload.BOOLEAN, 1, sparkplug_payload.REBIRTH
                )
            ],
            1,
            0,
        )
        listener.publish("spBv1.0/fleet/NCMD/r1", rebirth)
        wait_until(lambda: len(listener.payloads("NBIRTH")) == 2)
    finally:
        running.close()
    wait_until(lambda: bool(listener.payloads("NDEATH")))
    listener.close()


def test_restarts_lose_nothing_and_deliver_nothing_twice(broker: int, tmp_path: Path) -> None:
    listener = TopicListener(broker, "out/#", "coldloop/v1/+/+/ack")
    running = RelayThread(broker, tmp_path)
    listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM))
    for ident in range(1, 41):
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(bulk(ident)))
        if ident % 10 == 0:
            running.close()
            for repeated in range(max(1, ident - 5), ident + 3):  # while no relay runs
                listener.publish(f"coldloop/v1/{UNIT}/tele", pack(bulk(repeated)))
            running = RelayThread(broker, tmp_path)
    try:
        wait_until(lambda: len(listener.payloads("out", "rows")) >= 42)
        wait_until(running.relay._inbox.is_empty)
        numbers = sorted(
            json.loads(data)["record"] >> 2 for data in listener.payloads("out", "rows")
        )
        assert numbers == list(range(1, 43))
    finally:
        running.close()
    listener.close()


def test_two_relays_share_load_and_database(broker: int, tmp_path: Path) -> None:
    listener = TopicListener(broker, "out/#", "coldloop/v1/+/+/ack")
    both = [RelayThread(broker, tmp_path, name) for name in ("r1", "r2")]
    try:
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM))
        for ident in range(1, 41):
            for _ in range(2):
                listener.publish(f"coldloop/v1/{UNIT}/tele", pack(bulk(ident)))
        wait_until(lambda: len(listener.payloads("out", "rows")) >= 40)
        wait_until(lambda: all(item.relay._inbox.is_empty() for item in both))
        numbers = sorted(
            json.loads(data)["record"] >> 2 for data in listener.payloads("out", "rows")
        )
        assert numbers == list(range(1, 41))
        assert all(item.relay.pipeline.ingest.counts["messages"] for item in both)
    finally:
        for item in both:
            item.close()
    listener.close()


def test_data_wait_for_the_primary_host(broker: int, tmp_path: Path) -> None:
    listener = TopicListener(broker, "spBv1.0/fleet/#")
    running = RelayThread(broker, tmp_path, primary="host")
    try:
        listener.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        wait_until(lambda: len(running.relay.pipeline.database.outbox()) == 1)
        assert listener.received == []
        listener.publish("spBv1.0/STATE/host", b'{"online":true,"timestamp":1}', retain=True)
        wait_until(lambda: bool(listener.payloads("DDATA")))
        assert [topic.split("/")[2] for topic, _ in listener.received] == [
            "NBIRTH",
            "DBIRTH",
            "DDATA",
        ]
    finally:
        running.close()
    listener.close()
