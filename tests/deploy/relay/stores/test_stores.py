# SPDX-License-Identifier: Apache-2.0
"""Outputs that store: nothing lost, nothing doubled, on real servers that are killed."""

import dataclasses
import gzip
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pytest
from confluent_kafka import Consumer, Producer

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.base import OutputContext, OutputError
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.outputs.http_client import HttpClient, RefusedError
from deploy.relay.outputs.influx_output import InfluxOutput
from deploy.relay.outputs.kafka_output import KafkaOutput
from deploy.relay.outputs.parquet_output import ParquetOutput
from deploy.relay.outputs.postgres_output import PostgresOutput
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.quarantine import now_ms
from protocols import datagram
from tests.deploy.relay.relay_rig import (
    ALARM,
    SCHEMA,
    START_MS,
    UNIT,
    PipelineRig,
    block_of_run,
    bulk,
    pack,
    rows_record,
    write_secret,
)
from tests.deploy.relay.stores.servers import PostgresServer, VictoriaServer, postgres
from tests.support.cli_tools import wait_until

NAMES = ("supply", "flow =,x")


def context(argument: str, store: RelayDatabase | None = None) -> OutputContext:
    return OutputContext(
        argument,
        "r1",
        "",
        None,  # type: ignore[arg-type]
        lambda: 0,
        lambda: START_MS + 60_000,
        dict,
        store,
    )


def rows(number: int, unit: str = UNIT, start: int | None = None, dated: bool = True) -> Rows:
    first = START_MS + number * 10_000 if start is None else start
    values: list[tuple[int, list[float | None]]] = [
        (first + 1000 * i, [number + i / 10, None if i == 3 else float(i)]) for i in range(10)
    ]
    return Rows(unit, number * 4 + 3, number * 10, NAMES, values, "010203", 5, is_dated=dated)


def same_times(number: int, dated: bool = True) -> Rows:
    """Make a block whose three rows have one time: the clock of the unit was set back."""
    at = START_MS if dated else 7000
    values: list[tuple[int, list[float | None]]] = [(at, [None]), (at, [1.0]), (at, [2.0])]
    return Rows("s3/u3", number, 0, ("x",), values, "010203", 5, is_dated=dated)


SAME_TIMES = [(5, 1.0), (5, 2.0), (6, 1.0), (6, 2.0)]
"""Record and value of the rows of `same_times`."""
_OLD_TABLES = """
CREATE TABLE coldloop_sample (
  site text NOT NULL, unit text NOT NULL, signal text NOT NULL, t timestamptz NOT NULL,
  value double precision, log text, record bigint, PRIMARY KEY (site, unit, signal, t));
CREATE TABLE coldloop_repeat (
  site text NOT NULL, unit text NOT NULL, signal text NOT NULL, t timestamptz NOT NULL,
  value double precision, log text NOT NULL, record bigint NOT NULL,
  PRIMARY KEY (site, unit, signal, t, log, record));
CREATE TABLE coldloop_uptime (
  site text NOT NULL, unit text NOT NULL, log text NOT NULL, record bigint NOT NULL, run bigint,
  uptime_ms bigint NOT NULL, signal text NOT NULL, value double precision,
  PRIMARY KEY (site, unit, log, record, uptime_ms, signal));
INSERT INTO coldloop_sample VALUES ('s3','u3','x','2025-01-01 00:00Z',1,'010203',5);
INSERT INTO coldloop_uptime VALUES ('s3','u3','010203',6,5,7000,'x',1);
"""


def alarm(number: int, change: str, code: str = "leak_critical:l1") -> Note:
    content = {"t": START_MS, "alarm": change, "code": code, "text": "wet 💧"}
    return Note(UNIT, number * 4, content, "010203", START_MS)


UPTIME_ONLY = rows(3, start=5000, dated=False)
ITEMS: list[Item] = [rows(1), rows(2, "s2/u9"), alarm(1, "raised"), UPTIME_ONLY]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as started:
        yield started


# --- PostgreSQL -----------------------------------------------------------------------------------


