# SPDX-License-Identifier: Apache-2.0
"""Alarms that arrive while the clock of the relay is slow: they do not wait, and get their time."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.relay.decode.prepare import TIME_ONLY
from deploy.relay.decode.row_format import Note
from deploy.relay.outputs.base import OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.outputs.postgres_output import PostgresOutput
from tests.deploy.relay.relay_rig import UNIT, PipelineRig, note_record, pack
from tests.deploy.relay.stores.servers import PostgresServer, postgres

_NOW_MS = 1_760_000_000_000
_SLOW_MS = 3_600_000


class _Rig:
    """A pipeline with a fleet store and a clock that is an hour slow."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = _NOW_MS - _SLOW_MS
        for module in ("decode.prepare", "records.quarantine"):
            monkeypatch.setattr(f"deploy.relay.{module}.now_ms", lambda: self.now)
        self.rig = PipelineRig(folder / "relay.db", required={"fleet"})
        self.store = FleetStoreOutput(self.context(str(folder / "fleet.db")))
        self.rig.add_output("fleet", self.store)

    def context(self, argument: str) -> OutputContext:
        no_publisher = None
        return OutputContext(
            *(argument, "r", "", no_publisher, lambda: 0, lambda: self.now, dict)  # type: ignore[arg-type]
        )

    def send(self, number: int, change: str, time_ms: int) -> list[tuple[int, int, int]]:
        content = {"alarm": change, "code": "leak", "t": time_ms}
        due = self.rig.send(pack(note_record(number, json.dumps(content).encode())))
        return self.rig.ranges(due)

    def later(self, now: int) -> None:
        self.now = now
        self.rig.pipeline.preparer.release_due()
        self.rig.pipeline._has_new = True
        self.rig.settle()
        self.rig.settle()

    def times(self) -> tuple[list[int], list[int]]:
        """Return the times of the notes and of the active alarms."""
        notes = self.store._db.execute("SELECT t_ms FROM note ORDER BY record").fetchall()
        alarms = self.store._db.execute("SELECT t_ms FROM alarm").fetchall()
        return [at for (at,) in notes], [at for (at,) in alarms]


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Rig]:
    made = _Rig(tmp_path, monkeypatch)
    yield made
    made.store.close()
    made.rig.close()


def test_an_alarm_gets_its_time_when_the_clock_is_right(slow: _Rig) -> None:
    assert slow.send(1, "raised", _NOW_MS) == [(0, 1, 1)], "with its receipt"
    assert slow.times() == ([0], [slow.now]), "the alarm did not wait"
    assert slow.rig.reasons() == ["undated"]
    slow.later(_NOW_MS - _SLOW_MS + 5000)
    assert slow.times()[0] == [0]
    slow.later(_NOW_MS + 7000)
    assert slow.times() == ([_NOW_MS], [_NOW_MS])
    assert slow.rig.reasons() == []


def test_an_alarm_that_has_ended_stays_so(slow: _Rig) -> None:
    slow.send(1, "raised", _NOW_MS)
    slow.send(2, "cleared", _NOW_MS + 1000)
    slow.later(_NOW_MS + 7000)
    assert slow.times() == ([_NOW_MS, _NOW_MS + 1000], [])


def test_a_time_that_never_comes_is_given_up(slow: _Rig) -> None:
    slow.send(1, "raised", _NOW_MS + 10 * 365 * 86_400_000)
    for hours in range(40):
        slow.later(slow.now + hours * 3_600_000)
    assert slow.times()[0] == [0]
    assert slow.rig.reasons() == []
    assert slow.send(2, "raised", 1 << 60) == [(0, 2, 2)]
    assert slow.rig.reasons() == [], "no clock will ever show it"


def test_a_retry_before_the_time_waits_on(slow: _Rig) -> None:
    slow.send(1, "raised", _NOW_MS)
    (held,) = slow.rig.pipeline.quarantine.find()
    assert held.entry.output == TIME_ONLY
    with slow.rig.database.transaction():
        slow.rig.pipeline.quarantine.give_back([held.entry.id])
    slow.later(slow.now + 1000)
    assert slow.rig.reasons() == ["undated"]
    slow.later(_NOW_MS)
    assert slow.times() == ([_NOW_MS], [_NOW_MS])


def test_a_relay_that_starts_again_waits_once(
    slow: _Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.rig.receive(pack(note_record(1, json.dumps({"event": "x", "t": _NOW_MS}).encode())))
    slow.rig.pipeline.prepare()
    again = _Rig(tmp_path, monkeypatch)
    again.rig.settle()
    assert again.rig.reasons() == ["undated"]
    again.later(_NOW_MS)
    assert again.times()[0] == [_NOW_MS]
    again.store.close()
    again.rig.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as found:
        yield found


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_postgres_stores_the_time_later(
    server: PostgresServer, slow: _Rig, in_one_batch: bool
) -> None:
    output = PostgresOutput(slow.context(server.uri))
    server.query("DROP TABLE IF EXISTS coldloop_note")
    notes = [Note(UNIT, 4 * n, {"n": n}, "01", 0) for n in (1, 2)]
    dated = [Note(UNIT, 4, {"n": 1}, "01", _NOW_MS)]
    if in_one_batch:
        output.deliver([*notes, *dated])
    else:
        output.deliver(notes)
        output.deliver(list(dated))
    output.deliver([*notes])
    found = server.query("SELECT record, extract(epoch FROM t)::int FROM coldloop_note ORDER BY 1")
    assert found == [(4, _NOW_MS // 1000), (8, None)]
    output.close()
