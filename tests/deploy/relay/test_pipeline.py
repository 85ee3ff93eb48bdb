# SPDX-License-Identifier: Apache-2.0
"""Rule of the relay: what has a receipt is in all required outputs or in the quarantine."""

import functools
import json
import sqlite3
from pathlib import Path

import pytest

from deploy.relay import command
from deploy.relay.decode.row_format import Item
from deploy.relay.limits import RateLimiter, UnitLimits
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.records.quarantine import now_ms
from protocols.telemetry import block, receipt, varint
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import Schema
from tests.deploy.relay.relay_rig import (
    ALARM,
    GENERATION,
    SCHEMA,
    START_MS,
    UNIT,
    PipelineRig,
    block_of_run,
    bulk,
    note_record,
    pack,
    rows_record,
)

NO_CONTEXT = OutputContext("", "r", "", None, lambda: 0, lambda: 0, dict)  # type: ignore[arg-type]
OTHER = "s1/u2"


class ScriptedOutput(Output):
    """Stores items; `fail`: cannot take items; `refused`: record ids that it refuses."""

    def __init__(self) -> None:
        super().__init__(NO_CONTEXT)
        self.items: list[Item] = []
        self.fail = False
        self.refused: set[int] = set()

    def deliver(self, items: list[Item]) -> None:
        if self.fail:
            raise OutputError("is down")
        if self.refused & {item.number >> 2 for item in items}:
            raise ValueError("not this one")
        self.items += items

    def ids(self) -> list[int]:
        return [item.number >> 2 for item in self.items]


def times_of(rig: PipelineRig) -> list[int]:
    return [at - START_MS for rows in rig.rows() for at, _ in rows.values]


# --- Rows without UTC -----------------------------------------------------------------------------


def test_a_later_block_of_the_run_dates_earlier_ones() -> None:
    rig = PipelineRig()
    early = [rows_record(i, block_of_run(7, 5000 * i, [None] * 5, 5 * i)) for i in range(1, 4)]
    due = rig.send(pack(ALARM, *early))
    assert (3, 1, 3) in rig.ranges(due), "in the quarantine, so safe"
    assert (rig.rows(), rig.reasons()) == ([], ["undated"] * 3)
    dated: list[int | None] = [START_MS + 20_000 + 1000 * i for i in range(5)]
    rig.send(pack(rows_record(4, block_of_run(7, 20_000, dated, 20))))
    assert rig.reasons() == []
    assert sorted(times_of(rig)) == list(range(5000, 25_000, 1000))
    assert [rows.estimated for rows in rig.rows()] == [0, 5, 5, 5]
    rig.items.clear()
    rig.send(pack(rows_record(5, block_of_run(7, 25_000, [None] * 5, 25))))
    assert times_of(rig) == list(range(25_000, 30_000, 1000)), "a later block too"
    rig.close()


def test_another_run_or_log_dates_nothing() -> None:
    rig = PipelineRig()
    rig.send(pack(ALARM, rows_record(1, block_of_run(7, 5000, [None] * 5))))
    dated: list[int | None] = [START_MS + 1000 * i for i in range(5)]
    rig.send(pack(rows_record(2, block_of_run(8, 5000, dated))))
    rig.send(pack(rows_record(2, block_of_run(7, 5000, dated)), generation=b"abc"))
    rig.send(pack(ALARM, rows_record(3, block_of_run(7, 5000, dated))), unit=OTHER)
    assert rig.reasons() == ["undated"]
    rig.close()


def test_rows_that_nothing_dates_are_delivered_with_their_uptime() -> None:
    rig = PipelineRig(undated_wait_s=0.0)
    due = rig.send(
        pack(ALARM, *[rows_record(i, block_of_run(7, 5000 * i, [None] * 5)) for i in range(1, 8)])
    )
    assert (3, 1, 7) in rig.ranges(due)
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert (len(rig.rows()), rig.reasons()) == (7, [])
    first = rig.rows()[0]
    assert (first.is_dated, first.run, first.values[0][0]) == (False, 7, 5000)
    rig.close()


