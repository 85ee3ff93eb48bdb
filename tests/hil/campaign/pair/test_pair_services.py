# SPDX-License-Identifier: Apache-2.0
"""A pair with receivers, a broker, logs and loads: ids of records, caps and latches over takeovers.

Does not test the roles; see `test_pair_run` and `test_pair_link`.
"""

from __future__ import annotations

from typing import Any

import pytest

from agent.agent import Agent
from agent.control.operation import manual_commands
from agent.core.actuator import SetpointRequest
from agent.redundancy import handover
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PairRun

PARTS = "log, retain, safety, throttle"
_MINUTES = 60_000_000


def make_run(parts: str = PARTS, seed: int = 1) -> PairRun:
    settings = TestbedSettings(parts=parts, limits_store=1, pair_link=True, pair_uplink=True)
    return PairRun(settings, seed, is_linked=True)


def active(run: PairRun, node: int) -> Agent:
    """Return the agent of a controller, which must be the active one."""
    assert run.agents[node].role == "active", run.console[-5:]
    agent = run.agents[node].agent
    assert agent is not None
    return agent


def component(run: PairRun, node: int, name: str) -> Any:
    agent = active(run, node)
    sections = [section for section, _, _ in agent.config.components]
    return agent.components[sections.index(name)]


def limiter(run: PairRun, node: int) -> Any:
    return component(run, node, "throttle")


def power_off(run: PairRun, node: int, at_s: float) -> None:
    """Let a controller lose its power at `at_s`; the other one is active 3 s later."""
    run.run(at_s)
    run.begin_fault("power", node)
    run.run(at_s + 3)


def run_takeovers(run: PairRun) -> None:
    """Take over by power, by a pause, and by two commands; each controller returns."""
    for at_s, kind, node, for_s in (
        (30.0, "power", 0, 12.0),
        (57.3, "pause", 1, 5.0),
        (80.1, "swap", 0, 1.0),
        (95.7, "power", 1, 6.0),
        (120.2, "swap", 0, 1.0),
        (140.4, "swap", 1, 1.0),
    ):
        run.at(at_s, run.begin_fault, kind, node)
        run.at(at_s + for_s, run.end_fault, kind, node)
    run.start()
    run.run(170)


@pytest.mark.parametrize("seed", [1, 2])
def test_takeovers_double_no_id_and_lose_no_record(seed: int) -> None:
    run = make_run("log, retain", seed)
    run_takeovers(run)
    ground = run.testbed.ground
    assert ground is not None
    assert min(agent.takeovers for agent in run.agents) >= 1
    assert run.takeovers == 7
    assert (ground.conflicts, ground.lost) == (0, 0)
    lives = {record.generation for record in ground.records}
    assert len(lives) == 2
    assert {life[2] & 1 for life in lives} == {0, 1}
    for generation in lives:  # no gap: all that a controller has stored has arrived
        for group in range(4):
            numbers = [r.number >> 2 for r in ground.records if r == (generation, r.number)]
            assert numbers
            of_group = sorted(
                r.number >> 2
                for r in ground.records
                if r.generation == generation and r.number & 3 == group
            )
            assert of_group == list(range(1, len(of_group) + 1))


def test_two_logs_that_began_at_one_time_have_different_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both clocks count from the start of their board, and both have the name of the unit."""
    monkeypatch.setattr("agent.log.record_store.crc32", lambda _: 0x5A5A5A)
    run = make_run("log")
    run_takeovers(run)
    ground = run.testbed.ground
    assert ground is not None
    assert ground.conflicts == 0
    assert len({record.generation for record in ground.records}) == 2


def test_equal_lives_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the number of the controller in the life: the bench sees the same id twice."""
    monkeypatch.setattr("agent.log.record_store.crc32", lambda _: 0x5A5A5A)
    monkeypatch.setattr("agent.log.record_store.RecordStore.set_node", lambda *_: None)
    run = make_run("log")
    run_takeovers(run)
    ground = run.testbed.ground
    assert ground is not None
    assert ground.conflicts > 0


def test_one_client_of_the_broker_is_left_after_a_takeover() -> None:
    run = make_run("log")
    run.start()
    power_off(run, 0, 20.0)
    run.run(40)
    assert run.testbed.broker.client_ids == ["bench-cdu1"]
    state = run.testbed.broker.retained["coldloop/v1/bench/cdu1/state"].payload
    assert b'"online":true' in state.replace(b" ", b"")


