# SPDX-License-Identifier: Apache-2.0
"""Remote changes in a pair: no confirmed configuration and no counter is lost by a takeover."""

import pytest

from agent.core.actuator import SetpointRequest
from hil.bench import operator_messages, optional_sections
from hil.bench.testbed_settings import TestbedSettings
from tests.hil.campaign.pair.remote_pair import (
    PERIOD,
    SUPPLY,
    TOPIC,
    are_both_equal,
    begin_trial,
    command,
    confirm,
    make_run,
    power_off,
    push,
    report,
    roles,
    setpoint,
    start,
    stored,
    utc_s,
    wait,
)

pytestmark = pytest.mark.usefixtures("short_health_window")


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


def test_a_set_point_request_after_a_live_change_survives_a_takeover() -> None:
    """The other controller started with the change: its configuration is not that of the start."""
    run = make_run()
    start(run)
    begin_trial(run)
    assert run.agents[0].agent is not None
    run.agents[0].agent.request_setpoint(SetpointRequest("test", "supply", 30.5))
    run.run(run.world.now / 1e6 + 3)
    power_off(run, 0)
    assert setpoint(run) == 30.5


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