def test_rows_before_utc_are_dated_by_the_rows_of_their_block() -> None:
    rig = PipelineRig()
    times: list[int | None] = [None, None, START_MS + 5000, START_MS + 6000, None]
    rig.send(pack(ALARM, rows_record(1, block_of_run(0, 0, times))))
    assert times_of(rig) == [3000, 4000, 5000, 6000, 7000]
    rig.close()


def test_a_date_in_the_future_is_no_date() -> None:
    rig = PipelineRig()
    year_2100 = 4_102_444_800_000
    times: list[int | None] = [START_MS, START_MS + 1000, year_2100, 5, START_MS + 4000]
    rig.send(pack(ALARM, rows_record(1, block_of_run(7, 0, times))))
    assert times_of(rig) == [0, 1000, 2000, 3000, 4000]
    assert rig.pipeline.counts()["rejected_dates"] == 2
    rig.send(pack(rows_record(2, block_of_run(9, 0, [year_2100 + i for i in range(5)]))))
    assert rig.reasons() == ["undated"], "no row of the block has a date"
    dated: list[int | None] = [START_MS + 10_000, START_MS + 11_000]
    rig.items.clear()
    rig.send(pack(rows_record(3, block_of_run(9, 10_000, dated))))
    assert rig.reasons() == []
    assert sorted(times_of(rig)) == [0, 1000, 2000, 3000, 4000, 10_000, 11_000]
    rig.close()


def test_a_wrong_clock_of_the_relay_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = PipelineRig()
    now = now_ms()
    for module in ("decode.prepare", "records.quarantine"):
        monkeypatch.setattr(f"deploy.relay.{module}.now_ms", lambda: 0)
    due = rig.send(pack(ALARM, bulk(1)))
    assert ((3, 1, 1) in rig.ranges(due), rig.reasons()) == (True, ["undated"])
    for module in ("decode.prepare", "records.quarantine"):
        monkeypatch.setattr(f"deploy.relay.{module}.now_ms", lambda: now)
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert times_of(rig)[0] == 10_000
    rig.close()


# --- One bad unit ---------------------------------------------------------------------------------


@functools.cache
def bomb() -> tuple[Schema, bytes]:
    """Return a schema of 1,024 columns and a block of some bytes with 4,096 rows of 64 of them."""
    schema = Schema([(f"c{i}", "1", 1, 1) for i in range(1024)])
    return schema, block.encode(schema.number, 1, [[0] * 4096] * 64)


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


BIG_SCALE = Schema([("t", "ms", 1, 1), ("x", "1", 10**400, 1)])
BIG_ROWS = block.encode(BIG_SCALE.number, 1, [[START_MS], [5]])


def wide_number() -> bytes:
    message = telemetry_message.begin_message(telemetry_message.PACK, GENERATION)
    varint.put((1 << 67) + 3, message)
    message += bytes([telemetry_message.JSON_EVENT, 2]) + b"{}"
    return bytes(message)


