# SPDX-License-Identifier: Apache-2.0
"""A value that another user has set stays, whatever happens before the master repeats its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.northbound.access.types import FakeWriter, Outcome, Refusal, SetPointChange
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.server import ModbusClient
from deploy.northbound.snapshot import SetPoint
from tests.deploy.northbound.modbus.modbus_rig import LOOPBACK, ModbusRig

SUPPLY = layout.slot_address(0, "wanted")
PRESSURE = layout.slot_address(1, "wanted")
LOCAL = ModbusClient("127.0.0.1")
MINE, OTHERS = 3300, 3400
"""Counts of the master and of the administrator; 3200 was in force before."""


def _configure(raw: int, step: int = 0) -> Callable[[FakeSource], None]:
    def change(source: FakeSource) -> None:
        if source.snapshot.stale:
            source.step()
        setpoint = SetPoint("supply_setpoint", raw, 15_000, 45_000, True, step=step)
        source.replace(setpoints={**source.snapshot.setpoints, "supply_setpoint": setpoint})

    return change


def _slot(rig: ModbusRig) -> tuple[int, int]:
    image = rig.registers.registers()
    return (
        image[layout.slot_address(0, "result")],
        image[layout.slot_address(0, "reason")],
    )


class _Master:
    """A master that writes its value; `rig` can be replaced by one after a restart."""

    def __init__(self, rig: ModbusRig) -> None:
        self.rig, self._number = rig, 0

    def alive(self) -> None:
        self._number += 1
        self.rig.registers.write(layout.KEEP_ALIVE, self._number, LOCAL)

    def write(self, counts: int = MINE, address: int = SUPPLY) -> int:
        return self.rig.registers.write(address, counts, LOCAL)


def _write_once(memory: Path, outcome: Outcome, raw: int) -> tuple[ModbusRig, _Master, FakeWriter]:
    """A master has written its value; `raw` is in force after the outcome."""
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=memory)
    rig.next_record(_configure(32_000))
    master = _Master(rig)
    master.alive()
    assert master.write() == 0
    writer.results["1"] = outcome
    rig.next_record(_configure(raw))
    return rig, master, writer


def _make(memory: Path) -> tuple[ModbusRig, _Master, FakeWriter]:
    """A master has set its value, and the unit has kept it."""
    found = _write_once(memory, Outcome("confirmed"), 33_000)
    assert _slot(found[0]) == (2, 0)
    return found


def _silent(master: _Master) -> None:
    """A reboot of the master: it begins with its value, before the keep-alive."""
    master.rig.time.now += 65
    master.rig.registers.refresh()
    master.write()


def _stale(master: _Master) -> None:
    """The agent stands, as in its restart."""
    master.rig.next_record(FakeSource.stop)
    master.alive()
    master.write()


def _outside(master: _Master) -> None:
    assert master.write(4501) == 3


def _step(master: _Master) -> None:
    assert master.write(4400) == 3


def _too_soon(master: _Master) -> None:
    assert master.write(3350) == 6


def _no_keep_alive(master: _Master) -> None:
    master.rig.time.now += 61
    assert master.write(3350) == 6


def _refused(master: _Master) -> None:
    writer = master.rig.writer
    assert writer is not None
    master.rig.time.now += 61
    master.alive()
    writer.refusal = Refusal("another change is on trial", 30)
    assert master.write(3350) == 6
    writer.refusal = None


TRANSIENT = [_silent, _stale, _outside, _step, _too_soon, _no_keep_alive, _refused]


def _repeat(master: _Master, writer: FakeWriter, *, sent: int = 1) -> None:
    """The master goes on for an hour; nothing more is sent, and the slot says why."""
    for _ in range(120):
        assert master.write() == 0
        master.alive()
        assert master.write() == 0
        master.rig.time.now += 30
        master.rig.next_record(_configure(34_000, step=10_000))
    assert _slot(master.rig) == (5, 11)
    assert len(writer.requests) == sent
    master.rig.time.now += 3600
    master.rig.registers.refresh()
    assert len(writer.requests) == sent, "nothing at the end of the keep-alive"


@pytest.mark.parametrize("event", TRANSIENT)
def test_no_refusal_ends_the_decision_of_another_user(
    event: Callable[[_Master], None], tmp_path: Path
) -> None:
    rig, master, writer = _make(tmp_path / "restore.json")
    rig.next_record(_configure(34_000, step=5000))
    assert _slot(rig) == (5, 11)
    event(master)
    rig.next_record(_configure(34_000, step=5000))
    _repeat(master, writer)


@pytest.mark.parametrize("event", [_stale, _outside, _step, _too_soon])
def test_a_refusal_before_the_change_of_another_user(
    event: Callable[[_Master], None], tmp_path: Path
) -> None:
    """The result of the slot is `refused` when the other user changes the value."""
    rig, master, writer = _make(tmp_path / "restore.json")
    rig.next_record(_configure(33_000, step=5000))
    event(master)
    rig.next_record(_configure(34_000, step=5000))
    _repeat(master, writer)


@pytest.mark.parametrize("silent_s", [0, 30, 65, 4000])
@pytest.mark.parametrize("restart_before", [True, False])
def test_restarts_of_the_server(tmp_path: Path, silent_s: int, *, restart_before: bool) -> None:
    """The other user changes the value before the restart, or while the server is down."""
    memory = tmp_path / "restore.json"
    rig, _, writer = _make(memory)
    if not restart_before:
        rig.next_record(_configure(34_000))
        rig.time.now += silent_s
        rig.registers.refresh()
    again = ModbusRig(writer, LOOPBACK, memory=memory)
    master = _Master(again)
    again.next_record(_configure(34_000))
    assert _slot(again) == (5, 11)
    if restart_before:
        again.time.now += silent_s
        again.registers.refresh()
    _repeat(master, writer)


def test_a_change_that_was_rolled_back_is_no_claim(tmp_path: Path) -> None:
    """The unit takes 35 degrees back; a repetition is held, also after another user's change."""
    rig, master, writer = _make(tmp_path / "restore.json")
    rig.time.now += 61
    master.alive()
    rig.next_record(_configure(33_000))
    assert master.write(3500) == 0
    writer.results[str(len(writer.requests))] = Outcome("rolled_back")
    rig.next_record(_configure(33_000))
    assert _slot(rig) == (3, 0)
    sent = len(writer.requests)
    rig.time.now += 61
    master.alive()
    assert master.write(3500) == 0
    assert (_slot(rig), len(writer.requests)) == ((3, 0), sent), "the unit has taken it back"
    rig.next_record(_configure(34_000))
    rig.time.now += 61
    master.alive()
    assert master.write(3500) == 0
    assert _slot(rig) == (5, 11)
    assert len(writer.requests) == sent