def test_postgres_has_each_item_once(server: PostgresServer) -> None:
    output = PostgresOutput(context(server.uri))
    output.deliver(ITEMS)
    output.deliver(ITEMS[:2])
    output.deliver(ITEMS)
    assert server.query("SELECT COUNT(*) FROM coldloop_sample") == [(38,)]
    assert server.query("SELECT COUNT(*), MIN(uptime_ms), MAX(run) FROM coldloop_uptime") == [
        (19, 5000, 5)
    ]
    assert server.query("SELECT content->>'text' FROM coldloop_note") == [("wet 💧",)]
    (first,) = server.query(
        "SELECT EXTRACT(EPOCH FROM t)*1000, value FROM coldloop_sample WHERE unit='u9'"
        " AND signal='supply' ORDER BY t LIMIT 1"
    )
    assert (int(first[0]), first[1]) == (START_MS + 20_000, 2.0)
    refused = Note(UNIT, 8, {"a": "\0"}, "010203")  # jsonb has no NUL
    with pytest.raises(Exception, match=r"(?i)unicode|null|NUL") as error:
        output.deliver([refused])
    assert not isinstance(error.value, OutputError)
    output.deliver([alarm(7, "raised")])
    output.close()


@pytest.mark.parametrize("is_old", [False, True])
def test_postgres_keeps_rows_of_one_record_with_one_time(
    server: PostgresServer, is_old: bool
) -> None:
    server.query("DROP TABLE IF EXISTS coldloop_sample, coldloop_repeat, coldloop_uptime")
    if is_old:  # a store of an earlier version has the first rows
        server.query(_OLD_TABLES)
    blocks = [same_times(5), same_times(6, dated=False), same_times(8)]
    items: list[Item] = [*blocks] if not is_old else [shorter(block) for block in blocks]
    for _ in range(3):
        output = PostgresOutput(context(server.uri))
        output.deliver(items)
        output.close()
    found = server.query(
        "SELECT record, value FROM coldloop_sample UNION ALL SELECT record, value"
        " FROM coldloop_repeat UNION ALL SELECT record, value FROM coldloop_uptime ORDER BY 1, 2"
    )
    assert found == [*SAME_TIMES, (8, 1.0), (8, 2.0)]


def test_postgres_keeps_long_datagrams_that_begin_alike(server: PostgresServer) -> None:
    output = PostgresOutput(context(server.uri))
    long: list[Item] = [Note("s4/u4", 0, {"data": "1" * 3000 + end}) for end in "ABB"]
    output.deliver(long)
    output.deliver(long)
    output.close()
    found = "SELECT right(content->>'data', 1) FROM coldloop_note WHERE site='s4' ORDER BY 1"
    assert server.query(found) == [("A",), ("B",)]


def shorter(block: Rows) -> Rows:
    return dataclasses.replace(block, values=block.values[1:])


def test_postgres_that_is_killed_loses_nothing(server: PostgresServer) -> None:
    rig = PipelineRig(required={"store"})
    rig.add_output("store", PostgresOutput(context(server.uri)))
    worker = rig.pipeline.workers["store"]
    unit = "kill/u1"
    rig.send(pack(ALARM, bulk(1)), unit=unit)
    server.kill()
    rig.receive(pack(bulk(2), bulk(3)), unit=unit)
    while rig.pipeline.process():
        pass
    with pytest.raises(OutputError, match="PostgreSQL: "):
        worker.step()
    assert rig.ranges(rig.pipeline.take_receipts(), unit) == []
    server.start()
    due = rig.settle()
    assert rig.ranges(due, unit) == [(3, 2, 3)]
    found = "SELECT COUNT(*), COUNT(DISTINCT t) FROM coldloop_sample WHERE site='kill'"
    assert server.query(found) == [(150, 30)]
    worker.output.close()
    rig.close()


# --- VictoriaMetrics ------------------------------------------------------------------------------


