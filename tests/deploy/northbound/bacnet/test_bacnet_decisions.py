# SPDX-License-Identifier: Apache-2.0
"""A BACnet client that writes its value in each cycle makes one change."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.northbound.access.types import FakeAudit, FakeWriter, Outcome, SetPointChange
from deploy.northbound.bacnet.set_points import SetPointWrites
from deploy.northbound.snapshot import SetPoint, Snapshot

KEY, CLIENT = "supply_setpoint", "10.0.0.9"


class _CycleBench:
    """A unit with the configured value 32 degrees, and the writes of clients."""

    def __init__(self, state: Path) -> None:
        self.writer, self.audit, self.now = FakeWriter(), FakeAudit(), 0.0
        self._state = state
        self.restart()
        self.record(32_000)

    def restart(self) -> None:
        self.writes = SetPointWrites(self.writer, self.audit, lambda: self.now, self._state)

    def record(
        self, raw: int, *, trial: int = 0, writable: bool = True, stale: bool = False
    ) -> None:
        setpoint = SetPoint(KEY, raw, 15_000, 45_000, writable)
        details = {"remote": {"trial": trial}}
        self.writes.update(
            Snapshot(age_ms=0, stale=stale, setpoints={KEY: setpoint}, details=details)
        )

    def submit(self, raw: int, client: str = CLIENT) -> bool:
        return self.writes.submit(SetPointChange(KEY, raw), client)

    def finish(self, state: str) -> None:
        self.writer.results[str(len(self.writer.requests))] = Outcome(state)

    def cycle(self, raw: int, in_force: int, *, accepted: bool) -> None:
        """Write each 10 s for an hour."""
        for _ in range(360):
            assert self.submit(raw) is accepted
            self.now += 10
            self.record(in_force)

    @property
    def sent(self) -> list[int]:
        return [request[0].raw for request in self.writer.requests]  # type: ignore[union-attr]


def test_a_cyclic_write_does_not_undo_a_later_change_of_another_user(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    assert bench.submit(33_000)
    bench.record(32_000)  # on its way
    bench.finish("confirmed")
    bench.record(32_000)  # the record has still the value before
    assert bench.submit(33_000)
    bench.record(33_000)
    bench.now += 60
    bench.record(31_000)  # an administrator
    assert not bench.submit(33_000)
    assert "repeats" in str(bench.audit.entries[-1])
    bench.restart()
    bench.record(31_000)
    assert not bench.submit(33_000)
    assert bench.submit(34_000)
    assert bench.sent == [33_000, 34_000]


def test_a_value_that_is_configured_is_acknowledged_without_a_message(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    bench.cycle(32_000, 32_000, accepted=True)
    assert (bench.sent, bench.audit.entries) == ([], [])
    bench.record(31_000)  # an administrator: a later change than that of the client
    assert not bench.submit(32_000)
    assert bench.sent == []


def test_a_value_on_its_way_or_on_trial_is_acknowledged_once(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    assert bench.submit(33_000)
    assert bench.submit(33_000)
    bench.finish("trial")
    bench.record(33_000, trial=7)
    assert bench.submit(33_000)
    bench.finish("confirmed")
    bench.record(33_000)
    bench.cycle(33_000, 33_000, accepted=True)
    assert bench.sent == [33_000]


def test_the_value_before_is_a_new_change_while_another_one_is_on_its_way(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    assert bench.submit(33_000)
    assert bench.submit(32_000), "the writer decides"
    assert bench.sent == [33_000, 32_000]


@pytest.mark.parametrize("state", ["writable", "stale"])
def test_what_is_not_known_or_not_permitted_goes_to_the_writer(tmp_path: Path, state: str) -> None:
    bench = _CycleBench(tmp_path)
    bench.record(32_000, writable=state != "writable", stale=state == "stale")
    bench.submit(32_000)
    assert bench.sent == [32_000]


def test_a_cyclic_writer_does_not_try_again_what_the_unit_has_rolled_back(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    assert bench.submit(34_000)
    bench.finish("trial")
    bench.record(34_000, trial=7)
    bench.finish("rolled_back")
    bench.record(34_000)  # the record has still the value on trial
    bench.cycle(34_000, 32_000, accepted=False)
    assert "rolled it back" in str(bench.audit.entries[-1])
    bench.restart()
    bench.record(32_000)
    bench.cycle(34_000, 32_000, accepted=False)
    assert bench.sent == [34_000]
    assert bench.submit(34_000, "10.0.0.8"), "another client decides for itself, once"
    bench.finish("rolled_back")
    bench.record(32_000)
    assert not bench.submit(34_000, "10.0.0.8")
    bench.cycle(34_000, 32_000, accepted=False)
    assert bench.submit(32_000)
    assert bench.submit(34_000), "after another value it is a new change"
    assert bench.sent == [34_000, 34_000, 34_000]


def test_two_cyclic_clients_do_not_change_a_value_for_ever(tmp_path: Path) -> None:
    """The later change stays; the client that repeats the older one is refused."""
    bench = _CycleBench(tmp_path)
    assert bench.submit(33_000)
    bench.finish("confirmed")
    bench.record(33_000)
    assert bench.submit(31_000, "10.0.0.8")
    bench.finish("confirmed")
    bench.record(31_000)
    bench.now += 60
    for _ in range(100):
        assert bench.submit(31_000, "10.0.0.8")
        assert not bench.submit(33_000)
        bench.now += 10
        bench.record(31_000)
    assert bench.sent == [33_000, 31_000]


def test_a_restart_in_the_trial_of_a_change_that_is_rolled_back(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    assert bench.submit(34_000)
    bench.record(34_000, trial=7)
    bench.restart()
    bench.record(34_000, trial=7)
    assert bench.submit(34_000), "on trial"
    bench.now += 60
    bench.record(32_000)
    bench.cycle(34_000, 32_000, accepted=False)
    assert bench.sent == [34_000]


def test_a_change_that_the_unit_refused_is_sent_again(tmp_path: Path) -> None:
    """A refusal such as `busy` is no statement on the value."""
    bench = _CycleBench(tmp_path)
    assert bench.submit(34_000)
    bench.finish("refused")
    bench.record(32_000)
    assert bench.submit(34_000)
    assert bench.sent == [34_000, 34_000]


def test_the_record_just_after_a_trial_of_another_user_is_no_change(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    assert bench.submit(33_000)
    bench.finish("confirmed")
    bench.record(33_000)
    bench.now += 60
    bench.record(31_000, trial=77)  # of an administrator
    bench.now += 1
    bench.record(31_000)  # rolled back; the record has still the value on trial
    assert bench.submit(33_000)
    bench.record(33_000)
    bench.record(31_000, trial=78)
    bench.now += 6
    bench.record(31_000)  # kept
    assert not bench.submit(33_000)


def test_two_clients_that_repeat_one_value_write_no_file(tmp_path: Path) -> None:
    bench = _CycleBench(tmp_path)
    files = set()
    for number in range(8):
        assert bench.submit(32_000, f"10.0.0.{number % 2}")
        if number:
            files.add((tmp_path / "bacnet-decisions.json").stat().st_ino)
    assert len(files) == 1


def test_a_value_that_another_user_has_on_trial_is_acknowledged(tmp_path: Path) -> None:
    """The object shows it, so a client that follows the present value reports no fault."""
    bench = _CycleBench(tmp_path)
    bench.record(31_200, trial=77)
    assert bench.submit(31_200)
    assert bench.sent == []
    bench.record(32_000)  # rolled back: it was no decision of the client
    bench.now += 60
    bench.record(32_000)
    assert bench.submit(31_200)
    assert bench.sent == [31_200]
