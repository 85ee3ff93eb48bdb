# SPDX-License-Identifier: Apache-2.0
"""Hand-over over a kill: dates do not change, a name has one process, no record waits unseen."""

import json
import os
import sqlite3
import sys
from collections import deque
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Rows
from deploy.relay.limits import is_unit_name
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.outputs.base import OutputError, Settling
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.name_lock import NameLock, find_abandoned
from deploy.relay.records.quarantine import now_ms
from deploy.relay.relay import Relay
from deploy.relay.terminal_text import report
from protocols import datagram
from tests.deploy.relay.relay_rig import (
    ALARM,
    START_MS,
    UNIT,
    PipelineRig,
    block_of_run,
    bulk,
    pack,
    rows_record,
)
from tests.deploy.relay.test_pipeline import ScriptedOutput


def with_utc(run: int, uptime_ms: int, offset_ms: int, seq: int = 1) -> bytes:
    first = START_MS + offset_ms + uptime_ms
    return block_of_run(run, uptime_ms, [first + 1000 * i for i in range(10)], seq)


def dates(output: ScriptedOutput, number: int) -> list[list[int]]:
    """Return the dates of each delivery of a record."""
    found = [item for item in output.items if isinstance(item, Rows) and item.number >> 2 == number]
    return [[at - START_MS for at, _ in rows.values] for rows in found]


def keep_position(position: int) -> None:
    """Take the place of the step that the kill prevents."""
    del position


def kill_after_delivery(path: Path, *messages: bytes) -> ScriptedOutput:
    """Deliver messages; end as a kill does between the commit of the store and the position."""
    rig = PipelineRig(path, required={"store"})
    store = ScriptedOutput()
    rig.add_output("store", store)
    for message in messages[:-1]:
        rig.send(message)
    rig.pipeline.workers["store"]._move = keep_position  # type: ignore[method-assign]
    rig.receive(messages[-1])
    while rig.pipeline.process():
        pass
    rig.pipeline.workers["store"].step()
    rig.close()
    return store


def test_an_estimated_date_is_the_same_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    without = block_of_run(5, 60_000, [None] * 10)
    first = kill_after_delivery(
        path,
        pack(ALARM, rows_record(1, with_utc(5, 0, 0))),
        # the block after it steps the clock of the run by an hour, in the same batch
        pack(rows_record(2, without), rows_record(3, with_utc(5, 120_000, 3_600_000))),
    )
    assert dates(first, 2) == [[60_000 + 1000 * i for i in range(10)]]
    rig = PipelineRig(path, required={"store"})
    store = ScriptedOutput()
    rig.add_output("store", store)
    due = rig.settle()
    assert rig.ranges(due) == [(3, 1, 3)]
    assert dates(store, 2) == dates(first, 2), "else its rows are twice in the store"
    rig.pipeline._tidy(force=True)
    assert rig.database.query("SELECT COUNT(*) FROM row_date") == [(0,)]
    rig.close()


def test_a_clock_of_the_relay_that_steps_changes_no_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"
    ahead = now_ms() + 3_600_000 - START_MS  # rejected until the clock of the relay is right
    own = [START_MS + 1000 * i for i in range(5)]
    mixed = block_of_run(7, 0, [*own, *[START_MS + ahead + 1000 * i for i in range(5)]])
    first = kill_after_delivery(path, pack(ALARM), pack(rows_record(1, mixed), bulk(2)))
    steps = {-10 * 365 * 86_400_000, 86_400_000}
    for step in steps:
        for module in ("decode.prepare", "records.quarantine"):
            at = now_ms() + step
            monkeypatch.setattr(f"deploy.relay.{module}.now_ms", lambda at=at: at)
        rig = PipelineRig(path, required={"store"})
        rig.add_output("store", again := ScriptedOutput())
        rig.settle()
        assert [dates(again, n) for n in (1, 2)] == [dates(first, n) for n in (1, 2)]
        assert rig.reasons() == []
        with rig.database.transaction():
            rig.database.set_position("store", 0)
        rig.close()


