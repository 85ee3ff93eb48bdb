# SPDX-License-Identifier: Apache-2.0
"""Remote changes in a pair: no confirmed configuration and no counter is lost by a takeover."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.remote.storage.config_replica import Head, head_of
from hil.bench import operator_messages, optional_sections
from hil.bench.operator_messages import ParameterChange
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PairRun

SUPPLY, PERIOD = 1, 17
TOPIC = "coldloop/v1/bench/cdu1/"


@pytest.fixture(autouse=True)
def short_health_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_messages, "HEALTH_S", 15)


def make_run(seed: int = 1) -> PairRun:
    settings = TestbedSettings(parts="remote", pair_link=True, pair_uplink=True)
    return PairRun(settings, seed, is_linked=True)


def roles(run: PairRun) -> list[str]:
    return [agent.role for agent in run.agents]


def report(run: PairRun) -> dict[str, Any]:
    """Return the last report on the broker."""
    retained = run.testbed.broker.retained.get(TOPIC + "cfg/reported")
    return {} if retained is None else dict(json.loads(retained.payload))


def run_until(run: PairRun, limit_s: float, is_true: Callable[[], bool]) -> float:
    """Run until `is_true()`; return the time in s."""
    while not is_true():
        assert run.world.now / 1e6 < limit_s, (roles(run), report(run), run.console[-12:])
        run.run(run.world.now / 1e6 + 0.1)
    return run.world.now / 1e6


def utc_s(run: PairRun) -> int:
    return run.world.utc(run.world.now) // 1_000_000


def push(run: PairRun, value: float, number: int = SUPPLY) -> None:
    """Operators send a change of the supply set-point, or of another parameter."""
    text = json.dumps(report(run)).encode()
    message = operator_messages.sign_patch(text, utc_s(run), [ParameterChange(number, value)])
    run.testbed.publish(TOPIC + "cfg/desired", message, True)


def command(run: PairRun, name: str, *arguments: tuple[str, Any]) -> None:
    message = operator_messages.sign_command(utc_s(run), name, *arguments)
    run.testbed.publish(TOPIC + "cmd", message, False)


def setpoint(run: PairRun) -> float:
    """Return the set-point of the active controller."""
    nodes = [node for node, shell in zip(run.agents, run.shells, strict=True) if shell.is_on]
    agents = [node.agent for node in nodes if node.role == "active"]
    assert len(agents) == 1, roles(run)
    assert agents[0] is not None
    return float(agents[0].supply_loop.config.setpoint)


def stored(run: PairRun, node: int) -> Head:
    """Return what the store of a controller holds."""
    store = run.section_stores[node]["remote"]
    mirror = run.agents[node].ports.mirror
    assert mirror is not None
    return head_of(store.records, mirror.file_hash)


def are_both_equal(run: PairRun) -> bool:
    return stored(run, 0).is_equal(stored(run, 1))


def start(run: PairRun) -> None:
    """Start, and run until operators can send messages."""
    run.start()
    run.run(22)
    assert roles(run) == ["active", "standby"]
    assert report(run)["pair"] == "both"


def wait(run: PairRun, limit_s: float, is_true: Callable[[], bool]) -> None:
    """Run until `is_true()`, at most `limit_s`."""
    run_until(run, run.world.now / 1e6 + limit_s, is_true)


def begin_trial(run: PairRun, value: float = 31.0, number: int = SUPPLY) -> None:
    push(run, value, number)
    wait(run, 40, lambda: report(run).get("phase") == "health" and "active" in roles(run))


def confirm(run: PairRun) -> None:
    """Operators confirm the trial as soon as they can."""
    wait(run, 60, lambda: report(run).get("phase") == "confirm")
    command(run, "confirm", ("counter", report(run)["trial"]))
    wait(run, 40, lambda: report(run)["last"][1] == "confirmed")


def power_off(run: PairRun, node: int) -> None:
    """Let a controller lose its power; the other one takes over."""
    run.begin_fault("power", node)
    wait(run, 3, lambda: roles(run)[1 - node] == "active")


def test_a_confirmed_change_is_at_both_controllers_when_it_is_reported() -> None:
    run = make_run()
    start(run)
    begin_trial(run)
    assert stored(run, 1).on_trial() == stored(run, 0).on_trial() != b""
    confirm(run)
    assert are_both_equal(run)
    assert report(run)["pair"] == "both"
    assert roles(run) == ["active", "standby"]
    power_off(run, 0)
    assert setpoint(run) == 31.0
    agent = run.agents[1].agent
    assert agent is not None
    assert agent.boot is not None
    assert agent.boot.slots.version == 1
    assert agent.boot.slots.trial is None


def test_a_change_that_needs_a_restart_is_a_planned_swap() -> None:
    run = make_run()
    start(run)
    run.measure_from(run.world.now / 1e6)
    begin_trial(run, 2000.0, PERIOD)
    assert roles(run) == ["standby", "active"]
    confirm(run)
    assert are_both_equal(run)
    assert run.longest_gap_us <= 1_300_000
    assert run.closest_writes_us() >= 1_000_000
    assert report(run)["version"] == 1


@pytest.mark.parametrize("number", [SUPPLY, PERIOD])
def test_a_trial_goes_on_after_a_takeover_and_can_be_confirmed(number: int) -> None:
    run = make_run()
    start(run)
    begin_trial(run, 31.0 if number == SUPPLY else 2000.0, number)
    node = roles(run).index("active")
    wait(run, 5, lambda: roles(run)[1 - node] == "standby")
    power_off(run, node)
    wait(run, 20, lambda: report(run)["phase"] == "health")
    if number == SUPPLY:
        assert setpoint(run) == 31.0
    confirm(run)
    assert report(run)["pair"] == "alone"
    run.end_fault("power", node)
    wait(run, 20, lambda: are_both_equal(run) and roles(run)[node] == "standby")
    assert stored(run, node).slots.version == 1


@pytest.mark.soak
def test_a_trial_without_confirmation_ends_after_takeovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operator_messages, "CONFIRM_S", 150)
    run = make_run()
    start(run)
    begin_trial(run)
    for node in (0, 1):
        run.run(run.world.now / 1e6 + 30)
        power_off(run, node)
        run.end_fault("power", node)
    begun_s = 25
    wait(run, 350, lambda: report(run)["last"][1] == "rolled_back")
    assert run.world.now / 1e6 - begun_s <= operator_messages.CONFIRM_S + 2 * 60 + 30
    wait(run, 40, lambda: are_both_equal(run))
    # The restart after it is a planned swap.
    wait(run, 60, lambda: sorted(roles(run)) == ["active", "standby"] and setpoint(run) != 31.0)


def test_a_controller_that_was_off_during_the_confirmation_follows() -> None:
    run = make_run()
    start(run)
    begin_trial(run)
    run.begin_fault("power", 1)
    confirm(run)
    assert report(run)["pair"] == "alone"
    run.end_fault("power", 1)
    wait(run, 20, lambda: are_both_equal(run) and roles(run)[1] == "standby")
    wait(run, 20, lambda: report(run)["pair"] == "both" or run.agents[0].ports.is_fit())
    power_off(run, 0)
    assert setpoint(run) == 31.0


def test_an_older_controller_gives_the_role_to_the_one_with_the_confirmed_change() -> None:
    run = make_run()
    start(run)
    run.begin_fault("power", 1)
    run.run(run.world.now / 1e6 + 12)
    begin_trial(run)
    confirm(run)
    run.begin_fault("power", 0)
    run.run(run.world.now / 1e6 + 1)
    run.end_fault("power", 1)
    wait(run, 6, lambda: roles(run)[1] == "active")
    assert stored(run, 1).slots.version == 0
    run.end_fault("power", 0)
    wait(run, 40, lambda: roles(run) == ["active", "standby"])
    assert setpoint(run) == 31.0
    wait(run, 20, lambda: are_both_equal(run))
    assert stored(run, 1).slots.version == 1


def test_a_rollback_is_at_both_controllers() -> None:
    run = make_run()
    start(run)
    begin_trial(run, 2000.0, PERIOD)
    command(run, "rollback")
    wait(run, 40, lambda: report(run)["last"][1] == "rolled_back" and report(run)["trial"] is None)
    wait(run, 20, lambda: are_both_equal(run) and sorted(roles(run)) == ["active", "standby"])
    assert stored(run, 0).to_run() == stored(run, 0).file_hash


def test_a_suspended_key_stays_suspended_after_a_takeover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    section = operator_messages.write_section(TestbedSettings())
    further = operator_messages._public_key(9)
    section["keys"].append({"number": 9, "public": further, "role": "limits"})
    monkeypatch.setitem(optional_sections.SECTION_WRITERS, "remote", lambda _: section)
    run = make_run()
    start(run)
    command(run, "suspend", ("key", operator_messages.OPERATE))
    wait(run, 20, lambda: bool(report(run)["results"]))
    wait(run, 5, lambda: stored(run, 1).limits[1] != b"" and are_both_equal(run))
    power_off(run, 0)
    agent = run.agents[1].agent
    assert agent is not None
    assert agent.boot is not None
    assert agent.boot.suspended.numbers == [operator_messages.OPERATE]


def test_a_command_is_not_executed_again_after_a_takeover() -> None:
    run = make_run()
    start(run)
    message = operator_messages.sign_command(utc_s(run), "suspend", ("key", 2))
    run.testbed.publish(TOPIC + "cmd", message, False)
    wait(run, 20, lambda: bool(report(run)["results"]))
    counter = report(run)["counters"][1]
    power_off(run, 0)
    wait(run, 30, lambda: report(run)["results"] == [])
    run.testbed.publish(TOPIC + "cmd", message, False)
    wait(run, 20, lambda: report(run)["refused"] > 0)
    assert report(run)["refusal"][0] == "replay"
    assert report(run)["counters"][1] == counter


def test_with_a_cut_link_the_active_controller_goes_on_alone() -> None:
    run = make_run()
    start(run)
    run.begin_fault("link", 0)
    run.begin_fault("link", 1)
    begin_trial(run)
    assert report(run)["pair"] == "alone"
    confirm(run)
    run.end_fault("link", 0)
    run.end_fault("link", 1)
    wait(run, 30, lambda: are_both_equal(run))
    assert stored(run, 1).slots.version == 1


@pytest.mark.soak
def test_a_takeover_while_the_standby_follows_loses_nothing() -> None:
    """The active controller loses its power at each time after a change was sent."""
    for tenths in range(2, 40, 6):
        run = make_run(tenths)
        start(run)
        push(run, 31.0)
        run.run(run.world.now / 1e6 + tenths / 10)
        was_reported = report(run).get("trial") is not None
        run.begin_fault("power", 0)
        wait(run, 8, lambda run=run: roles(run)[1] == "active")  # type: ignore[misc]
        if was_reported:
            assert stored(run, 1).on_trial()
        run.end_fault("power", 0)
        wait(run, 60, lambda run=run: are_both_equal(run))  # type: ignore[misc]
