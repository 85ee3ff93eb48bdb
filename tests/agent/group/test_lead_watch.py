# SPDX-License-Identifier: Apache-2.0
"""When a unit refuses the lead of a header, and when it takes it again."""

import pytest

from agent.control.group.lead_watch import OFF_S, LeadWatch
from hil.run.several.group_run import GroupRun


def step(watch: LeadWatch, seconds: int, kpa: float | None, lead_pct: float, lead: int = 1) -> int:
    for _ in range(seconds):
        watch.step(lead, None if kpa is None else (kpa - 80.0) / 80.0, lead_pct, 60.0)
    return watch.refused


@pytest.mark.parametrize(("kpa", "refused"), [(67.0, 1), (69.0, 0), (91.0, 0), (93.0, 1)])
def test_a_pressure_that_is_off_for_a_minute_refuses_the_lead(kpa: float, refused: int) -> None:
    watch = LeadWatch()
    assert step(watch, OFF_S - 1, kpa, 60.0) == 0
    assert step(watch, 1, kpa, 60.0) == refused


def test_a_shorter_difference_or_an_unknown_pressure_does_not() -> None:
    watch = LeadWatch()
    for _ in range(9):
        step(watch, OFF_S - 1, 20.0, 60.0)
        assert step(watch, 1, 80.0, 60.0) == 0
    assert step(watch, 10 * OFF_S, None, 60.0) == 0


def test_the_lead_is_taken_again_when_its_speed_and_the_pressure_agree() -> None:
    watch = LeadWatch()
    assert step(watch, OFF_S, 20.0, 100.0) == 1
    assert step(watch, 10 * OFF_S, 80.0, 100.0) == 1
    assert step(watch, 10 * OFF_S, 20.0, 60.0) == 1
    assert step(watch, OFF_S - 1, 80.0, 64.0) == 1
    assert step(watch, 1, 80.0, 64.0) == 0


def test_another_lead_is_taken_at_once() -> None:
    watch = LeadWatch()
    assert step(watch, OFF_S, 20.0, 100.0) == 1
    assert step(watch, 1, 20.0, 100.0, lead=2) == 0
    assert step(watch, OFF_S, 20.0, 100.0, lead=0) == 0


@pytest.mark.parametrize("speed_milli", [20_000, 100_000])
def test_a_false_speed_of_the_lead_does_not_keep_the_pressure_off(
    speed_milli: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = GroupRun(3, 120.0, shared="header")
    run.start()
    run.run(45)
    lead = run.group(1)
    report = lead._own_report
    monkeypatch.setattr(
        lead, "_own_report", lambda now: report(now)._replace(pump_milli=speed_milli)
    )
    run.run(60)
    assert abs(run.testbeds[0].plant.dp_kpa - 80) > 12
    run.run(200)
    for second in range(200, 260, 5):
        run.run(second)
        assert abs(run.testbeds[0].plant.dp_kpa - 80) < 10
    raised = [line for line in run.console if "alarm raised group_lead:cdu01" in line]
    assert len(raised) == 2
