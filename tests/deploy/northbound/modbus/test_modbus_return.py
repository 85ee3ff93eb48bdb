# SPDX-License-Identifier: Apache-2.0
"""The return of a set-point whose master has ended: in steps, with pauses, whatever others do."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.northbound.access.types import FakeWriter, Outcome, Refusal, SetPointChange, Submission
from deploy.northbound.access.types import UnitCommand as Command
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.returns import next_step
from deploy.northbound.modbus.server import ModbusClient
from deploy.northbound.modbus.set_points import UnitRegisters
from deploy.northbound.snapshot import SetPoint
from tests.deploy.northbound.modbus.modbus_rig import LOOPBACK, ModbusRig

SUPPLY = layout.slot_address(0, "wanted")
MASTER, OTHER = ModbusClient("127.0.0.1"), ModbusClient("127.0.0.2")


class _Unit(FakeWriter):
    """Keeps each change that its limits permit; `well`: else it rolls it back."""

    def __init__(self, configured: int, low: int = 15_000, step: int = 1000) -> None:
        super().__init__()
        self.setpoint = SetPoint("supply_setpoint", configured, low, 45_000, True, step=step)
        self.well, self.refused, self.asked = True, 0, 0

    def submit(
        self, request: SetPointChange | Command, user: str, address: str, protocol: str
    ) -> Submission | Refusal:
        assert isinstance(request, SetPointChange)
        self.asked += 1
        now = self.setpoint.configured
        assert now is not None
        if abs(request.raw - now) > self.setpoint.step or request.raw < self.setpoint.low:
            self.refused += 1
            return Refusal("too big a step")
        return super().submit(request, user, address, protocol)

    def end_trial(self) -> None:
        last = str(len(self.requests))
        if self.results and self.results[last].state == "pending":
            (request, *_), state = self.requests[-1], "confirmed" if self.well else "rolled_back"
            assert isinstance(request, SetPointChange)
            self.results[last] = Outcome(state)
            if self.well:
                self.setpoint = SetPoint(
                    "supply_setpoint", request.raw, self.setpoint.low, 45_000, True,
                    step=self.setpoint.step,
                )  # fmt: skip


class _ReturnBench:
    def __init__(self, unit: _Unit, memory: Path) -> None:
        self.unit, self.memory, self.number = unit, memory, 0
        self.restart()

    def restart(self) -> None:
        self.rig = rig = ModbusRig(self.unit, LOOPBACK)
        rig.source.replace(setpoints={"supply_setpoint": self.unit.setpoint})
        rig.registers = UnitRegisters(
            rig.source, rig.audit, rig.time, self.unit, LOOPBACK, self.memory
        )

    def record(self) -> None:
        self.rig.source.replace(setpoints={"supply_setpoint": self.unit.setpoint})
        self.rig.registers.refresh()

    def others(self, raw: int, *, on_trial: bool) -> None:
        """A record with the change of another user; 5 s pass."""
        self.rig.time.now += 5
        changed = replace(self.unit.setpoint, configured=raw)
        trial = {"remote": {"trial": 77 if on_trial else 0}}
        self.rig.source.replace(setpoints={"supply_setpoint": changed}, details=trial)
        self.rig.registers.refresh()

    def run(self, seconds: int, alive: ModbusClient | None = None) -> None:
        for _ in range(seconds // 5):
            self.rig.time.now += 5
            if alive:
                self.alive(alive)
            self.record()
            self.unit.end_trial()
            self.record()

    def alive(self, client: ModbusClient) -> None:
        self.number = self.number % 60_000 + 1
        assert self.rig.registers.write(layout.KEEP_ALIVE, self.number, client) == 0

    def ramp(self, *values: int) -> None:
        for counts in values:
            self.run(60, MASTER)
            assert self.rig.registers.write(SUPPLY, counts, MASTER) == 0
        self.run(10, MASTER)
        assert self.unit.setpoint.configured == values[-1] * 10

    def slot(self) -> tuple[int, int]:
        image = self.rig.registers.registers()
        return tuple(image[layout.slot_address(0, name)] for name in ("result", "reason"))  # type: ignore[return-value]


@pytest.mark.parametrize("restart_after_s", [0, 30, 75, 90])
@pytest.mark.parametrize("alive", [None, OTHER])
def test_a_ramp_returns_in_steps(
    tmp_path: Path, restart_after_s: int, alive: ModbusClient | None
) -> None:
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200, 3300, 3400, 3500)
    if restart_after_s:
        bench.run(restart_after_s, alive)
        bench.restart()
    bench.run(400, alive)
    assert unit.setpoint.configured == 31_000
    assert unit.refused == 0
    sent = [request[0] for request in unit.requests]
    assert sent[4:] == [
        SetPointChange("supply_setpoint", raw) for raw in (34_000, 33_000, 32_000, 31_000)
    ]
    entries = [entry[-1] for entry in bench.rig.audit.entries]
    assert not [text for text in entries if "another user" in text]
    bench.alive(MASTER)
    assert bench.rig.registers.write(SUPPLY, 3200, MASTER) == 0, "a new decision"
    assert len(unit.requests) == 9


def test_an_administrator_ends_the_way_back(tmp_path: Path) -> None:
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200, 3300, 3400, 3500)
    bench.run(60)
    assert unit.setpoint.configured == 34_000
    unit.setpoint = SetPoint("supply_setpoint", 33_700, 15_000, 45_000, True, step=1000)
    bench.run(400)
    assert unit.setpoint.configured == 33_700
    assert (tmp_path / "restore.json").read_text() == "{}"


def test_the_return_ends_at_the_limit(tmp_path: Path) -> None:
    """Operators had set a value that northbound.writes does not permit."""
    unit = _Unit(29_500, low=30_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3050, 3150)
    bench.run(400)
    assert unit.setpoint.configured == 30_000
    assert unit.refused == 0
    assert (tmp_path / "restore.json").read_text() == "{}"


def test_a_return_that_this_server_refuses_has_pauses_and_reason_8(tmp_path: Path) -> None:
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    unit.refusal = Refusal("another change is on trial", 30)
    attempts = []
    for _ in range(600):
        bench.rig.time.now += 1
        bench.alive(OTHER)
        asked = unit.asked
        bench.record()
        if unit.asked > asked:
            attempts.append(bench.rig.time.now)
            assert bench.slot() == (2, 8)
    pauses = [round(b - a) for a, b in itertools.pairwise(attempts)]
    assert pauses[:6] == [5, 10, 20, 40, 60, 60]
    unit.refusal = None
    bench.run(120, OTHER)
    assert unit.setpoint.configured == 31_000


def test_a_return_that_is_rolled_back_leaves_time_to_others(tmp_path: Path) -> None:
    """Another client's keep-alive does not make the pauses of the return short."""
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    unit.well = False
    bench.run(8 * 3600, OTHER)
    assert 8 <= len(unit.requests) - 1 <= 11
    unit.well = True
    bench.run(3700, OTHER)
    assert unit.setpoint.configured == 31_000