@pytest.mark.parametrize(
    ("messages", "reasons"),
    [
        ([wide_number()], ["message"]),
        ([pack((4, telemetry_message.SCHEMA, BIG_SCALE.text))], ["text"]),
        (
            [pack((4, telemetry_message.SCHEMA, BIG_SCALE.text), rows_record(1, BIG_ROWS))],
            ["text", "schema"],
        ),
        ([pack(note_record(1, nested(100_000)))], ["note"]),
        ([pack(note_record(1, nested(40)))], ["note"]),
        ([pack(note_record(1, b'{"a":NaN}'))], ["note"]),
        ([pack(note_record(1, b'{"a":1e999}'))], ["note"]),
        ([pack(note_record(1, b'{"a":"\\ud800"}'))], ["note"]),
        ([pack(note_record(1, b'{"a":' + b"9" * 5000 + b"}"))], ["note"]),
        ([pack(note_record(1, b"[]"))], ["note"]),
        ([pack(note_record(1, b"\xff"))], ["note"]),
        (
            [pack((4, telemetry_message.SCHEMA, bomb()[0].text), rows_record(1, bomb()[1]))],
            ["size"],
        ),
        ([pack(ALARM, rows_record(1, b"\x01abcdefghi"))], ["block"]),
        ([pack((4, 77, b"x"))], ["kind"]),
        ([pack((4, telemetry_message.SCHEMA, b"1\na\t1\t1\t1\na\t1\t1\t1\n"))], ["text"]),
        ([pack(bulk(0))], ["message"]),
        ([b"\xd1" + bytes(300_000)], ["message"]),
    ],
)
def test_poison_goes_to_the_quarantine_and_stops_no_other(
    messages: list[bytes], reasons: list[str]
) -> None:
    rig = PipelineRig()
    rig.pipeline.receive(
        [(OTHER, pack(ALARM, bulk(1))), *[(UNIT, m) for m in messages], (OTHER, pack(bulk(2)))]
    )
    due = rig.settle()
    assert rig.reasons(UNIT) == reasons
    assert [rows.unit for rows in rig.rows()] == [OTHER, OTHER]
    assert rig.ranges(due, OTHER) == [(0, 1, 1), (3, 1, 2)]
    assert len(bomb()[1]) < 100
    rig.close()


def test_an_error_of_the_relay_itself_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = PipelineRig()
    read = rig.pipeline.preparer._read_rows

    def broken(entry, prepared):  # type: ignore[no-untyped-def]
        if entry.unit == UNIT:
            raise MemoryError
        return read(entry, prepared)

    monkeypatch.setattr(rig.pipeline.preparer, "_read_rows", broken)
    rig.pipeline.receive([(UNIT, pack(ALARM, bulk(1))), (OTHER, pack(ALARM, bulk(1)))])
    due = rig.settle()
    assert (rig.reasons(), [rows.unit for rows in rig.rows()]) == (["internal"], [OTHER])
    assert rig.ranges(due) == [(0, 1, 1), (3, 1, 1)]
    rig.close()


def test_a_block_with_other_columns_than_its_schema_is_not_decoded() -> None:
    rig = PipelineRig()
    times: list[int | None] = [START_MS]
    few_stated = block_of_run(1, 0, times, columns=5)
    many = block.encode(SCHEMA.number, 1, [[1 << 40]] * 30)
    rig.send(pack(ALARM, rows_record(2, few_stated), rows_record(3, many)))
    assert rig.reasons() == ["block", "block"]
    rig.close()


def test_schemas_of_two_units_do_not_mix() -> None:
    rig = PipelineRig()
    other = Schema([(name, unit, a, 1000) for name, unit, a, _ in SCHEMA.entries])
    with rig.database.transaction():  # a collision of the 32 bits
        assert rig.database.store_schema(OTHER, SCHEMA.number, other.text)
        assert not rig.database.store_schema(OTHER, SCHEMA.number, SCHEMA.text)
    rig.send(pack(ALARM, bulk(1)))
    rig.send(pack(bulk(1)), unit=OTHER)
    own, foreign = rig.rows()
    assert own.values[0][1][0] == 30.1
    assert foreign.values[0][1][0] == 0.301
    rig.send(pack(ALARM), unit=OTHER)
    assert rig.reasons(OTHER) == ["text"]
    rig.close()


