# SPDX-License-Identifier: Apache-2.0
"""What must survive a power cut of the controller: latches, manual mode, suspect sensors."""

from __future__ import annotations

from typing import Any

import pytest

from agent.control.operation.manual_commands import override
from agent.core.actuator import SUPPLY, SetpointRequest
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from tests.hil.digests.shared_runs import on_both, quick_lock_step
from tests.support.programs import require_program

ROW = """
name = "restart"
title = "a power cut of the controller"
seconds = {seconds}
[row]
it_kw = 60
humidity_sensors = 2
parts = "cooling, safety, throttle, retain, remote, timekeeping"
"""


def event(at_s: float, do: str, value: float | None = None, for_s: float | None = None) -> str:
    lines = [f'[[event]]\nat_s = {at_s}\ndo = "{do}"']
    lines += [] if value is None else [f"value = {value}"]
    lines += [] if for_s is None else [f"for_s = {for_s}"]
    return "\n".join(lines) + "\n"


def run(events: str, seconds: int, dut: str = "cpython") -> VirtualRun:
    scenario = parse(ROW.format(seconds=seconds) + events, "restart.toml")
    made = VirtualRun(scenario, 1, *([on_both(quick_lock_step)] if dut == "both" else []))
    try:
        made.run()
    finally:
        made.dut.close()
    assert made.contained_faults() == []
    return made


def causes(made: VirtualRun) -> list[dict[str, Any]]:
    assert made.status is not None
    found: list[dict[str, Any]] = made.status["safety"]["causes"]
    return found


LEAK = event(20, "leak_detector", for_s=11) + event(30, "power_cut", for_s=5)
"""A leak that is dry before the controller has power again."""


def test_a_latch_stays_although_the_leak_is_dry_after_the_cut() -> None:
    require_program("micropython")
    made = run(LEAK, 60, "both")
    assert [cause["code"] for cause in causes(made)] == ["leak_critical:pan"]
    assert causes(made)[0]["evidence"].startswith("supply ")
    assert made.status is not None
    assert made.status["state"] == "stopped"
    assert made.testbed.plant.it_kw < 10


def test_without_a_latch_the_unit_cools_after_a_cut() -> None:
    made = run(event(30, "power_cut", for_s=5), 60)
    assert causes(made) == []
    assert made.status is not None
    assert made.status["state"] == "normal"


def test_a_latch_that_was_reset_does_not_come_back() -> None:
    made = run(event(20, "leak_detector", for_s=10), 45)
    agent = made.dut.agent  # type: ignore[attr-defined]
    safety = agent.components[[s for s, _, _ in agent.config.components].index("safety")]
    assert safety.retain(0)[0].startswith("latch leak_critical:pan 0 ")
    safety.reset()
    assert safety.retain(0) == []
    made.shell.run(47_000_000)
    made._set_power(False)
    made._set_power(True)
    made.shell.run(60_000_000)
    agent = made.dut.agent  # type: ignore[attr-defined]
    assert [code for code in agent.alarms.codes() if "leak" in code] == []


def test_the_first_cycle_of_a_restart_knows_the_latch() -> None:
    """The valve stays closed, and no load is raised before the latch is known."""
    made = run(LEAK, 33)
    opened: list[float] = []
    for tenth in range(1, 200):
        made.shell.run(33_000_000 + tenth * 100_000)
        decision = made.dut.agent.arbiters["valve"].decision  # type: ignore[attr-defined]
        if decision is not None and decision.output is not None:
            opened.append(decision.output)
    assert opened
    assert max(opened) == 0.0


def test_a_manual_mode_and_its_time_survive() -> None:
    made = run("", 20)
    agent = made.dut.agent  # type: ignore[attr-defined]
    cooling = agent.components[[s for s, _, _ in agent.config.components].index("cooling")]
    override(cooling.manual, "hand", 30, 55, 60, made.world.now)
    made.shell.run(23_000_000)
    made._set_power(False)
    made.shell.run(28_000_000)
    made._set_power(True)
    made.shell.run(40_000_000)
    agent = made.dut.agent  # type: ignore[attr-defined]
    cooling = agent.components[[s for s, _, _ in agent.config.components].index("cooling")]
    assert cooling.manual.mode == "hand"
    assert 28 * 60 < (cooling.manual.until - made.world.now) / 1e6 <= 30 * 60
    assert agent.arbiters["valve"].decision.output == 55.0


def test_loads_that_were_off_run_again_after_the_cut() -> None:
    """All are off when the controller restarts: those with a service, and that with an outlet."""
    row = ROW.replace("[row]", "[row]\nlimits_store = 1\nmeters = 2")
    text = row.format(seconds=300) + event(60, "pumps_tripped") + event(95, "board_restart")
    made = VirtualRun(parse(text, "restart.toml"), 1)
    try:
        made.shell.start()
        made.shell.run(90_000_000)
        bank = made.testbed.load_bank
        assert bank is not None
        loads = bank.loads
        assert [load.name for load in loads if load.is_on] == []
        made.shell.run(300_000_000)
        assert [load.name for load in loads if not load.is_on] == []
        resets = [reset for bmc in bank.bmcs.values() for reset in bmc.resets]
        assert {name for _, name, is_on in resets if is_on} == {"gpu1", "gpu2", "cpu1"}
        agent = made.dut.agent  # type: ignore[attr-defined]
        assert [code for code in agent.alarms.codes() if "shed" in code] == []
    finally:
        made.dut.close()