def test_refused_writes_do_not_end_the_return(tmp_path: Path) -> None:
    """The master tries other values while a change of another user is on trial."""
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    bench.run(60, MASTER)
    unit.refusal = Refusal("another change is on trial", 30)
    for counts in range(3201, 3215):
        assert bench.rig.registers.write(SUPPLY, counts, MASTER) == 6
    unit.refusal = None
    bench.run(120)
    assert unit.setpoint.configured == 31_000


@pytest.mark.parametrize(
    ("configured", "before", "step", "expected"),
    [
        (36_000, 31_000, 4000, (32_000, False)),
        (32_000, 31_000, 4000, (31_000, True)),
        (31_000, 36_000, 4000, (35_000, False)),
        (36_000, 31_000, 0, (31_000, True)),
        (None, 31_000, 4000, (31_000, True)),
        (16_000, 10_000, 4000, (15_000, True)),
        (44_000, 99_000, 4000, (45_000, True)),
    ],
)
def test_steps(configured: int | None, before: int, step: int, expected: tuple[int, bool]) -> None:
    setpoint = SetPoint("supply_setpoint", configured, 15_000, 45_000, True, step=step)
    assert next_step(setpoint, before) == expected


def test_another_living_master_with_the_same_value_keeps_it(tmp_path: Path) -> None:
    """The first one only keeps alive; the second one has written the same value, then ended."""
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    bench.alive(OTHER)
    assert bench.rig.registers.write(SUPPLY, 3200, OTHER) == 0
    bench.run(400, MASTER)
    assert unit.setpoint.configured == 32_000
    bench.run(120)
    assert unit.setpoint.configured == 31_000


def test_a_value_that_another_protocol_counts_on_does_not_return(tmp_path: Path) -> None:
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    unit.shared.add(SetPointChange("supply_setpoint", 32_000))
    bench.run(400)
    assert unit.setpoint.configured == 32_000
    assert (tmp_path / "restore.json").read_text() == "{}"


