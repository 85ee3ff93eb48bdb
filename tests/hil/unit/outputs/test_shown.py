# SPDX-License-Identifier: Apache-2.0
"""A run on real devices says only what it has shown: alarms, requirements, answers to outputs."""

from pathlib import Path

import pytest

from hil.record.provenance import REAL_TIME
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.recorded import RecordedRun
from hil.run.unit.record_unit import unit_channels
from hil.run.unit.shown_response import MEASURE, add_responses
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.run.unit.unit_suite import build_suite
from hil.run.virtual import RunResult
from hil.scenario.channels import Series
from hil.scenario.judge import FAIL, MARGINAL, PASS, Evaluator, ReadMeasure
from tests.hil.unit.test_unit import write_site
from tests.portable.agent.config.test_roles import all_roles, cdu_profile


@pytest.fixture
def unit(tmp_path: Path) -> UnitFile:
    return load_unit(write_site(tmp_path, all_roles(), cdu_profile()))


def good(measure: str) -> float:
    """Return a value that each limit of a run on real devices takes."""
    return {"supply_c": 32.0, "dp_kpa": 60.0}.get(measure, 0.0)


def reader(one: str) -> ReadMeasure:
    """Return a reader whose measure `one` is 1, and the others are good."""
    return lambda name: 1.0 if name == one else good(name)


@pytest.mark.parametrize("code", ["device_alarm", "pump_trip"])
@pytest.mark.parametrize("at_s", [1, 10, 19, 29])
def test_an_alarm_at_any_time_fails_each_scenario(unit: UnitFile, code: str, at_s: int) -> None:
    suite = build_suite(unit, is_real=True, real_s=30)
    assert len(suite.scenarios) == 2
    for scenario in suite.scenarios:
        evaluator = Evaluator(scenario)
        for second in range(1, 31):
            evaluator.sample(second, reader(f"alarm:{code}" if second == at_s else ""))
        assert [line.partition(": ")[0] for line in evaluator.failures()] == [f"alarm:{code}"]


def test_each_scenario_judges_the_state(unit: UnitFile) -> None:
    for scenario in build_suite(unit, is_real=True, real_s=30).scenarios:
        evaluator = Evaluator(scenario)
        for second in range(1, 31):
            evaluator.sample(second, reader("state"))
        assert [line.partition(":")[0] for line in evaluator.failures()] == ["state"]


@pytest.mark.parametrize("is_real", [True, False])
def test_a_scenario_that_injects_nothing_meets_no_requirement(
    unit: UnitFile, is_real: bool
) -> None:
    scenarios = build_suite(unit, is_real=is_real).scenarios
    assert any(not scenario.events for scenario in scenarios)
    for scenario in scenarios:
        named = {expectation.requirement for expectation in scenario.expectations} - {""}
        assert bool(scenario.events) or not named, scenario.name


def recorded(unit: UnitFile, values: dict[str, list[float]]) -> RecordedRun:
    scenario = build_suite(unit, is_real=True, real_s=30).scenarios[-1]
    series = Series(unit_channels(unit, False))
    for second in range(30):
        sample = {name: v[min(second, len(v) - 1)] for name, v in values.items()}
        series.sample(second, sample.get)
    result = RunResult(scenario.name, 0, "cpython", (), None, 30.0, 30.0)
    origin = ProvenanceRecorder(REAL_TIME, "cpython").finish(unit.whole, None)
    return RecordedRun(scenario, result, [], series, [], unit.whole, [], origin)


_MOVING = {"supply_c": [36.0, 34.0, 32.0], "dp_kpa": [50.0, 60.0],
           "valve_pct": [40.0, 50.0], "pump_pct:1": [60.0, 66.0]}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "verdicts"),
    [
        ({}, [PASS, PASS]),
        ({"supply_c": [32.0], "dp_kpa": [60.0]}, [MARGINAL, MARGINAL]),
        ({"valve_pct": [40.0], "pump_pct:1": [60.0]}, [MARGINAL, MARGINAL]),
        ({"supply_c": [32.0, 32.1]}, [MARGINAL, PASS]),
        ({"dp_kpa": [60.0], "pump_pct:1": [60.0, 90.0]}, [PASS, FAIL]),
        ({"supply_c": [32.0], "valve_pct": [0.0, 90.0]}, [MARGINAL, PASS]),
    ],
)
def test_a_value_that_never_answers_is_no_pass(
    unit: UnitFile, changed: dict[str, list[float]], verdicts: list[str]
) -> None:
    run = recorded(unit, {**_MOVING, **changed})
    first, last = add_responses(unit, [run, run])
    assert first.results == []
    assert [result.verdict for result in last.results] == verdicts
    assert [result.measure for result in last.results] == [
        f"{MEASURE}supply_c",
        f"{MEASURE}dp_kpa",
    ]
    assert len(last.run_result.failures) == verdicts.count(FAIL)
    for result in last.results:
        if result.verdict == MARGINAL:
            assert "not shown" in str(result.near)


def test_a_step_test_has_shown_the_answer(unit: UnitFile) -> None:
    run = recorded(unit, {"supply_c": [32.0], "dp_kpa": [60.0]})
    last = add_responses(unit, [run], ("supply",))[-1]
    assert [result.verdict for result in last.results] == [PASS, MARGINAL]