@pytest.mark.parametrize("cut", [event(140, "board_restart"), event(140, "power_cut", for_s=5)])
def test_an_order_to_switch_on_that_no_service_took_survives(cut: str) -> None:
    """The first load is ordered on at 135 s, and its service is silent until 188 s."""
    row = ROW.replace("[row]", "[row]\nlimits_store = 1\nmeters = 2").format(seconds=330)
    text = row + event(60, "pumps_tripped") + event(128, "bmc_silent", for_s=60) + cut
    made = VirtualRun(parse(text, "restart.toml"), 1)
    made.run()
    made.dut.close()
    bank = made.testbed.load_bank
    assert bank is not None
    assert [load.name for load in bank.loads if not load.is_on] == []


@pytest.mark.parametrize(("full_s", "runs_again"), [(40, True), (120, False)])
def test_loads_that_were_switched_off_while_the_store_was_full(
    full_s: int, runs_again: bool
) -> None:
    """The restart is at 100 s. Without a record they stay off, and status and alarms show it."""
    row = ROW.replace("[row]", "[row]\nlimits_store = 1\nmeters = 2").format(seconds=260)
    text = row + event(50, "disk_full", for_s=full_s) + event(60, "pumps_tripped")
    made = VirtualRun(parse(text + event(100, "board_restart"), "restart.toml"), 1)
    made.run()
    agent = made.dut.agent  # type: ignore[attr-defined]
    shed = {code for code in agent.alarms.codes() if code.startswith("load_shed")}
    made.dut.close()
    bank = made.testbed.load_bank
    assert bank is not None
    assert made.status is not None
    shown = {load["name"]: load["on"] for load in made.status["throttle"]["loads"]}
    assert shown == {load.name: runs_again for load in bank.loads}
    assert {load.name: load.is_on for load in bank.loads} == shown
    assert shed == {f"load_shed:{name}" for name in shown if not runs_again}


def test_a_suspect_sensor_stays_suspect() -> None:
    """A false reading is not used after the restart, although it does not move."""
    made = run(event(40, "supply_register", 26) + event(50, "power_cut", for_s=4), 70)
    agent = made.dut.agent  # type: ignore[attr-defined]
    assert "sensor_lie:supply" in agent.alarms.codes()
    value = agent.supply_loop.sensor.value(made.world.now)
    assert value is None or value > 30


def test_a_requested_setpoint_survives_until_the_configuration_changes() -> None:
    made = run("", 20)
    agent = made.dut.agent  # type: ignore[attr-defined]
    agent.request_setpoint(SetpointRequest("throttle", SUPPLY, 34.0))
    made.shell.run(23_000_000)
    made._set_power(False)
    made._set_power(True)
    made.shell.run(26_000_000)
    agent = made.dut.agent  # type: ignore[attr-defined]
    assert agent.supply_loop.config.setpoint == 34.0
    retain = agent.components[[s for s, _, _ in agent.config.components].index("retain")]
    retain._restore("supply", "31000 33000", 0)
    assert agent.supply_loop.config.setpoint == 34.0


def test_history_of_alarms_in_the_store() -> None:
    made = run(LEAK, 60)
    store = made.testbed.stores["retain"]
    lines = store.records["alarms.0"].decode().splitlines()
    assert [line for line in lines if " raised leak_critical:pan leak: pan" in line]
    assert [int(line.split(" ")[0]) for line in lines] == list(range(len(lines)))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"safety latch leak_critical:pan",
        b"safety latch nothing 1 x\nsafety\ncooling mode hand 5 1 -1\ncooling mode x 5 1 1",
        b"cooling mode off 999 0 0\ncooling pumps 1 1\ncooling pumps\ncooling suspect x rate",
        b"history x\nhistory 99999999999999999999\nsupply a b\n\xff\xfe\ncooling frozen 9",
        b"x" * 10_000,
    ],
)
def test_a_damaged_record_has_no_effect(record: bytes) -> None:
    made = run("", 20)
    made._set_power(False)
    made.testbed.stores["retain"].records["retain.state"] = record
    made._set_power(True)
    made.shell.run(30_000_000)
    agent = made.dut.agent  # type: ignore[attr-defined]
    assert made.contained_faults() == []
    retain = agent.components[[s for s, _, _ in agent.config.components].index("retain")]
    assert retain.restored == 0
    assert causes(made) == []


@pytest.mark.parametrize("on_ms", [100, 400, 900])
def test_power_that_comes_and_goes_does_not_lose_a_latch(on_ms: int) -> None:
    """Three more cuts while the state is read: nothing is written before it was read."""
    made = run(LEAK, 33)
    now = 33_000_000
    for _ in range(3):
        made._set_power(False)
        made.shell.run(now + 2_000_000)
        made._set_power(True)
        made.shell.run(now + 2_000_000 + 1000 * on_ms)
        now = made.world.now
    made.shell.run(now + 25_000_000)
    agent = made.dut.agent  # type: ignore[attr-defined]
    assert "leak_critical:pan" in agent.alarms.codes()
    assert agent.arbiters["valve"].decision.output == 0.0