def test_a_value_of_the_master_that_another_user_sets_stays(tmp_path: Path) -> None:
    """The administrator goes back to an earlier value of the master: that too is a decision."""
    rig, master, writer = _make(tmp_path / "restore.json")
    rig.time.now += 50
    master.alive()
    rig.time.now += 15
    assert master.write(3500) == 0
    writer.results["2"] = Outcome("confirmed")
    rig.next_record(_configure(35_000))
    rig.next_record(_configure(33_000))
    assert _slot(rig) == (5, 11)
    rig.time.now += 3600
    rig.registers.refresh()
    assert len(writer.requests) == 2


def test_after_the_return_the_old_value_is_a_new_decision(tmp_path: Path) -> None:
    """The server itself has taken the value back: no other user."""
    rig, master, writer = _make(tmp_path / "restore.json")
    rig.time.now += 61
    rig.registers.refresh()
    assert writer.requests[-1][0] == SetPointChange("supply_setpoint", 32_000)
    master.alive()
    assert master.write() == 6, "the return is on trial"
    writer.results["2"] = Outcome("confirmed")
    rig.next_record(_configure(32_000))
    assert master.write() == 0
    assert _slot(rig) == (1, 0)
    assert len(writer.requests) == 3


def _rolled_back(memory: Path) -> tuple[ModbusRig, _Master, FakeWriter]:
    """A master has written 33 degrees, and the unit has rolled this back to 32."""
    found = _write_once(memory, Outcome("rolled_back", "unwell"), 32_000)
    assert _slot(found[0]) == (3, 0)
    return found