def test_a_unit_over_its_rate_is_throttled_alone() -> None:
    time_s = [0.0]
    limiter = RateLimiter(UnitLimits(bytes_per_s=10, messages_per_s=1), lambda: time_s[0])
    assert [limiter.admit("a", 10) for _ in range(61)] == [True] * 60 + [False]
    assert limiter.admit("b", 600)
    assert not limiter.admit("b", 1)
    time_s[0] = 1.0
    assert (limiter.admit("a", 10), limiter.admit("a", 10)) == (True, False)
    rig = PipelineRig(limits=UnitLimits(messages_per_s=0.05))
    received = rig.receive(pack(ALARM), pack(bulk(1)), pack(bulk(2)), pack(bulk(3)))
    assert received.throttled == {3}
    assert rig.ranges(rig.settle()) == [(0, 1, 1), (3, 1, 2)], "no receipt, so the unit keeps it"
    rig.send(pack(ALARM, bulk(1)), unit=OTHER)
    assert rig.rows()[-1].unit == OTHER
    rig.close()


def test_a_unit_over_its_quota_in_the_quarantine_keeps_its_records() -> None:
    rig = PipelineRig(limits=UnitLimits(quarantine_bytes=1000))
    bad = [note_record(i, b"x" * 300) for i in range(1, 6)]
    due = rig.send(pack(*bad))
    assert rig.reasons() == ["note", "note"]
    assert rig.ranges(due) == [(0, 1, 2)]
    assert rig.ranges(rig.send(pack(*bad))) == [(0, 1, 2)], "3 to 5 are still not stored"
    rig.close()


def test_a_refused_record_beyond_the_quota_is_not_lost() -> None:
    rig = PipelineRig(required={"store"}, limits=UnitLimits(quarantine_bytes=300))
    store = ScriptedOutput()
    rig.add_output("store", store)
    store.refused = set(range(1, 20))
    due = rig.send(pack(ALARM, *[bulk(i) for i in range(1, 20)]))
    assert rig.ranges(due) == [(0, 1, 1), (3, 1, 19)]
    assert rig.reasons() == ["refused"] * 19, "each record with a receipt is somewhere"
    assert rig.receive(pack(bulk(30))).throttled == {0}, "the unit keeps what comes now"
    assert rig.ranges(rig.send(pack(ALARM), unit=OTHER), OTHER) == [(0, 1, 1)]
    rig.close()


# --- Outputs --------------------------------------------------------------------------------------


def test_a_receipt_waits_for_the_required_outputs_only() -> None:
    rig = PipelineRig(required={"store"})
    store, other = ScriptedOutput(), ScriptedOutput()
    other.fail = True
    rig.add_output("store", store)
    rig.add_output("other", other)
    store.fail = True
    rig.receive(pack(ALARM, bulk(1)))

    def steps() -> list[tuple[int, int, int]]:
        while rig.pipeline.process():
            pass
        for worker in rig.pipeline.workers.values():
            try:
                while worker.step():
                    pass
            except OutputError:
                continue
        return rig.ranges(rig.pipeline.take_receipts())

    assert steps() == [(0, 1, 1)], "the schema only"
    rig.receive(pack(bulk(1)))
    assert steps() == [], "a repetition has no receipt either"
    store.fail = False
    assert steps() == [(3, 1, 1)]
    rig.receive(pack(bulk(1)))
    rig.pipeline._tidy(force=True)
    rig.receive(pack(bulk(1)))
    assert steps() == [(3, 1, 1)], "a lost receipt comes again"
    rig.receive(pack(bulk(2)))
    steps()
    assert (store.ids(), other.ids()) == ([1, 2], [])
    other.fail = False
    steps()
    assert other.ids() == [1, 2], "nothing is lost for the output that was down"
    rig.pipeline._tidy(force=True)
    assert rig.database.outbox() == []
    rig.close()


def test_a_refused_record_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path, required={"store"})
    store, other = ScriptedOutput(), ScriptedOutput()
    rig.add_output("store", store)
    rig.add_output("other", other)
    store.refused = {3, 6}
    due = rig.send(pack(ALARM, *[bulk(i) for i in range(1, 8)]))
    assert store.ids() == [1, 2, 4, 5, 7]
    assert other.ids() == list(range(1, 8))
    assert rig.ranges(due) == [(0, 1, 1), (3, 1, 7)]
    assert rig.reasons() == ["refused", "refused"]
    store.refused = set()
    words = ["quarantine", "retry", "--store", str(path), "--reason", "refused"]
    assert command.run(words) == 0
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert store.ids() == [1, 2, 4, 5, 7, 3, 6]
    assert other.ids() == list(range(1, 8)), "the other output has them"
    capsys.readouterr()
    rig.close()


