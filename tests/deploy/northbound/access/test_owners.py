# SPDX-License-Identifier: Apache-2.0
"""One rule over all protocols: a decision for the value in force is a decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.remote.message.counter import seconds_of
from agent.remote.message.header import EPOCH_S
from deploy.northbound.access.owners import FILE, ValueOwners
from deploy.northbound.access.types import SetPointChange, Submission
from deploy.northbound.bacnet.set_points import SetPointWrites
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.server import ModbusClient
from deploy.northbound.modbus.set_points import ModbusWriteRules, UnitRegisters
from deploy.northbound.record import SnapshotSource
from deploy.northbound.snapshot import Snapshot
from protocols.cbor import Decimal
from tests.deploy.northbound.access.test_writes import SiteBench
from tests.portable.agent.northbound.test_component import WRITES
from tests.portable.support.remote_rig import (
    LIMITER,
    OPERATOR,
    SAFE_VALVE,
    SETPOINT,
    make_command,
    make_patch,
)

KEY, SUPPLY = "supply_setpoint", layout.slot_address(0, "wanted")
MASTER = ModbusClient("127.0.0.1")


class FakeReader:
    """A source with one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def read(self) -> Snapshot:
        return self._snapshot


class _OwnerBench(SiteBench):
    """A unit with a Modbus master in one process and BACnet in another one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, WRITES)
        self.source = SnapshotSource(folder)
        rules = ModbusWriteRules(("127.0.0.0/8",), 1)
        self.registers = UnitRegisters(
            self.source, self.audit, lambda: self.now, self.writer, rules, folder / "restore.json"
        )
        self.bacnet_writer = self.new_writer("bacnet")
        self.bacnet = SetPointWrites(self.bacnet_writer, self.audit, lambda: self.now, folder)

    def seconds(self, count: int, *each: Callable[[int], object]) -> None:
        for number in range(1, count + 1):
            self.run(1)
            self.bacnet_writer.tick()
            self.registers.refresh()
            self.bacnet.update(self.source.read())
            for act in each:
                act(number)

    def master(self, number: int) -> None:
        self.registers.write(layout.KEEP_ALIVE, number, MASTER)
        self.registers.write(SUPPLY, 3150, MASTER)

    def bacnet_write(self, raw: int = 31_500) -> bool:
        return self.bacnet.submit(SetPointChange(KEY, raw), "10.0.0.7")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_OwnerBench]:
    bench = _OwnerBench(tmp_path)
    bench.seconds(60, bench.master)
    assert bench.setpoint() == 31.5
    yield bench
    bench.socket.close()


def test_without_another_decision_the_value_returns(bench: _OwnerBench) -> None:
    bench.seconds(150)
    assert bench.setpoint() == 32


@pytest.mark.parametrize("protocol", ["panel", "redfish"])
def test_a_person_that_sets_the_value_in_force_keeps_it(bench: _OwnerBench, protocol: str) -> None:
    found = bench.writer.submit(SetPointChange(KEY, 31_500), "adam", "10.0.0.9", protocol)
    assert isinstance(found, Submission)
    bench.seconds(10, bench.master)  # its repetitions are no later decision
    bench.seconds(150)
    assert bench.setpoint() == 31.5
    assert any("no return" in entry[-1] for entry in bench.audit.entries)


def _sign(bench: _OwnerBench, changes: list[tuple[int, object]], last: str = "confirm") -> None:
    """Let operators send a change, and confirm it or roll it back."""
    rig: Any = bench.rig
    patch: Any = make_patch
    command: Any = make_command
    counters = rig.manager.boot.slots.counters
    counter_s = EPOCH_S + max(seconds_of(counter) for counter in counters) + 60
    rig.send(patch(rig, changes, (OPERATOR, LIMITER), counter_s))
    bench.seconds(40)
    trial = bench.source.read().trial
    assert trial
    rig.send(command(last, [("counter", trial)], counter_s=counter_s + 1))
    bench.seconds(5)
    assert not bench.source.read().trial


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [([(SETPOINT, Decimal(315, 1))], False), ([(SAFE_VALVE, 60)], True)],
)
def test_a_signed_change_of_operators_keeps_the_values_in_force(
    bench: _OwnerBench, changes: list[tuple[int, object]], restarts: bool
) -> None:
    """It names its base by a hash, so also the value that it repeats or leaves."""
    bench.seconds(1, bench.master)
    _sign(bench, changes)
    assert bench.setpoint() == 31.5
    if restarts:
        bench.writer = bench.new_writer()
    bench.seconds(150)
    assert bench.setpoint() == 31.5


def test_a_record_without_an_end_of_a_change_has_no_decision(
    bench: _OwnerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = bench.source.read()
    remote: Any = snapshot.details["remote"]
    wrong: list[object] = [None, [], [5], ["5", "confirmed"], 5, {"a": 1}, [[], []]]
    for last in wrong:
        details = {**snapshot.details, "remote": {**remote, "last": last}}
        changed = dataclasses.replace(snapshot, details=details)
        monkeypatch.setattr(bench.writer, "_source", FakeReader(changed))
        bench.writer.tick()
    assert not bench.writer.is_shared(SetPointChange(KEY, 31_500), "modbus")


def test_a_signed_change_that_is_rolled_back_keeps_nothing(bench: _OwnerBench) -> None:
    _sign(bench, [(SAFE_VALVE, 60)], "rollback")
    bench.seconds(150)
    assert bench.setpoint() == 32


@pytest.mark.parametrize("by", ["panel", "operators"])
def test_a_master_returns_to_the_value_that_another_user_has_decided(
    bench: _OwnerBench, by: str
) -> None:
    """Decided while it was in force by the master, which then writes another one."""
    if by == "panel":
        bench.writer.submit(SetPointChange(KEY, 31_500), "adam", "10.0.0.9", "panel")
    else:
        _sign(bench, [(SETPOINT, Decimal(315, 1))])

    def write(number: int) -> None:
        bench.registers.write(layout.KEEP_ALIVE, number, MASTER)
        bench.registers.write(SUPPLY, 3100, MASTER)

    bench.seconds(60, write)
    assert bench.setpoint() == 31
    bench.seconds(200)
    assert bench.setpoint() == 31.5


def test_the_end_of_a_master_takes_nothing_from_a_bacnet_client(bench: _OwnerBench) -> None:
    answers: list[bool] = []
    bench.seconds(5, bench.master, lambda _: answers.append(bench.bacnet_write()))
    bench.seconds(150, lambda _: answers.append(bench.bacnet_write()))
    assert bench.setpoint() == 31.5
    assert all(answers)


def test_a_change_that_is_rolled_back_ends_no_decision(bench: _OwnerBench) -> None:
    bench.writer.submit(SetPointChange(KEY, 31_500), "adam", "10.0.0.9", "panel")
    bench.seconds(60)
    bench.writer.submit(SetPointChange(KEY, 31_000), "olga", "10.0.0.8", "panel")
    bench.seconds(3)
    bench.writer = bench.new_writer()
    bench.seconds(20)
    assert bench.setpoint() == 31.5
    assert bench.writer.is_shared(SetPointChange(KEY, 31_500), "modbus")


def test_another_value_that_is_kept_ends_the_decisions_before(tmp_path: Path) -> None:
    owners = ValueOwners(tmp_path)
    owners.support(KEY, 31_500, "panel adam")
    owners.decide(KEY, 31_000, "bacnet 10.0.0.7")
    assert owners.has_other(KEY, 31_500, "modbus")
    owners.keep(KEY, 31_000, "bacnet 10.0.0.7")
    assert not owners.has_other(KEY, 31_500, "modbus")
    assert ValueOwners(tmp_path).has_other(KEY, 31_000, "modbus")
    owners.decide(KEY, 31_500, "modbus 127.0.0.1")
    owners.drop(KEY, 31_500, "modbus 127.0.0.1")
    assert not owners.has_other(KEY, 31_500, "panel")
    assert owners.has_other(KEY, 31_000, "modbus")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"supply_setpoint": 3}', "[" * 100_000])
def test_a_damaged_file_has_no_decisions(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    owners = ValueOwners(tmp_path)
    assert not owners.has_other(KEY, 31_500, "modbus")
    owners.support(KEY, 31_500, "panel adam")
    assert ValueOwners(tmp_path).has_other(KEY, 31_500, "modbus")


def test_the_table_is_bounded(tmp_path: Path) -> None:
    owners = ValueOwners(tmp_path)
    for number in range(100):
        owners.support(KEY, 31_500, f"bacnet 10.0.0.{number}")
        owners.decide(KEY, number, "panel adam")
    assert (tmp_path / FILE).stat().st_size < 4096