def _cycle(master: _Master, raw: int = 32_000, *, seconds: int = 7200) -> None:
    """The master writes its value each 10 s."""
    for _ in range(seconds // 10):
        master.alive()
        assert master.write() == 0
        master.rig.time.now += 10
        master.rig.next_record(_configure(raw))


def test_a_cyclic_writer_does_not_try_again_what_the_unit_has_rolled_back(tmp_path: Path) -> None:
    rig, master, writer = _rolled_back(tmp_path / "restore.json")
    _cycle(master)
    assert (_slot(rig), len(writer.requests)) == ((3, 0), 1)
    assert len([e for e in rig.audit.entries if "rolled it back" in e[-1]]) == 1


@pytest.mark.parametrize("event", TRANSIENT)
def test_no_refusal_ends_a_rollback(event: Callable[[_Master], None], tmp_path: Path) -> None:
    rig, master, writer = _rolled_back(tmp_path / "restore.json")
    rig.next_record(_configure(32_000, step=5000))
    if event not in (_too_soon, _no_keep_alive):
        rig.time.now += 61
        master.alive()
    event(master)
    _cycle(master)
    assert (_slot(rig), len(writer.requests)) == ((3, 0), 1)


def test_a_restart_keeps_the_rollback(tmp_path: Path) -> None:
    _, _, writer = _rolled_back(tmp_path / "restore.json")
    again = ModbusRig(writer, LOOPBACK, memory=tmp_path / "restore.json")
    again.next_record(_configure(32_000))
    assert _slot(again) == (3, 0)
    _cycle(_Master(again))
    assert (_slot(again), len(writer.requests)) == ((3, 0), 1)


def test_another_value_ends_the_rollback(tmp_path: Path) -> None:
    rig, master, writer = _rolled_back(tmp_path / "restore.json")
    rig.time.now += 61
    master.alive()
    assert master.write(3200) == 0
    assert _slot(rig) == (2, 0), "the value in force is another value"
    assert master.write() == 0
    assert (_slot(rig), len(writer.requests)) == ((1, 0), 2)


def test_two_masters_with_their_own_values_try_each_one_once(tmp_path: Path) -> None:
    """The value of the one does not end the rollback of the other."""
    rig, master, writer = _rolled_back(tmp_path / "restore.json")
    second = ModbusClient("127.0.0.2")
    for number in range(1, 400):
        rig.time.now += 20
        master.alive()
        assert master.write() == 0
        assert rig.registers.write(layout.KEEP_ALIVE, number, second) == 0
        assert rig.registers.write(SUPPLY, 3400, second) in (0, 6)
        if writer.results[str(len(writer.requests))].state == "pending":
            writer.results[str(len(writer.requests))] = Outcome("rolled_back")
        rig.next_record(_configure(32_000))
    assert [request[0] for request in writer.requests] == [
        SetPointChange("supply_setpoint", 33_000),
        SetPointChange("supply_setpoint", 34_000),
    ]


def test_the_record_just_after_a_rollback_can_have_the_value_on_trial(tmp_path: Path) -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=tmp_path / "restore.json")
    rig.next_record(_configure(32_000))
    master = _Master(rig)
    master.alive()
    assert master.write() == 0
    writer.results["1"] = Outcome("rolled_back", "unwell")
    rig.next_record(_configure(33_000))
    assert master.write() == 0
    rig.time.now += 1
    rig.next_record(_configure(33_000))
    assert _slot(rig) == (3, 0)
    _cycle(master)
    assert (_slot(rig), len(writer.requests)) == ((3, 0), 1)


def test_an_administrator_sets_the_value_that_was_rolled_back(tmp_path: Path) -> None:
    """It is in force: no rollback any more; a later change is one of another user."""
    rig, master, writer = _rolled_back(tmp_path / "restore.json")
    rig.time.now += 60
    _cycle(master, 33_000, seconds=600)
    assert _slot(rig) == (2, 0)
    _cycle(master, 34_000, seconds=600)
    assert (_slot(rig), len(writer.requests)) == ((5, 11), 1)


def _two_masters(memory: Path) -> tuple[ModbusRig, _Master, FakeWriter, ModbusClient]:
    """The first master cycles 33 degrees; the second one has set 31, and the unit has kept it."""
    rig, master, writer = _make(memory)
    second = ModbusClient("127.0.0.2")
    rig.time.now += 61
    assert rig.registers.write(layout.KEEP_ALIVE, 1, second) == 0
    assert rig.registers.write(SUPPLY, 3100, second) == 0
    assert master.write() == 0, "no fault of its driver while the other change is on trial"
    rig.next_record(_configure(33_000))
    assert _slot(rig) == (1, 0), "the slot has the change on trial"
    writer.results["2"] = Outcome("confirmed")
    rig.next_record(_configure(31_000))
    return rig, master, writer, second