def test_a_cap_and_a_schedule_survive_a_takeover_and_a_restart_after_it() -> None:
    run = make_run()
    run.start()
    run.run(30)
    at_us = run.world.utc(0) + 60 * _MINUTES
    first = limiter(run, 0)
    first.handle_command("shed", {"pct": 60}, run.world.now)
    assert first.schedule(at_us, "cap_pct", 80) == ""
    power_off(run, 0, 34.0)
    second = limiter(run, 1)
    run.run(100)
    assert (second.cap_w, second.cap_pct) == (0, 60)
    assert [tuple(entry) for entry in second.plan.entries] == [(at_us, "cap_pct", 80)]
    bank = run.testbed.load_bank
    assert bank is not None
    limits_w = {name: watts for bmc in bank.bmcs.values() for name, watts in bmc.limits_w.items()}
    rated_w = sum(load.rated_w for load in bank.loads if load.name in limits_w)
    assert sum(limits_w.values()) <= 0.61 * rated_w
    run.begin_fault("power", 1)  # both were off: the second one has only its own store
    run.run(101)
    run.end_fault("power", 1)
    run.run(110)
    again = limiter(run, 1)
    assert (again.cap_pct, len(again.plan.entries)) == (60, 1)


def test_a_lifted_cap_does_not_return_from_the_store_of_the_other_controller() -> None:
    run = make_run()
    run.start()
    run.run(30)
    limiter(run, 0).handle_command("shed", {"pct": 60}, run.world.now)
    assert limiter(run, 0).schedule(run.world.utc(0) * 2, "cap_pct", 80) == ""
    run.run(34)
    run.command(0, "swap")
    run.run(40)
    assert limiter(run, 1).cap_pct == 60
    assert limiter(run, 1).cancel() == 1
    limiter(run, 1).handle_command("shed", {"pct": 100}, run.world.now)
    run.run(44)
    run.command(1, "swap")
    run.run(60)
    assert limiter(run, 0).cap_pct == 100
    assert limiter(run, 0).plan.entries == []
    assert b" 60\n" not in run.section_stores[0]["throttle"].records["throttle.limits"]


def test_a_controller_that_cannot_read_its_caps_does_not_end_those_of_the_other_one() -> None:
    """Both were off, and the one that starts first has a dead store."""
    run = make_run("throttle")
    run.start()
    run.run(20)
    limiter(run, 0).handle_command("shed", {"pct": 60}, run.world.now)
    run.run(25)
    for node in (0, 1):
        run.begin_fault("power", node)
    run.section_stores[1]["throttle"].set_absent(True)
    run.run(26)
    run.end_fault("power", 1)
    run.run(32)
    assert limiter(run, 1).cap_pct == 100
    run.end_fault("power", 0)
    run.run(37)
    run.command(1, "swap")
    run.run(42)
    assert limiter(run, 0).cap_pct == 60