def test_victoria_metrics_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    victoria = VictoriaServer(tmp_path)
    victoria.start()
    url = f"http://127.0.0.1:{victoria.port}/write"
    output = InfluxOutput(context(url))
    output.deliver([rows(1)])
    settling = output.settling()
    assert settling is not None
    wait_until("the rows are counted", settling.is_kept)
    victoria.kill()  # before the data are on its disk
    with pytest.raises(OutputError):
        settling.is_kept()
    with pytest.raises(OutputError):
        output.deliver([rows(1)])
    assert output.settling() is None
    victoria.start()
    assert not settling.is_kept()
    output.deliver([rows(1), rows(2)])
    settling = output.settling()
    assert settling is not None
    time.sleep(max(0.0, settling.due - time.monotonic()))
    assert settling.is_kept()
    victoria.kill()
    victoria.start()
    again = InfluxOutput(context(url + "#settle=0"))
    again.deliver([rows(2)])
    assert again.settling() is None
    samples = victoria.samples('{__name__=~"coldloop_.*"}')
    victoria.kill()
    assert sorted(samples) == ["coldloop_flow =,x", "coldloop_supply"]
    times = [at for at, _ in samples["coldloop_supply"]]
    assert times == [START_MS + 10_000 + 1000 * i for i in range(20)]
    assert samples["coldloop_supply"][0][1] == 1.0


@pytest.mark.parametrize("retention", ["1", "31d", "744h"])
def test_rows_older_than_the_retention_of_victoria_metrics(
    tmp_path: Path, retention: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victoria = VictoriaServer(tmp_path)
    victoria.start(retention)
    now = now_ms()
    here = context(f"http://127.0.0.1:{victoria.port}/write#settle=0")
    output = InfluxOutput(dataclasses.replace(here, clock_ms=now_ms))
    output.LINGER_S = 0
    rig = PipelineRig(required={"influx"})
    rig.add_output("influx", output)
    rig.send(pack(ALARM))
    for number, days in ((1, 0), (2, 30), (3, 32)):
        at = now - days * 86_400_000
        due = rig.send(pack(rows_record(number, block_of_run(5, 1000, [at - 1000, at], number))))
        assert rig.ranges(due) == [(3, number, number)]
    assert rig.reasons() == ["refused"]
    found = "coldloop_" + SCHEMA.entries[1][0]
    wait_until("four rows", lambda: len(victoria.samples('{unit="u1"}').get(found, [])) == 4)
    late_clock = InfluxOutput(here)  # by the clock of this relay, the rows are not old
    for number in (1, 2):
        late_clock.deliver([rows(number)])
        wait_until("a count", lambda: late_clock._server_state() and late_clock.ignored >= 19)
    wait_until("the other count", lambda: late_clock._server_state() and late_clock.ignored == 38)
    assert capsys.readouterr().err.count("ignores rows") == 1
    victoria.kill()
    rig.close()


class _Handler(BaseHTTPRequestHandler):
    code = 204
    seen: list[tuple[str, bytes]] = []  # noqa: RUF012 - one server a test

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.headers.get("Authorization", ""), gzip.decompress(body)))
        self.send_response(self.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("code", "error"), [(204, None), (400, RefusedError), (401, OutputError), (503, OutputError)]
)
def test_http_status_codes(tmp_path: Path, code: int, error: type[Exception] | None) -> None:
    _Handler.code, _Handler.seen = code, []
    with HTTPServer(("127.0.0.1", 0), _Handler) as http:
        thread = threading.Thread(target=http.handle_request)
        thread.start()
        with_token = dataclasses.replace(context(""), token=write_secret(tmp_path))
        client = HttpClient(f"http://127.0.0.1:{http.server_port}/write", with_token)
        if error is None:
            client.post(b"text", "text/plain")
        else:
            with pytest.raises(error):
                client.post(b"text", "text/plain")
        thread.join()
    assert _Handler.seen == [("Bearer secret", b"text")]


# --- Parquet --------------------------------------------------------------------------------------


def read_parquet(folder: Path) -> list[tuple[object, ...]]:
    table = ds.dataset(folder / "rows", partitioning="hive").to_table()
    names = ("site", "unit", "record", "signal", "t", "uptime_ms", "value", "day")
    return sorted(zip(*(table[name].to_pylist() for name in names), strict=True), key=repr)


def test_parquet_files_by_day_and_site(tmp_path: Path) -> None:
    output = ParquetOutput(context(str(tmp_path)))
    output.deliver(ITEMS)
    found = read_parquet(tmp_path)
    assert len(found) == 57
    assert {(row[0], row[7]) for row in found} == {
        ("s1", "2025-01-01"),
        ("s2", "2025-01-01"),
        ("s1", "undated"),
    }
    notes = ds.dataset(tmp_path / "notes", partitioning="hive").to_table().to_pylist()
    assert json.loads(notes[0]["content"])["text"] == "wet 💧"
    assert list(tmp_path.rglob("*.part")) == []