@pytest.mark.parametrize("restart", [True, False])
def test_a_cyclic_master_does_not_undo_the_change_of_another_master(
    tmp_path: Path, *, restart: bool
) -> None:
    rig, master, writer, second = _two_masters(tmp_path / "restore.json")
    if restart:
        rig = ModbusRig(writer, LOOPBACK, memory=tmp_path / "restore.json")
        rig.next_record(_configure(31_000))
        master = _Master(rig)
    for number in range(2, 400):
        rig.time.now += 10
        master.alive()
        assert rig.registers.write(layout.KEEP_ALIVE, number, second) == 0
        assert master.write() == 0
        assert _slot(rig) == (5, 11)
        if number % 2:
            assert rig.registers.write(SUPPLY, 3100, second) == 0
            assert _slot(rig) == (2, 0)
        rig.next_record(_configure(31_000))
    assert len(writer.requests) == 2
    rig.next_record(_configure(34_000))  # an administrator: both are held
    for client in (LOCAL, second):
        assert rig.registers.write(SUPPLY, 3300 if client is LOCAL else 3100, client) == 0
        assert _slot(rig) == (5, 11)
    assert len(writer.requests) == 2
    assert master.write(3350) == 0, "another value is a new change"
    assert len(writer.requests) == 3


def test_a_master_whose_value_is_in_force_again_is_not_held(tmp_path: Path) -> None:
    """The unit rolls the change of the second master back."""
    rig, master, writer = _make(tmp_path / "restore.json")
    second = ModbusClient("127.0.0.2")
    rig.time.now += 61
    assert rig.registers.write(layout.KEEP_ALIVE, 1, second) == 0
    assert rig.registers.write(SUPPLY, 3100, second) == 0
    assert master.write() == 0
    writer.results["2"] = Outcome("rolled_back")
    rig.next_record(_configure(33_000))
    rig.time.now += 5
    master.alive()
    rig.next_record(_configure(33_000))
    assert master.write() == 0
    assert _slot(rig) == (2, 0)
    assert rig.registers.write(SUPPLY, 3100, second) == 0
    assert _slot(rig) == (3, 0)
    assert len(writer.requests) == 2


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ('{"supply_setpoint": [3300, 3200, false]}', (0, 0)),
        ('{"supply_setpoint": [3300, 3200, true]}', (5, 11)),
        ('{"supply_setpoint": [3300, 3200, true, "127.0.0.1"]}', (5, 11)),
        ('{"supply_setpoint": [3300, 3200, false, "127.0.0.1", "refused"]}', (0, 0)),
        ('{"supply_setpoint": [3300, 3200, false, "127.0.0.1", "on trial"]}', (1, 0)),
        ('{"supply_setpoint": [3300, 3200, false, "127.0.0.1", "rolled back"]}', (3, 0)),
    ],
)
def test_the_server_starts_with_each_state_and_with_the_file_of_an_older_program(
    tmp_path: Path, text: str, slot: tuple[int, int]
) -> None:
    (tmp_path / "modbus-decisions.json").write_text(text)
    (tmp_path / "restore.json").write_text('{"pressure_setpoint": [120000, 110000]}')
    rig = ModbusRig(FakeWriter(), LOOPBACK, memory=tmp_path / "restore.json")
    rig.next_record(_configure(32_000))
    assert _slot(rig) == slot


def test_a_repetition_of_the_value_in_force_is_no_decision_against_a_refused_one(
    tmp_path: Path,
) -> None:
    """The second master repeats what is in force; the unit was busy when the first one wrote."""
    rig, master, writer = _make(tmp_path / "restore.json")
    second = ModbusClient("127.0.0.2")

    def repeat(number: int) -> None:
        master.alive()
        assert rig.registers.write(layout.KEEP_ALIVE, number, second) == 0
        assert rig.registers.write(SUPPLY, 3300, second) == 0

    repeat(1)
    rig.time.now += 61
    repeat(2)
    assert master.write(3400) == 0
    writer.results["2"] = Outcome("refused", "busy: one change in 10 s")
    rig.next_record(_configure(33_000))
    for number in (3, 4, 5):
        rig.time.now += 30
        repeat(number)
        rig.next_record(_configure(33_000))
    assert master.write(3400) == 0
    assert (_slot(rig), len(writer.requests)) == ((1, 0), 3)


