"""The relay on a real mosquitto: kept before acknowledged, handed on once, whatever is killed."""

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

from benchmarks import stream
from deploy.errors import DeployError
from deploy.relay import command, sparkplug_payload
from deploy.relay.database import Memory
from deploy.relay.ingest import Intake, Taken
from deploy.relay.relay import Options, Relay
from deploy.relay.row_format import Rows, as_json, as_lines, as_metrics, read
from deploy.relay.sparkplug_edge import Edge, Host
from protocols.telemetry import block, merged_block, receipt
from protocols.telemetry import message as parcel
from protocols.telemetry.schema import Schema
from tests.support.peers import need

PATIENCE_S = 20.0
LIFE = b"\x01\x02\x03"
UNIT = "s1/u1"
SCHEMA = Schema([("t", "ms", 1, 1), *[(name, "1", 1, 10) for name in stream.NAMES[:5]]])
START_MS = 1_795_500_000_000


def block_of(seq: int, rows: int = 10) -> bytes:
    columns = [
        [START_MS + 1000 * (seq + i) for i in range(rows)],
        *[[300 + j + (seq + i) % 3 for i in range(rows)] for j in range(5)],
    ]
    return block.encode(SCHEMA.number, seq, columns)


def pack(*records: tuple[int, int, bytes]) -> bytes:
    message = parcel.begin(parcel.PACK, LIFE)
    for record in records:
        parcel.add(message, record)
    return bytes(message)


def bulk(ident: int) -> tuple[int, int, bytes]:
    return ident * 4 + parcel.BULK, parcel.ROWS, block_of(ident * 10)


ALARM = (4 + parcel.ALARM, parcel.SCHEMA, SCHEMA.text)


# --- Without a broker -----------------------------------------------------------------------------