def test_a_dead_output_that_is_not_required_skips_beyond_its_limit() -> None:
    rig = PipelineRig(required={"store"}, optional_backlog=3)
    store, dead = ScriptedOutput(), ScriptedOutput()
    rig.add_output("store", store)
    rig.add_output("dead", dead)
    dead.ready = lambda: False  # type: ignore[method-assign]
    rig.send(pack(ALARM, *[bulk(i) for i in range(1, 11)]))
    rig.pipeline._tidy(force=True)
    rig.settle()
    dead.ready = lambda: True  # type: ignore[method-assign]
    rig.settle()
    assert dead.ids() == [8, 9, 10]
    assert rig.pipeline.workers["dead"].skipped == 7
    rig.close()


def test_a_restart_delivers_the_rest_once(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db", required={"store"})
    store = ScriptedOutput()
    rig.add_output("store", store)
    rig.send(pack(ALARM, bulk(1), bulk(2)))
    rig.receive(pack(bulk(3)))
    rig.database._db.close()  # as after a kill
    again = PipelineRig(tmp_path / "relay.db", required={"store"})
    second = ScriptedOutput()
    again.add_output("store", second)
    due = again.settle()
    assert (store.ids(), second.ids()) == ([1, 2], [3])
    assert (3, 3) in [(group, last) for group, _, last in again.ranges(due)]
    again.close()


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db")
    rig.send(pack(ALARM, bulk(1)))
    pages = rig.database.query("PRAGMA page_count")[0][0]
    rig.database.query(f"PRAGMA max_page_count={pages}")
    big = [note_record(i, b'{"a":"' + b"x" * 60_000 + b'"}') for i in range(2, 4)]
    with pytest.raises(sqlite3.Error):
        rig.receive(pack(*big))
    assert rig.settle().receipts == []
    rig.database.query("PRAGMA max_page_count=1000000")
    assert rig.ranges(rig.send(pack(*big))) == [(0, 2, 3)]
    rig.close()


# --- The command and old files --------------------------------------------------------------------


def test_the_quarantine_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path)
    rig.send(pack(note_record(1, b"no")), b"nonsense")
    store = ["--store", str(path)]
    assert command.run(["quarantine", "list", *store]) == 0
    text = capsys.readouterr().out
    assert "s1/u1" in text
    assert text.endswith("2 in the quarantine\n")
    assert command.run(["quarantine", "export", *store]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["reason"], row["kind"], row["payload"]) for row in rows] == [
        ("message", "message", "bm9uc2Vuc2U="),
        ("note", "note", "bm8="),
    ]
    assert command.run(["quarantine", "show", str(rows[1]["id"]), *store]) == 0
    assert json.loads(capsys.readouterr().out)["record"] == 1
    assert command.run(["quarantine", "retry", *store]) == 0
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert sorted(rig.reasons()) == ["message", "note"], "still bad, still here"
    assert rig.database.outbox() == []
    for wrong in (["quarantine", "show", "77", *store], ["quarantine", "list", "--store", "no"]):
        assert command.run(wrong) == 2
    rig.close()


def test_receipts_of_many_ranges_are_split() -> None:
    rig = PipelineRig()
    due = rig.send(pack(ALARM, *[bulk(i) for i in range(1, 400, 2)]))
    assert len(due.receipts) == 4
    assert all(
        len(receipt.parse_receipt(data, UNIT, b"").ranges) <= receipt.MAX_RANGES
        for _, data in due.receipts
    )
    rig.close()