def test_two_redundant_masters_try_one_value_once(tmp_path: Path) -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=tmp_path / "restore.json")
    rig.next_record(_configure(32_000))
    second, master = ModbusClient("127.0.0.2"), _Master(rig)
    for number in range(1, 400):
        master.alive()
        assert rig.registers.write(layout.KEEP_ALIVE, number, second) == 0
        assert master.write() == 0
        assert rig.registers.write(SUPPLY, 3300, second) == 0
        if number == 3:
            writer.results["1"] = Outcome("rolled_back")
        rig.time.now += 10
        rig.next_record(_configure(32_000))
    assert (_slot(rig), len(writer.requests)) == ((3, 0), 1)


def _on_trial(raw: int, *, trial: bool = True) -> Callable[[FakeSource], None]:
    """The record while the unit tries a change: the value on trial is in force."""

    def change(source: FakeSource) -> None:
        _configure(raw)(source)
        source.replace(details={"remote": {"trial": trial}})

    return change


def test_a_restart_during_the_trial_invents_no_other_user(tmp_path: Path) -> None:
    """The unit takes the change back, and the master goes on: a repetition."""
    writer = FakeWriter()
    memory = tmp_path / "restore.json"
    rig = ModbusRig(writer, LOOPBACK, memory=memory)
    rig.next_record(_configure(32_000))
    master = _Master(rig)
    master.alive()
    assert master.write() == 0
    rig.next_record(_on_trial(33_000))
    again = ModbusRig(writer, LOOPBACK, memory=memory)
    again.next_record(_on_trial(33_000))
    master = _Master(again)
    master.alive()
    assert master.write() == 0
    assert _slot(again) == (1, 0), "not kept yet"
    again.next_record(_on_trial(32_000, trial=False))
    assert master.write() == 0
    assert _slot(again) == (1, 0), "a message of before the restart can be on its way"
    again.time.now += 5
    again.next_record(_on_trial(32_000, trial=False))
    assert _slot(again) == (3, 0)
    assert again.audit.entries == []
    assert master.write() == 0
    assert _slot(again) == (3, 0)
    assert len(writer.requests) == 1
    assert [e[-1] for e in again.audit.entries] == [
        "without effect: the client repeats its value, the unit has rolled it back"
    ]


def test_a_trial_of_another_user_is_no_change_yet(tmp_path: Path) -> None:
    rig, master, writer = _make(tmp_path / "restore.json")
    rig.next_record(_on_trial(34_000))
    rig.time.now += 6
    rig.registers.refresh()
    assert _slot(rig) == (2, 0)
    assert master.write() == 0
    assert [e for e in rig.audit.entries if "another user" in e[-1]] == []
    rig.next_record(_on_trial(33_000, trial=False))  # rolled back
    assert _slot(rig) == (2, 0)
    rig.next_record(_on_trial(34_000, trial=False))
    assert _slot(rig) == (2, 0), "the record may have the value on trial"
    rig.time.now += 6
    rig.registers.refresh()
    assert _slot(rig) == (5, 11)
    (entry,) = [e for e in rig.audit.entries if "another user" in e[-1]]
    assert "repeats" not in entry[-1], "no client has repeated anything"
    assert master.write() == 0
    assert master.write() == 0
    repeated = [e for e in rig.audit.entries if "repeats" in e[-1]]
    assert [e[:2] for e in repeated] == [("127.0.0.1", "127.0.0.1")]
    assert len(writer.requests) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"supply_setpoint": [1]}',
        '{"supply_setpoint": [[], 1, 1]}',
        "[" * 5000,
        '{"supply_setpoint": [3300, 3200, false, "127.0.0.1", "x"]}',
        '{"claims": []}',
        '{"claims": {"supply_setpoint": [["127.0.0.1", 3300, "x"]]}}',
        '{"claims": 7}',
    ],
)
def test_a_bad_file_has_no_decisions(tmp_path: Path, text: str) -> None:
    (tmp_path / "modbus-decisions.json").write_text(text)
    rig = ModbusRig(FakeWriter(), LOOPBACK, memory=tmp_path / "restore.json")
    rig.next_record(_configure(34_000))
    master = _Master(rig)
    master.alive()
    assert master.write() == 0
    assert _slot(rig) == (1, 0)