def test_ranges_of_what_was_had(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    with memory.transaction():
        order = [3, 1, 2, 7, 5, 6, 4, 9]
        assert all(memory.note(UNIT, LIFE, ident * 4 + 3) for ident in order)
        assert not any(memory.note(UNIT, LIFE, ident * 4 + 3) for ident in order)
        assert memory.note(UNIT, LIFE, 8 * 4 + 2)
        assert memory.note("s1/u2", LIFE, 3 * 4 + 3)
    memory.close()
    again = Memory(tmp_path / "relay.db", "b")
    rows = list(again._db.execute("SELECT first, last FROM had WHERE unit=? AND class=3", (UNIT,)))
    assert rows == [(1, 7), (9, 9)]
    again.close()


def test_duplicates_are_confirmed_and_handed_on_once(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    intake = Intake(memory, {UNIT: b"k" * 16})
    first = intake.take([(UNIT, pack(ALARM, bulk(1), bulk(2)))])
    second = intake.take(
        [(UNIT, pack(bulk(2), bulk(3))), (UNIT, b"nonsense"), (UNIT, b"\xd1abc\xff")]
    )
    assert [entry[2] >> 2 for entry in first.entries + second.entries] == [1, 2, 3]
    said = receipt.read(second.receipts[0][1], UNIT, b"k" * 16)
    assert (said.life, said.flags, said.ranges) == (LIFE, 0, [(3, 2, 3)])
    assert (intake.counts["duplicates"], intake.counts["bad_messages"]) == (1, 2)
    found = intake.decode(first.entries[0])
    assert found is not None
    assert found.values[0] == (START_MS + 10_000, [30.1, 30.2, 30.3, 30.4, 30.5])
    memory.close()


def test_a_block_without_its_schema_is_kept_and_asked_for(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    intake = Intake(memory, {})
    taken = intake.take([(UNIT, pack(bulk(1)))])
    assert receipt.read(taken.receipts[0][1], UNIT, b"").flags == receipt.LACKS_SCHEMA
    assert intake.decode(taken.entries[0]) is None
    intake.take([(UNIT, pack(ALARM))])
    assert intake.decode(taken.entries[0]) is not None
    assert len(memory.outbox()) == 1
    memory.close()


def test_pieces_in_any_order(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    intake = Intake(memory, {})
    record = bulk(5)
    size = 30
    of = len(record[2]) // size + 1
    pieces = [parcel.piece(LIFE, record, place, of, size) for place in range(of)]
    for message in reversed(pieces[1:]):
        assert intake.take([(UNIT, message), (UNIT, message)]).receipts == []
    taken = intake.take([(UNIT, pieces[0])])
    assert [entry[4] for entry in taken.entries] == [record[2]]
    memory.close()


def longer(first: int, count: int) -> tuple[int, int, bytes]:
    """Make one record of the blocks of `bulk(first)` and those behind it."""
    merge = merged_block.Merge([block_of(ident * 10) for ident in range(first, first + count)], 6)
    while not merge.step():
        pass
    return first * 4 + parcel.BULK, parcel.MERGED, merge.finish()


def handed(intake: Intake, taken: Taken) -> list[int]:
    """Give the times, in seconds, of the rows that are to be handed on."""
    found = [intake.decode(entry) for entry in taken.entries]
    return [(at - START_MS) // 1000 for rows in found if rows for at, _ in rows.values]


@pytest.mark.parametrize("before", [[], [2], [1, 2, 3], [4]])
def test_a_longer_block_counts_as_what_it_was_made_of(tmp_path: Path, before: list[int]) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    intake = Intake(memory, {})
    intake.take([(UNIT, pack(ALARM, *[bulk(ident) for ident in before]))])
    taken = intake.take([(UNIT, pack(longer(1, 3)))])
    assert receipt.read(taken.receipts[0][1], UNIT, b"").ranges == [(3, 1, 3)]
    want = [second for i in range(1, 4) if i not in before for second in range(10 * i, 10 * i + 10)]
    assert handed(intake, taken) == want
    assert len(taken.entries) == (1 if not {1, 2, 3} & set(before) else 3 - len(before))
    again = intake.take([(UNIT, pack(bulk(3), longer(1, 3), bulk(5)))])
    assert handed(intake, again) == list(range(50, 60))
    memory.close()


def test_a_longer_block_in_pieces_and_without_its_schema(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    intake = Intake(memory, {})
    record = longer(1, 3)
    of = len(record[2]) // 30 + 1
    pieces = [parcel.piece(LIFE, record, place, of, 30) for place in range(of)]
    taken = intake.take([(UNIT, piece) for piece in pieces])
    said = receipt.read(taken.receipts[0][1], UNIT, b"")
    assert (said.flags, said.ranges) == (receipt.LACKS_SCHEMA, [(3, 1, 3)])
    assert handed(intake, taken) == []
    intake.take([(UNIT, pack(ALARM))])
    assert handed(intake, taken) == list(range(10, 40))
    memory.close()


def test_a_longer_block_that_is_none_is_counted(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    intake = Intake(memory, {})
    for content in (b"", b"\xff\xff\xff\xff\x7f\x06", b"\x00\x06abc"):
        assert intake.take([(UNIT, pack((7, parcel.MERGED, content)))]).entries == []
    assert intake.counts["bad_blocks"] == 3
    memory.close()


def test_a_crash_between_keeping_and_handing_on_loses_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "relay.db", "a")
    Intake(memory, {}).take([(UNIT, pack(ALARM, bulk(1)))])
    memory._db.close()  # as a kill does
    again = Memory(tmp_path / "relay.db", "a")
    assert [entry[2] >> 2 for entry in again.outbox()] == [1]
    taken = Intake(again, {}).take([(UNIT, pack(bulk(1)))])
    assert (taken.entries, len(taken.receipts)) == ([], 1)
    again.close()


ROWS = Rows(UNIT, 7, 1, ("a b", "c"), [(1000, [1.5, None]), (2000, [2.5, 3.0])])


def test_texts_of_other_systems() -> None:
    assert json.loads(as_json(ROWS))["rows"] == [[1000, 1.5, None], [2000, 2.5, 3.0]]
    assert as_lines(ROWS) == (
        "coldloop,site=s1,unit=u1 a\\ b=1.5 1000000000\n"
        "coldloop,site=s1,unit=u1 a\\ b=2.5,c=3.0 2000000000\n"
    )
    text = as_metrics({UNIT: {'x"y': 1.5}}, {"records": 3})
    assert 'coldloop_value{site="s1",unit="u1",signal="x\\"y"} 1.5\n' in text
    assert text.endswith("coldloop_relay_records_total 3\n# EOF\n")


def test_rows_before_utc_are_dated_by_later_ones() -> None:
    columns: list[list[int | None]] = [[None, None, 5000, 6000], *[[1, 2, 3, 4]] * 5]
    found = read(UNIT, 1, SCHEMA, block.encode(SCHEMA.number, 1, columns))
    assert [at for at, _ in found.values] == [3000, 4000, 5000, 6000]
    columns[0] = [None] * 4
    assert read(UNIT, 1, SCHEMA, block.encode(SCHEMA.number, 1, columns)).undated == 4


def metrics_of(payload: bytes) -> tuple[int | None, list[dict[int, int | bytes]]]:
    """Read a payload by the field numbers of Tahu's schema: seq and metrics."""
    fields = list(sparkplug_payload._fields(payload))
    seqs = [value for number, value in fields if number == 3]
    found = [
        dict(sparkplug_payload._fields(value))
        for n, value in fields
        if n == 2 and type(value) is bytes
    ]
    return (seqs[0] if seqs and isinstance(seqs[0], int) else None), found


def test_an_edge_node_keeps_the_rules() -> None:
    edge = Edge("g", "n", 257, lambda: 5000)
    topic, will, qos, retain = edge.will()
    assert (topic, qos, retain) == ("spBv1.0/g/NDEATH/n", 1, False)
    assert metrics_of(will)[0] is None
    assert [m[11] for m in metrics_of(will)[1]] == [1]
    said = edge.births()
    assert [message[0] for message in said] == ["spBv1.0/g/NBIRTH/n"]
    names = [
        bytes(str(m[1]), "ascii") if isinstance(m[1], int) else m[1]
        for m in metrics_of(said[0][1])[1]
    ]
    assert names == [b"bdSeq", b"Node Control/Rebirth"]
    said += edge.data(ROWS)
    late = Rows(UNIT, 8, 1, ROWS.names, [(500, [9.0, 9.0])])
    said += edge.data(late)
    assert [message[0].split("/")[2] for message in said] == ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]
    assert [metrics_of(message[1])[0] for message in said] == [0, 1, 2, 3]
    births = metrics_of(said[1][1])[1]
    assert [m[2] for m in births] == [0, 1]
    data = metrics_of(said[2][1])[1]
    assert [(m[3], 5 in m) for m in data] == [
        (1000, True),
        (1000, True),
        (2000, False),
        (2000, False),
    ]
    assert all(5 in m for m in metrics_of(said[3][1])[1])
    assert [message[0] for message in edge.death(UNIT)] == ["spBv1.0/g/DDEATH/n/s1.u1"]
    assert edge.death(UNIT) == []
    for _ in range(300):
        seqs = [metrics_of(message[1])[0] for message in edge.data(late)]
    assert max(s for s in seqs if s is not None) < 256
    again = edge.births()
    assert [metrics_of(message[1])[0] for message in again] == [0, 1]


def test_rebirth_commands_and_hosts() -> None:
    yes = sparkplug_payload.payload(
        [sparkplug_payload.Metric(True, sparkplug_payload.BOOLEAN, 1, sparkplug_payload.REBIRTH)],
        1,
        0,
    )
    no = sparkplug_payload.payload(
        [sparkplug_payload.Metric(False, sparkplug_payload.BOOLEAN, 1, sparkplug_payload.REBIRTH)],
        1,
        0,
    )
    assert [
        sparkplug_payload.asks_rebirth(data) for data in (yes, no, b"", yes[:-3], b"\xff" * 20)
    ] == [
        True,
        False,
        False,
        False,
        False,
    ]
    host = Host("h")
    assert not host.online
    assert host.heard(b'{"online":true,"timestamp":5}')
    assert not host.heard(b'{"online":false,"timestamp":4}')
    assert not host.heard(b"nonsense")
    assert host.heard(b'{"online":false,"timestamp":6}')
    assert Host("").online


@pytest.mark.parametrize(
    "words",
    [
        ["--broker", "x", "--store", "s"],
        ["--broker", "h:99999", "--store", "s"],
        ["--broker", "h:1", "--store", "s", "--modem", "1"],
        ["--broker", "h:1", "--store", "/nowhere/at/all"],
    ],
)
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- On mosquitto ---------------------------------------------------------------------------------


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
    process = subprocess.Popen(
        [need("mosquitto"), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(up)
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Listener:
    """A client that keeps what it hears, and says what it is told."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _, __, m: self.heard.append((m.topic, m.payload))
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([(topic, 1) for topic in topics])
        assert ready.wait(PATIENCE_S)

    def say(self, topic: str, data: bytes, retain: bool = False) -> None:
        self.client.publish(topic, data, 1, retain).wait_for_publish(PATIENCE_S)

    def of(self, *words: str) -> list[bytes]:
        return [data for topic, data in list(self.heard) if all(word in topic for word in words)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Running:
    """A relay in a thread."""

    def __init__(self, port: int, folder: Path, name: str = "r1", **more: object) -> None:
        values: dict[str, object] = {"sparkplug": "fleet", "json_root": "out", **more}
        self.relay = Relay(
            Options(("127.0.0.1", port), folder / "relay.db", name, **values)  # type: ignore[arg-type]
        )
        self.relay.start()
        until(self.relay.ready.is_set)
        self.thread = threading.Thread(target=self.relay.run)
        self.thread.start()

    def close(self) -> None:
        self.relay.stop()
        self.thread.join()
        self.relay.close()


def test_a_block_through_a_real_broker(broker: int, tmp_path: Path) -> None:
    ear = Listener(broker, "spBv1.0/#", "out/#", "coldloop/v1/+/+/ack")
    key = b"k" * 16
    lines = tmp_path / "lines"
    running = Running(
        broker,
        tmp_path,
        keys={UNIT: key},
        lines=lines,
        http=("127.0.0.1", 0),
        modems={"3001": UNIT},
    )
    try:
        until(lambda: bool(ear.of("NBIRTH")))
        note = (8 + parcel.ALARM, parcel.NOTE, b'{"alarm":"raised","code":"leak"}')
        for message in (pack(ALARM, bulk(1), note), pack(bulk(1), bulk(2))):
            ear.say(f"coldloop/v1/{UNIT}/tele", message)
        until(lambda: len(ear.of("out", "rows")) == 2 and bool(ear.of("notes")))
        until(lambda: len(ear.of("DDATA")) == 2)
        assert [json.loads(data)["record"] >> 2 for data in ear.of("out", "rows")] == [1, 2]
        assert json.loads(ear.of("notes")[0])["code"] == "leak"
        ranges = [r for data in ear.of("/ack") for r in receipt.read(data, UNIT, key).ranges]
        assert set(ranges) >= {(3, 1, 1)} or (3, 1, 2) in ranges
        assert len(lines.read_text().splitlines()) == 20
        assert running.relay.web is not None
        base = f"http://127.0.0.1:{running.relay.web.address[1]}"
        with urllib.request.urlopen(f"{base}/metrics", timeout=10) as page:
            text = page.read().decode()
        assert f'unit="u1",signal="{stream.NAMES[0]}"' in text
        body = f"imei=3001&momsn=1&data={pack(bulk(9)).hex()}".encode()
        with urllib.request.urlopen(f"{base}/sbd", body, timeout=10) as page:
            assert page.status == 200
        until(lambda: len(ear.of("out", "rows")) == 3)
        for bad in (b"imei=3001&data=zz", b"", b"\xff\xfe"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{base}/sbd", bad + b" ", timeout=10)
            refused.value.close()
        ear.say(f"coldloop/v1/{UNIT}/state", b'{"online": false}')
        until(lambda: bool(ear.of("DDEATH")))
        command_ = sparkplug_payload.payload(
            [
                sparkplug_payload.Metric(
                    True, sparkplug_payload.BOOLEAN, 1, sparkplug_payload.REBIRTH
                )
            ],
            1,
            0,
        )
        ear.say("spBv1.0/fleet/NCMD/r1", command_)
        until(lambda: len(ear.of("NBIRTH")) == 2)
    finally:
        running.close()
    until(lambda: bool(ear.of("NDEATH")))
    ear.close()


def test_restarts_lose_nothing_and_hand_nothing_on_twice(broker: int, tmp_path: Path) -> None:
    ear = Listener(broker, "out/#", "coldloop/v1/+/+/ack")
    running = Running(broker, tmp_path)
    ear.say(f"coldloop/v1/{UNIT}/tele", pack(ALARM))
    for ident in range(1, 41):
        ear.say(f"coldloop/v1/{UNIT}/tele", pack(bulk(ident)))
        if ident % 10 == 0:
            running.close()
            for again in range(max(1, ident - 5), ident + 3):  # while no relay is there
                ear.say(f"coldloop/v1/{UNIT}/tele", pack(bulk(again)))
            running = Running(broker, tmp_path)
    try:
        until(lambda: len(ear.of("out", "rows")) >= 42)
        until(running.relay._work.empty)
        got = sorted(json.loads(data)["record"] >> 2 for data in ear.of("out", "rows"))
        assert got == list(range(1, 43))
    finally:
        running.close()
    ear.close()


def test_two_relays_share_the_load_and_what_they_know(broker: int, tmp_path: Path) -> None:
    ear = Listener(broker, "out/#", "coldloop/v1/+/+/ack")
    both = [Running(broker, tmp_path, name) for name in ("r1", "r2")]
    try:
        ear.say(f"coldloop/v1/{UNIT}/tele", pack(ALARM))
        for ident in range(1, 41):
            for _ in range(2):
                ear.say(f"coldloop/v1/{UNIT}/tele", pack(bulk(ident)))
        until(lambda: len(ear.of("out", "rows")) >= 40)
        until(lambda: all(each.relay._work.empty() for each in both))
        got = sorted(json.loads(data)["record"] >> 2 for data in ear.of("out", "rows"))
        assert got == list(range(1, 41))
        assert all(each.relay.intake.counts["messages"] for each in both)
    finally:
        for each in both:
            each.close()
    ear.close()


def test_data_wait_for_the_primary_host(broker: int, tmp_path: Path) -> None:
    ear = Listener(broker, "spBv1.0/fleet/#")
    running = Running(broker, tmp_path, primary="host")
    try:
        ear.say(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)))
        until(lambda: len(running.relay._waiting) == 1)
        assert ear.heard == []
        ear.say("spBv1.0/STATE/host", b'{"online":true,"timestamp":1}', retain=True)
        until(lambda: bool(ear.of("DDATA")))
        assert [topic.split("/")[2] for topic, _ in ear.heard] == ["NBIRTH", "DBIRTH", "DDATA"]
    finally:
        running.close()
    ear.close()


def test_no_broker_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    relay = Relay(Options(("127.0.0.1", port), tmp_path / "relay.db"))
    with pytest.raises(DeployError, match="tcp:127"):
        relay.start()
    relay.close()