def test_a_parquet_batch_that_comes_again_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = RelayDatabase(tmp_path / "relay.db", "r1")
    items: list[Item] = [rows(n, f"s{n}/u1") for n in range(1, 6)]
    output = ParquetOutput(context(str(tmp_path / "out"), database))
    output.deliver(items)
    again = ParquetOutput(context(str(tmp_path / "out"), database))
    again.deliver(items[:2])  # after a kill, the same position, fewer records are prepared
    with database.transaction():
        again.acknowledged()
    again.deliver(items[2:])
    found = read_parquet(tmp_path / "out")
    assert len(found) == len(set(found)) == 5 * 19

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for _ in range(3):
        with pytest.raises(OutputError, match="No space"):
            again.deliver([rows(9)])
        assert not list((tmp_path / "out").rglob(".*.part")), "the next try needs the place"
    database.close()


def test_a_part_of_a_relay_that_was_killed_is_deleted(tmp_path: Path) -> None:
    database = RelayDatabase(tmp_path / "relay.db", "r1")
    output = ParquetOutput(context(str(tmp_path / "out"), database))
    output.deliver([rows(1)])
    (file,) = (tmp_path / "out").rglob("*.parquet")
    part = file.with_name(f".{file.name}.part")
    file.rename(part)  # killed before it had its name
    ParquetOutput(context(str(tmp_path / "out"), database)).deliver([rows(1)])
    assert not part.exists()
    assert len(read_parquet(tmp_path / "out")) == 19
    database.close()


def test_parquet_keeps_each_batch_that_is_acknowledged(tmp_path: Path) -> None:
    rig = PipelineRig(required={"parquet"})
    output = ParquetOutput(context(str(tmp_path), rig.database))
    output.LINGER_S = 0
    rig.add_output("parquet", output)
    for number in (1, 2, 3):  # each batch begins with an alarm that came by datagram
        record = b"\x01" + (1_760_000_000 + number).to_bytes(4, "big") + b"leak: pan %d" % number
        body = bytes([len(record)]) + record
        assert rig.send(*datagram.split(datagram.ALARM, number, body, 340)).acks
    notes = ds.dataset(tmp_path / "notes", partitioning="hive").to_table()["content"].to_pylist()
    assert sorted(json.loads(note)["text"] for note in notes) == ["pan 1", "pan 2", "pan 3"]
    rig.close()


# --- Kafka ----------------------------------------------------------------------------------------


def test_kafka_reports_each_message(tmp_path: Path) -> None:
    properties = tmp_path / "properties"
    properties.write_text("# the broker of the library\ntest.mock.num.brokers=3\n")
    output = KafkaOutput(context(f"127.0.0.1:1/fleet?{properties}"))
    output.deliver(ITEMS)
    assert isinstance(output._producer, Producer)
    names = set(output._producer.list_topics(timeout=10).topics)
    assert {"fleet.rows", "fleet.notes"} <= names
    output.close()
    for wrong in ("h:1", "/x", f"h:1/x?{tmp_path}/none"):
        with pytest.raises(DeployError):
            KafkaOutput(context(wrong))


def test_the_rule_for_consumers_of_kafka_drops_no_alarm(tmp_path: Path) -> None:
    """Alarms by datagram have no log and no record; the headers must tell them apart."""
    properties = tmp_path / "properties"
    properties.write_text("test.mock.num.brokers=1\nlog_level=0\n")
    output = KafkaOutput(context(f"127.0.0.1:1/fleet?{properties}"))
    notes = [
        Note(UNIT, 0, {"alarm": change, "code": code, "utc_s": 1, "datagram": number})
        for number, change, code in [
            (1, "raised", "leak"),
            (1, "raised", "hot"),
            (2, "cleared", "leak"),
            (3, "raised", "leak"),
            (4, "raised", "leak"),
        ]
    ]
    merged = rows(1)  # sent again, with a later block, to a relay with another file
    merged = dataclasses.replace(merged, values=[*merged.values, *rows(2).values])
    items = [*ITEMS, *notes, merged]
    output.deliver(items)
    output.deliver(items[::-1])  # after a kill of the relay
    assert output._producer is not None
    broker = next(iter(output._producer.list_topics(timeout=10).brokers.values()))
    words = {"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": "g"}
    consumer = Consumer({**words, "auto.offset.reset": "earliest"})
    consumer.subscribe(["fleet.rows", "fleet.notes"])
    kept: dict[tuple[bytes, ...], str] = {}
    end = time.monotonic() + 60
    count = 0
    while count < 2 * len(items) and time.monotonic() < end:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            count += 1
            headers = dict(message.headers() or [])
            names = ("log", "record", "rows", "part", "digest")
            key = (message.key(), *[headers.get(name, b"") for name in names])
            kept.setdefault(key, message.value().decode())
    consumer.close()
    output.close()
    assert len(kept) == len(items)
    assert {json.dumps(note.content) for note in notes} < set(kept.values())