@pytest.mark.parametrize("on_trial", [32_500, 31_000, 32_000])
@pytest.mark.parametrize("late", [False, True])
def test_a_trial_of_another_user_ends_no_way_back(
    tmp_path: Path, on_trial: int, *, late: bool
) -> None:
    """Its value is in the record when the keep-alive ends; the unit rolls it back."""
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    bench.run(45)
    for _ in range(8):
        bench.others(on_trial, on_trial=True)
    if late:  # the first record after the roll-back still has the value on trial
        bench.rig.time.now -= 4.9
        bench.others(on_trial, on_trial=False)
    assert len(unit.requests) == 1
    bench.others(32_000, on_trial=False)
    bench.run(120)
    assert unit.setpoint.configured == 31_000
    assert bench.memory.read_text() == "{}"


def test_a_value_of_another_user_is_the_base_of_the_next_change(tmp_path: Path) -> None:
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    unit.setpoint = replace(unit.setpoint, configured=30_000)
    bench.run(3600, MASTER)
    assert bench.slot() == (5, 11)
    unit.refusal = Refusal("another change is on trial", 30)
    assert bench.rig.registers.write(SUPPLY, 3070, MASTER) == 6
    assert bench.memory.read_text() == '{"supply_setpoint": [31000, 32000]}', "as before"
    unit.refusal = None
    bench.ramp(3050)
    assert bench.memory.read_text() == '{"supply_setpoint": [30000, 30500]}'
    bench.run(400)
    assert unit.setpoint.configured == 30_000


def test_two_masters_that_repeat_one_value_write_no_file(tmp_path: Path) -> None:
    """Each one holds the value; who was the last one to repeat it is no new fact."""
    unit = _Unit(31_000)
    bench = _ReturnBench(unit, tmp_path / "restore.json")
    bench.ramp(3200)
    files = set()
    for number in range(8):
        for client in (MASTER, OTHER):
            bench.alive(client)
        client = (MASTER, OTHER)[number % 2]
        assert bench.rig.registers.write(SUPPLY, 3200, client) == 0
        if number:
            files.add((tmp_path / "modbus-decisions.json").stat().st_ino)
    assert len(files) == 1
    bench.run(400, OTHER)
    assert unit.setpoint.configured == 32_000
    bench.run(120)
    assert unit.setpoint.configured == 31_000


@pytest.mark.parametrize("obstacle", ["", "no loop", "no right"])
def test_each_set_point_returns_for_itself(tmp_path: Path, obstacle: str) -> None:
    """One that has left the record, or cannot be written now, keeps no other one from its way."""
    writer, path = FakeWriter(), tmp_path / "restore.json"
    rig = ModbusRig(writer, LOOPBACK, memory=path)
    before = {"supply_setpoint": 31_000, "pressure_setpoint": 80_000}
    found = {key: SetPoint(key, raw, 10_000, 200_000, True) for key, raw in before.items()}

    def run(seconds: int, *, alive: bool) -> None:
        for _ in range(seconds):
            rig.time.now += 1
            if alive:
                rig.registers.write(layout.KEEP_ALIVE, int(rig.time.now), MASTER)
            for number, (request, *_) in enumerate(writer.requests, 1):
                if writer.results[str(number)].state == "pending":
                    writer.results[str(number)] = Outcome("confirmed")
                    assert isinstance(request, SetPointChange)
                    found[request.key] = replace(found[request.key], configured=request.raw)
            rig.source.replace(setpoints=dict(found))
            rig.registers.refresh()

    for index, key in enumerate(before):
        run(70, alive=True)
        counts = layout.register_fields()[key].counts(before[key] + 1000)
        assert rig.registers.write(layout.slot_address(index, "wanted"), counts, MASTER) == 0
    run(70, alive=True)
    supply = found["supply_setpoint"]
    assert supply.configured == 32_000
    if obstacle == "no loop":
        del found["supply_setpoint"]
    elif obstacle == "no right":  # as `point_record` writes it
        found["supply_setpoint"] = replace(supply, low=32_000, high=32_000, writable=False)
    run(200, alive=False)
    assert found["pressure_setpoint"].configured == 80_000
    found.setdefault("supply_setpoint", supply)
    if obstacle == "no right":
        assert found["supply_setpoint"].configured == 32_000
        found["supply_setpoint"] = supply
    run(100, alive=False)
    assert found["supply_setpoint"].configured == 31_000
    assert path.read_text() == "{}"
