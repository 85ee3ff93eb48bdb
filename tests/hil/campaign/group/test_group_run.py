# SPDX-License-Identifier: Apache-2.0
"""A group of CDUs in one virtual world: stages, failures, the signed reports."""

import pytest

from agent.core.actuator import EXACT, INTERLOCK, MANUAL, SetpointRequest
from agent.remote.update.live_change import with_changes
from hil.campaign.group.group_cases import KINDS, GroupCase, run_case
from hil.run.several.group_run import GroupRun


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_failure_leaves_the_row_cooled(kind: str) -> None:
    verdict = run_case(GroupCase(((kind, 1),), 3, 100.0))
    assert verdict.problems == ()


@pytest.mark.parametrize("kind", ["off", "alone", "split"])
def test_a_single_failure_at_one_header_leaves_the_row_cooled(kind: str) -> None:
    verdict = run_case(GroupCase(((kind, 1),), 3, 120.0, has_header=True))
    assert verdict.problems == ()


def test_the_temperatures_are_not_judged_if_no_unit_is_left() -> None:
    verdict = run_case(GroupCase((("off", 1), ("pumps", 2)), 2, 80.0, has_header=True))
    assert (verdict.running, verdict.problems) == (0, ())


def test_no_unit_follows_a_lead_whose_pumps_stand_still() -> None:
    run = GroupRun(2, 80.0, shared="header")
    run.start()
    run.run(60)
    assert run.group(2).staging.lead == 1
    run.begin_fault("pumps", 1)
    for second in range(61, 120):
        run.run(second)
        assert run.testbeds[1].plant.flow_true_lpm > 140.0
    assert run.testbeds[1].plant.flow_true_lpm > 290.0
    assert run.group(2).staging.lead == 2
    run.end_fault("pumps", 1)
    run.run(140)
    assert run.group(2).staging.lead == 1
    assert run.running() == [1, 2]


@pytest.mark.parametrize(("load_kw", "running"), [(120.0, [1, 2, 3]), (70.0, [1, 2])])
def test_a_unit_whose_pumps_stood_still_goes_on_if_the_rest_is_not_enough(
    load_kw: float, running: list[int]
) -> None:
    run = GroupRun(3, load_kw, shared="header")
    run.start()
    run.run(40)
    run.begin_fault("pumps", 3)
    run.run(52)
    run.end_fault("pumps", 3)
    run.run(150)
    assert run.running() == running
    assert run.worst_excess_k() < 3.0


def test_a_stage_stops_and_a_loss_starts_it_again() -> None:
    run = GroupRun(3, 55.0)
    run.start()
    run.run(20)
    for number in (1, 2, 3):
        run.group(number).staging._under_s = 890  # 15 minutes are long for a test
    run.run(40)
    assert run.running() == [1, 2]
    assert [run.group(number).runs for number in (1, 2, 3)] == [True, True, False]
    assert not any("overheat" in line or "flow_low" in line for line in run.console)
    run.switch_off(2)
    run.run(90)
    assert run.running() == [1, 3]
    assert run.worst_excess_k() < 3.0
    assert any("1 alarm raised group_link:cdu02" in line for line in run.console)
    run.switch_on(2)
    run.run(145)
    assert any("1 alarm cleared group_link:cdu02" in line for line in run.console)
    selections = {tuple(run.group(number).staging.selected) for number in (1, 2, 3)}
    assert len(selections) == 1


@pytest.mark.parametrize("cause", ["off", "leak"])
def test_a_unit_that_a_person_or_an_interlock_stopped_is_replaced(cause: str) -> None:
    run = GroupRun(3, 55.0)
    run.start()
    run.run(20)
    for number in (1, 2, 3):
        run.group(number).staging._under_s = 890
    run.run(40)
    assert run.running() == [1, 2]
    arbiter = run.agents[1].arbiters["pumps"]
    rank = MANUAL if cause == "off" else INTERLOCK
    begin_cycle = arbiter.begin_cycle

    def claim_stop() -> None:
        begin_cycle()
        arbiter.claim(rank, "test", EXACT, 0.0, cause)

    arbiter.begin_cycle = claim_stop  # type: ignore[method-assign]
    run.run(44)
    assert [run.group(number).runs for number in (1, 2, 3)] == [True, False, True]
    arbiter.begin_cycle = begin_cycle  # type: ignore[method-assign]
    run.run(90)
    assert run.running() == [1, 3]
    assert run.worst_excess_k() < 3.0