def test_kafka_without_a_broker_keeps_the_items(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    properties = tmp_path / "properties"
    properties.write_text("message.timeout.ms=1000\n")
    output = KafkaOutput(context(f"127.0.0.1:1/fleet?{properties}"))
    with pytest.raises(OutputError, match=r"Kafka: .*Connection refused"):
        output.deliver(ITEMS[:1])
    assert output._producer is None
    assert capfd.readouterr().err == "", "some lines a second for as long as the servers are away"


# --- The embedded store ---------------------------------------------------------------------------


def unit_row(db: sqlite3.Connection) -> tuple[int, ...]:
    query = "SELECT newest_ms, blocks, late, undated FROM unit WHERE unit=?"
    return tuple(db.execute(query, (UNIT,)).fetchone())


def test_the_fleet_store(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    output = FleetStoreOutput(context(str(path)))
    output.deliver(ITEMS)
    output.deliver([*ITEMS, rows(4), rows(0)])
    db = sqlite3.connect(path)
    assert unit_row(db) == (START_MS + 49_000, 4, 1, 1)
    minute = db.execute(
        "SELECT t_ms, count, min, max, last, sum/count FROM minute JOIN signal AS s ON s.id=signal"
        " WHERE minute.unit=? AND name='supply'",
        (UNIT,),
    ).fetchall()
    assert minute[0][:5] == (START_MS, 30, 0.0, 4.9, 4.9)
    latest = db.execute(
        "SELECT name, value FROM latest JOIN signal AS s ON s.id=signal WHERE latest.unit=?",
        (UNIT,),
    )
    assert dict(latest.fetchall()) == {"supply": 4.9, "flow =,x": 9.0}
    alarms = "SELECT code, priority, t_ms FROM alarm"
    assert db.execute(alarms).fetchall() == [("leak_critical:l1", 1, START_MS)]
    output.deliver([alarm(3, "cleared"), alarm(2, "raised")])  # the raise before is late
    assert db.execute(alarms).fetchall() == []
    # a start ends what was active before it; the records can come in any order
    start = Note(UNIT, 11 * 4, {"t": START_MS, "event": "start"}, "010203", START_MS)
    output.deliver([alarm(7, "raised"), alarm(15, "raised", "dew"), start])
    assert [row[0] for row in db.execute(alarms)] == ["dew"]
    output.deliver([alarm(9, "raised", "flow_low"), alarm(19, "raised")])
    assert sorted(row[0] for row in db.execute(alarms)) == ["dew", "leak_critical:l1"]
    output.on_unit_state(UNIT, b'{"online": false, "version": "0.2.0"}')
    output.on_unit_state("s1/u3", b"[" * 100_000)
    output.process()
    db.execute("UPDATE unit SET newest_ms=1 << 52")  # an earlier version took such a date
    db.execute("UPDATE latest SET t_ms=1 << 52, value=7")
    db.commit()
    output.deliver([rows(5)])
    assert unit_row(db)[:3] == (START_MS + 59_000, 5, 1)
    assert db.execute("SELECT MAX(t_ms) FROM latest WHERE unit=?", (UNIT,)).fetchone() == (
        START_MS + 59_000,
    )
    state = db.execute("SELECT online, version FROM unit WHERE unit=?", (UNIT,)).fetchone()
    assert state == (0, "0.2.0")
    db.close()
    output.close()