def test_a_wait_does_not_last_longer_when_the_clock_of_the_relay_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig, at = PipelineRig(undated_wait_s=10), [now_ms() + 75 * 365 * 86_400_000]
    for module in ("decode.prepare", "records.quarantine"):
        monkeypatch.setattr(f"deploy.relay.{module}.now_ms", lambda: at[0])
    rig.send(pack(ALARM, rows_record(1, block_of_run(5, 60_000, [None] * 10))))
    at[0] = now_ms() - 75 * 365 * 86_400_000
    rig.pipeline._tidy(force=True)
    assert rig.reasons() == ["undated"]
    at[0] += 11_000
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert (rig.reasons(), [rows.is_dated for rows in rig.rows()]) == ([], [False])
    rig.close()


@pytest.mark.parametrize(
    "error", [OSError(28, "no space"), sqlite3.OperationalError("locked"), MemoryError()]
)
def test_an_error_of_the_machine_is_no_refusal(error: Exception) -> None:
    rig = PipelineRig(required={"store"})
    rig.add_output("store", store := ScriptedOutput())
    deliver = store.deliver

    def fail(items: list[Item]) -> None:
        raise error

    store.deliver = fail  # type: ignore[method-assign]
    rig.receive(pack(ALARM, bulk(1), bulk(2)))
    while rig.pipeline.process():
        pass
    with pytest.raises(type(error)):
        rig.pipeline.workers["store"].step()
    assert rig.reasons() == []
    store.deliver = deliver  # type: ignore[method-assign]
    assert rig.ranges(rig.settle()) == [(0, 1, 1), (3, 1, 2)]
    rig.close()