def test_a_recorded_report_and_another_key_are_not_taken() -> None:
    run = GroupRun(2, 60.0)
    sent: list[bytes] = []
    send = run.lan.send

    def record(own: int, peer: int, data: bytes) -> None:
        if own == 2:
            sent.append(data)
        send(own, peer, data)

    run.lan.send = record  # type: ignore[method-assign]
    run.start()
    run.run(20)
    run.switch_off(2)
    member = run.group(1).members[0]
    run.run(25)
    assert not member.is_received(run.world.now)
    for data in sent:
        run.group(1).link_receive(1, data, run.world.now)
    assert not member.is_received(run.world.now)


def test_followers_take_the_speed_of_the_lead_and_use_droop_without_it() -> None:
    run = GroupRun(3, 100.0, shared="header")
    run.start()
    run.run(30)
    lead = run.agents[0].pumps[0].command_pct
    assert lead is not None
    for agent in run.agents[1:]:
        owner = agent.arbiters["pumps"].decision
        assert owner is not None
        assert (owner.owner, owner.reason) == ("group", "lead")
        assert abs((agent.pumps[0].command_pct or 0.0) - lead) <= 2.0
    run.lan.separate({1}, {1, 2, 3})
    run.run(60)
    for agent in run.agents:
        owner = agent.arbiters["pumps"].decision
        assert owner is not None
        assert owner.owner == "loop"
        assert agent.pressure_loop.config.setpoint != agent.config.pressure.setpoint
    run.lan.cut.clear()
    run.run(90)
    assert {agent.pressure_loop.config.setpoint for agent in run.agents} == {
        run.agents[0].config.pressure.setpoint
    }


def test_a_changed_set_point_survives_the_droop_and_refuses_no_lead() -> None:
    """Operators change `control.dp.setpoint_kpa` of all units, and the lead is lost for a while."""
    run = GroupRun(3, 100.0, shared="header")
    run.start()
    run.run(30)
    for agent in run.agents:
        changes = [("control.dp.setpoint_kpa", 60)]
        agent.apply_live_config(with_changes(agent.running_config(), changes))
    run.run(110)
    assert [run.group(unit)._lead_watch.refused for unit in (1, 2, 3)] == [0, 0, 0]
    run.lan.separate({1}, {1, 2, 3})
    run.run(140)
    run.lan.cut.clear()
    run.run(170)
    assert {agent.pressure_loop.config.setpoint for agent in run.agents} == {60}


def test_a_follower_runs_as_many_pumps_as_the_lead() -> None:
    run = GroupRun(3, 100.0, shared="header")
    run.start()
    run.run(30)
    running = [[pump.speed_pct > 1 for pump in bed.plant.pumps] for bed in run.testbeds]
    assert running == [[True, False]] * 3
    flows = [bed.plant.flow_true_lpm for bed in run.testbeds]
    assert max(flows) <= 1.05 * min(flows)


def test_a_lead_that_cannot_reach_the_speed_of_the_others_leads_after_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = GroupRun(2, 60.0, shared="header")
    run.start()
    run.run(20)
    group = run.group(1)
    group._join_s = 60
    monkeypatch.setattr(group, "_fastest_pct", lambda: 150.0)
    run.run(40)
    assert group._is_joining()
    run.run(85)
    assert not group._is_joining()


def test_one_wrong_clock_leaves_one_integrator_at_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    run = GroupRun(3, 100.0, shared="header")
    run.start()
    run.run(20)
    for number, slot in ((1, 99), (2, 100), (3, 99)):
        monkeypatch.setattr(run.group(number), "_slot", lambda _, slot=slot: slot)
    run.run(60)
    decisions = [agent.arbiters["pumps"].decision for agent in run.agents]
    assert [decision.owner for decision in decisions if decision] == ["loop", "group", "group"]
    run.run(85)
    raised = [line.split(" ")[1:] for line in run.console if "raised group_rules" in line]
    assert sorted(words[0] for words in raised) == ["1", "3"]
    assert {words[3] for words in raised} == {"group_rules:cdu02:"}