@pytest.mark.parametrize(
    "name", ["component.PowerLimitComponent.take_over", "schedule.Schedule.encode"]
)
def test_an_error_in_the_limits_stops_no_takeover(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run = make_run("throttle")
    run.start()
    run.run(30)
    monkeypatch.setattr("agent.power." + name, None)
    power_off(run, 0, 34.0)
    run.run(50)
    assert run.agents[1].role == "active"


def test_a_load_that_was_switched_off_stays_off() -> None:
    run = make_run()
    run.start()
    run.run(30)
    load = limiter(run, 0).loads[0]
    load.switch(False, run.world.now)
    run.run(31.5)
    power_off(run, 0, 31.5)
    assert not limiter(run, 1).loads[0].is_on
    assert limiter(run, 1).loads[1].is_on


def latched(run: PairRun, node: int) -> list[str]:
    """Return the latched causes of a controller."""
    return [cause.code for cause in component(run, node, "safety").by_priority if cause.active]


def press_and_release(run: PairRun) -> None:
    """Press the emergency stop for 3 s: the stop stays, and only a person resets it."""
    run.start()
    run.run(20)
    run.testbed.rpu.set_estop(True)
    run.run(23)
    run.testbed.rpu.set_estop(False)
    run.run(26)
    assert latched(run, 0) == ["emergency_stop:button"]


@pytest.mark.parametrize("kind", ["power", "pause", "swap"])
def test_a_latched_cause_survives_a_takeover(kind: str) -> None:
    run = make_run("retain, safety")
    press_and_release(run)
    run.begin_fault(kind, 0)
    run.run(40)
    assert latched(run, 1) == ["emergency_stop:button"]
    assert [pump.target_pct for pump in run.testbed.plant.pumps] == [0.0, 0.0]


def test_a_controller_that_cannot_read_its_state_does_not_end_latches_of_the_other_one() -> None:
    """Both were off, and the one that starts first has a dead store."""
    run = make_run("retain, safety")
    press_and_release(run)
    for node in (0, 1):
        run.begin_fault("power", node)
    run.section_stores[1]["retain"].set_absent(True)
    run.run(26)
    run.end_fault("power", 1)
    run.run(38)
    assert latched(run, 1) == []
    run.end_fault("power", 0)
    run.run(43)
    run.command(1, "swap")
    run.run(48)
    assert latched(run, 0) == ["emergency_stop:button"]


def pump_targets(run: PairRun, until_s: float) -> set[float]:
    """Return the commands of all pumps until `until_s`, %."""
    found: set[float] = set()
    while run.world.now < until_s * 1e6:
        run.run(run.world.now / 1e6 + 0.1)
        found.update(pump.target_pct for pump in run.testbed.plant.pumps)
    return found


def test_a_takeover_during_a_stop_starts_no_pump() -> None:
    """The new controller proves again that the loads are off; the pumps stand meanwhile."""
    run = make_run("retain, safety, throttle")
    press_and_release(run)
    run.run(40)
    run.begin_fault("power", 0)
    assert pump_targets(run, 46) == {0.0}
    assert latched(run, 1) == ["emergency_stop:button"]


@pytest.mark.parametrize(("mode", "percent"), [("off", 0.0), ("fill", 30.0)])
def test_a_takeover_in_a_mode_of_a_person_moves_no_pump(mode: str, percent: float) -> None:
    run = make_run("cooling, safety, throttle")
    run.start()
    run.run(20)
    manual_commands.override(component(run, 0, "cooling").manual, mode, 5, None, None, 20_000_000)
    run.run(40)
    run.begin_fault("swap", 0)
    assert pump_targets(run, 46) == {percent}
    assert component(run, 1, "cooling").manual.mode == mode


@pytest.mark.parametrize("phase_s", [0.0, 0.35, 0.7])
def test_a_cause_that_has_just_latched_survives_the_loss_of_power(phase_s: float) -> None:
    run = make_run("retain, safety")
    run.start()
    run.run(20 + phase_s)
    run.testbed.rpu.set_estop(True)
    while not latched(run, 0):
        run.run(run.world.now / 1e6 + 0.02)
    run.run(run.world.now / 1e6 + 0.3)
    run.begin_fault("power", 0)
    run.testbed.rpu.set_estop(False)
    run.run(40)
    assert latched(run, 1) == ["emergency_stop:button"]


def test_a_lost_latch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.redundancy.paired_agent.restore_state", lambda *_: None)
    run = make_run("retain, safety")
    press_and_release(run)
    run.begin_fault("power", 0)
    run.run(40)
    assert latched(run, 1) == []


def test_a_state_that_is_too_long_is_not_in_sync_so_that_no_swap_begins() -> None:
    run = make_run("retain")
    run.start()
    run.run(20)
    link = run.agents[0].ports.peer
    assert link.is_in_sync()
    link.set_state(b"x" * 5000)
    assert not link.is_in_sync()


@pytest.mark.parametrize("kind", ["swap", "power"])
def test_a_large_state_passes_although_the_commands_change_each_second(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 loads and a full schedule take 4 kB, which is 2 s on the link."""
    run = make_run("retain")
    limits = ["limits 0 100"] + [f"limits load{i:04} 9000 0" for i in range(150)]
    monkeypatch.setattr(handover, "_limit_lines", lambda *_: limits)
    commands = handover.command_lines
    monkeypatch.setattr(
        handover,
        "command_lines",
        lambda agent: [*commands(agent), f"command.9 1 {run.world.now // 1_000_000}"],
    )
    run.start()
    run.run(20)
    active(run, 0).request_setpoint(SetpointRequest("test", "supply", 31.25))
    run.run(29)
    run.begin_fault(kind, 0)
    run.run(39)
    assert run.agents[1].reason == ("command" if kind == "swap" else "silence")
    assert active(run, 1).supply_loop.config.setpoint == 31.25


def test_the_schedule_gives_way_to_what_must_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state has at most 4 KiB: limits and schedule come last, and only whole lines."""
    run = make_run()
    run.start()
    run.run(30)
    first = limiter(run, 0)
    for number in range(32):
        assert first.schedule(run.world.utc(0) * 10 + number, "cap_pct", 80) == ""
    monkeypatch.setattr(handover, "_MAX_BYTES", 900)
    state = handover.read_state(active(run, 0), [], "command", run.world.now)
    assert len(state) <= 900
    lines = state.decode().split("\n")
    assert "swap.reason command" in lines
    assert "limits 0 100" in lines
    plan = [line for line in lines if line.startswith("plan ")]
    assert 1 < len(plan) < 32
    assert all(line.endswith(" cap_pct 80") for line in plan)