def test_an_output_that_is_behind_has_the_dates_of_the_others(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db", required={"store"})
    store, late = ScriptedOutput(), ScriptedOutput()
    rig.add_output("store", store)
    rig.add_output("late", late)
    late.ready = lambda: False  # type: ignore[method-assign]
    rig.send(pack(ALARM, rows_record(1, with_utc(5, 0, 0))))
    rig.send(pack(rows_record(2, block_of_run(5, 60_000, [None] * 10))))
    rig.send(pack(rows_record(3, with_utc(5, 120_000, 3_600_000))))
    rig.pipeline._cache.discard(1 << 62)
    late.ready = lambda: True  # type: ignore[method-assign]
    rig.settle()
    assert dates(late, 2) == dates(store, 2) == [[60_000 + 1000 * i for i in range(10)]]
    rig.close()


def test_a_name_has_one_process(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    first = NameLock(path, "a/b")
    with pytest.raises(DeployError, match="another relay with the name 'a/b'"):
        NameLock(path, "a/b")
    other = NameLock(path, "b")
    first.release()
    NameLock(path, "a/b").release()
    other.release()
    with pytest.raises(DeployError, match="No such file"):
        NameLock(tmp_path / "none" / "relay.db", "a")


def test_records_of_a_name_without_a_process_are_found(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path, required={"store"})
    rig.add_output("store", down := ScriptedOutput())
    down.fail = True
    rig.receive(pack(ALARM, bulk(1), bulk(2)))
    rig.pipeline.open()
    rig.pipeline.start()
    rig.pipeline.begin_stop()
    rig.close()
    database = RelayDatabase(path, "b")
    assert find_abandoned(path, database) == {"a": 2}
    lock = NameLock(path, "a")
    assert find_abandoned(path, database) == {}
    lock.release()
    assert find_abandoned(path, database) == {"a": 2}
    database.close()


def test_a_relay_reports_them_once_after_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relay.db"
    database = RelayDatabase(path, "old")
    with database.transaction():
        database.set_position("", 0)
        database.enqueue(UNIT, b"abc", 7, 1, 1, b"x")
    database.close()
    relay = Relay(RelayOptions(BrokerSettings(("127.0.0.1", 1)), path, "new"))
    try:
        lines = []
        for _ in range(3):
            relay.abandoned.due = 0.0
            relay.abandoned.look()
            lines.append(capsys.readouterr().err)
        assert lines == ["", f"{path}: 1 records wait for a relay with --name old\n", ""]
        assert relay._counts()["abandoned_now"] == 1
    finally:
        relay._database.close()
        relay._lock.release()


def test_a_repeated_datagram_waits_for_its_notes(tmp_path: Path) -> None:
    """A relay that was started again does not know that they wait."""
    content = bytes([18, 1, 0, 0, 0, 0]) + b"leak: it is w"
    message = datagram.split(datagram.ALARM, 9, content, 340)[0]
    path = tmp_path / "relay.db"
    for attempt in range(3):
        rig = PipelineRig(path, required={"store"})
        rig.add_output("store", store := ScriptedOutput())
        store.ready = lambda: False  # type: ignore[method-assign]
        assert rig.send(message).acks == [], attempt
        if attempt == 2:
            store.ready = lambda: True  # type: ignore[method-assign]
            assert rig.settle().acks == [(UNIT, 9)]
            assert [json.loads(note.payload)["code"] for note in rig.notes()] == ["leak"]
        rig.close()


class SettlingOutput(ScriptedOutput):
    """Its disk has a batch at the time `due`; `lost`: it was started again before that."""

    BATCH = 2

    def __init__(self) -> None:
        super().__init__()
        self.due = float("inf")
        self.lost = False

    def settling(self) -> Settling | None:
        return Settling(self.due, lambda: not self.lost)


def test_a_batch_that_settles_holds_no_other_and_has_no_receipt_before() -> None:
    rig = PipelineRig(required={"store"})
    rig.add_output("store", store := SettlingOutput())
    worker = rig.pipeline.workers["store"]
    due = rig.send(pack(ALARM, *[bulk(n) for n in range(1, 6)]))
    assert (store.ids(), rig.ranges(due), worker.position) == ([1, 2, 3, 4, 5], [(0, 1, 1)], 0)
    store.due, store.lost = 0.0, True
    worker._settling = deque((last, store.settling()) for last, _ in worker._settling)
    with pytest.raises(OutputError, match="started again"):
        worker.step()
    assert rig.ranges(rig.pipeline.take_receipts()) == []
    store.lost = False
    assert rig.ranges(rig.settle()) == [(3, 1, 5)]
    assert store.ids() == [1, 2, 3, 4, 5] * 2, "they come again"
    store.due, store.refused = float("inf"), {7}
    assert rig.ranges(rig.send(pack(*[bulk(n) for n in range(6, 9)]))) == []
    assert rig.reasons() == ["refused"]
    worker._settling = deque(
        (last, settling and Settling(0, lambda: True)) for last, settling in worker._settling
    )
    assert rig.ranges(rig.settle()) == [(3, 6, 8)]
    rig.close()


@pytest.mark.parametrize("unit", ["s" * 33 + "/u", "s/" + "u" * 4000, "s/u\n", "S/u", "../u", "s/"])
def test_a_name_that_no_unit_can_have(unit: str) -> None:
    assert not is_unit_name(unit)
    assert is_unit_name(UNIT)


def test_a_report_on_a_full_disk_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        report("database or disk is full")
        full.flush = lambda: None  # type: ignore[method-assign]
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_receipt_that_the_client_cannot_publish_stops_no_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = RelayOptions(BrokerSettings(("127.0.0.1", 1)), tmp_path / "relay.db")
    options.outputs, options.required = {"lines": str(tmp_path / "lines")}, set()
    relay = Relay(options)
    for unit in ("s/u#", "s/good"):
        relay._inbox.put(unit, pack(ALARM), None)
    relay.process()
    topics = [message.topic for message in relay._units_client._out_messages.values()]
    assert topics == ["coldloop/v1/s/good/ack"]
    assert relay.pipeline.counts()["failed_receipts"] == 1
    relay.close()
    assert "s/u#/ack" in capfd.readouterr().err