def test_a_lead_without_the_pressure_lets_another_unit_control_it() -> None:
    """Its pumps would go to their safe speed, and all others would follow."""
    run = GroupRun(3, 100.0, shared="header")
    run.start()
    run.run(60)
    run.testbeds[0].rpu.break_sensor("supply_kpa")
    run.run(75)
    for second in range(76, 121):
        run.run(second)
        decisions = [agent.arbiters["pumps"].decision for agent in run.agents]
        assert [decision.owner for decision in decisions if decision] == ["group", "loop", "group"]
        pressure_kpa = run.agents[1].dp_sensor.value(run.world.now)
        assert pressure_kpa is not None
        assert 76 <= pressure_kpa <= 88
    run.testbeds[0].rpu.clear_fault("supply_kpa")
    run.run(150)
    decision = run.agents[0].arbiters["pumps"].decision
    assert decision is not None
    assert decision.owner == "loop"


@pytest.mark.parametrize(("units", "unit", "kind"), [(3, 1, "low"), (2, 1, "high"), (2, 2, "low")])
def test_a_false_pressure_does_not_control_the_header(units: int, unit: int, kind: str) -> None:
    """The lead would halve the pressure or double it; a false one of two must not lead."""
    run = GroupRun(units, 40.0 * units, shared="header")
    run.start()
    run.run(60)
    run.begin_fault(kind, unit)
    run.run(90)
    good = run.agents[-1 if unit == 1 else 0]
    for second in range(91, 121):
        run.run(second)
        pressure_kpa = good.dp_sensor.value(run.world.now)
        assert pressure_kpa is not None
        assert 72 <= pressure_kpa <= 88
    raised = {line.split(" ")[1] for line in run.console if "raised group_pressure" in line}
    assert raised == ({str(unit)} if units > 2 else {"1", "2"})
    run.end_fault(kind, unit)
    run.run(140)
    cleared = {line.split(" ")[1] for line in run.console if "cleared group_pressure" in line}
    assert cleared == raised


class NoReading:
    """A sensor that gives no value."""

    def value(self, now: int) -> float | None:
        return None


def test_a_lost_flow_sensor_is_a_heat_that_is_not_known_in_all_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = GroupRun(3, 55.0)
    before = dict(run.group(1).status(0).pairs)
    assert before["load_w"] is None, "no report yet"
    assert before["whole"] is None
    run.start()
    run.run(20)
    for number in (1, 2, 3):
        assert 40_000 < dict(run.group(number).status(run.world.now).pairs)["load_w"] < 70_000
        run.group(number).staging._under_s = 890
    monkeypatch.setattr(run.group(2), "_flow", NoReading())
    run.run(50)
    for number in (1, 2, 3):
        status = dict(run.group(number).status(run.world.now).pairs)
        assert status["load_w"] is None
        assert status["heat_unknown"] == ["cdu02"]
        assert status["whole"] is True
        assert status["runs"] is True
    assert run.running() == [1, 2, 3]


def test_a_report_that_cannot_be_read_does_not_keep_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = GroupRun(2, 60.0)
    run.start()
    run.run(20)
    member = run.group(1).members[0]
    assert member.is_received(run.world.now)
    monkeypatch.setattr("agent.control.group.component.build_report", lambda _: b"of a later form")
    run.run(25)
    assert member.link.is_up(run.world.now)
    assert not member.is_received(run.world.now)
    assert any("alarm raised group_link:cdu02" in line for line in run.console)


def test_a_unit_that_receives_nothing_is_an_alarm_at_all_units() -> None:
    run = GroupRun(3, 60.0)
    run.start()
    run.run(20)
    run.begin_fault("deaf", 1)
    run.run(30)
    raised = [
        line.split(" alarm raised ")[1] for line in run.console if "raised group_link" in line
    ]
    names = sorted(line.split()[0].rstrip(":") for line in raised)
    assert names == ["group_link:cdu01"] * 2 + ["group_link:cdu02", "group_link:cdu03"]
    run.end_fault("deaf", 1)
    run.run(40)
    assert len([line for line in run.console if "cleared group_link" in line]) == 4


def test_a_speed_that_is_not_known_does_not_move_the_set_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = GroupRun(2, 60.0, shared="header")
    run.start()
    run.run(20)
    group = run.group(1)
    asked: list[SetpointRequest] = []
    monkeypatch.setattr(group.agent, "request_setpoint", asked.append)
    group._is_whole = False
    for pump in group.agent.pumps:
        pump.command_pct = None
    group._droop()
    assert asked == []
    group.agent.pumps[0].command_pct = 70.0
    group._droop()
    assert len(asked) == 1
    assert asked[0].value == pytest.approx(group._setpoint_kpa - 6.0)
