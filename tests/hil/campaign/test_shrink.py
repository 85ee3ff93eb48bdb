# SPDX-License-Identifier: Apache-2.0
"""Shrinking: result and number of runs of QuickXplain; scenarios written and read."""

import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from hil.campaign.shrink import quickxplain, shrink
from hil.commands import hil
from hil.errors import BenchError
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, parse, shipped_names
from hil.scenario.model import Expectation, Scenario, ScenarioEvent
from hil.scenario.toml_writer import round_trip
from tests.support.cli_tools import SHORT, scenario_file


def make_events(count: int) -> tuple[ScenarioEvent, ...]:
    return tuple(ScenarioEvent(float(i), "bus_silent", None, 1.0) for i in range(count))


@pytest.mark.parametrize("seed", range(20))
def test_three_of_forty_causes_are_found_in_sixty_runs(seed: int) -> None:
    all_events = make_events(40)
    causes = set(random.Random(seed).sample(all_events, 3))
    runs = 0

    def fails(some: tuple[ScenarioEvent, ...]) -> bool:
        nonlocal runs
        runs += 1
        return causes <= set(some)

    assert set(quickxplain(all_events, fails)) == causes
    assert runs <= 60


def test_one_of_two_sufficient_causes_remains() -> None:
    all_events = make_events(40)
    needed = quickxplain(all_events, lambda some: all_events[3] in some or all_events[30] in some)
    assert len(needed) == 1


def test_failure_without_events_needs_no_event() -> None:
    assert quickxplain(make_events(5), lambda _some: True) == ()
    assert quickxplain((), lambda _some: True) == ()


SINGLE_CAUSE = SHORT.replace("= 3", "= 130") + '[[expect]]\nmeasure = "alarm:bus_lost"\nmax = 0\n'


def make_forty_faults() -> str:
    """Return 40 faults; one of them (a silent bus for 40 s) is the cause of the failure."""
    text = SINGLE_CAUSE
    for i in range(39):
        text += f'[[event]]\nat_s = {2 * i + 1}\ndo = "rpu_twice"\nfor_s = 1\n'
    return text + '[[event]]\nat_s = 70\ndo = "bus_silent"\nfor_s = 40\n'


def test_shrunk_scenario_still_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = scenario_file(tmp_path, make_forty_faults())
    small = tmp_path / "small.toml"
    assert hil(["shrink", path, "--out", str(small)]) == 0
    assert "40 events, 1 are needed" in capsys.readouterr().out
    assert [e.do for e in find(str(small)).events] == ["bus_silent"]
    assert hil(["run", str(small)]) == 1
    assert hil(["shrink", "smoke"]) == 2
    assert "passes with seed 1; there is nothing to shrink" in capsys.readouterr().err


def test_passing_scenario_is_not_shrunk() -> None:
    with pytest.raises(BenchError, match="nothing to shrink"):
        shrink(parse(SINGLE_CAUSE, "x"), 1, "cpython")


@pytest.mark.parametrize("name", shipped_names())
def test_written_scenario_is_parsed_equal(name: str) -> None:
    for scenario in find(name).expand_cases():
        parsed = round_trip(scenario)
        assert (parsed.settings, parsed.events) == (scenario.settings, scenario.events)
        assert (parsed.expectations, parsed.prompts) == (scenario.expectations, scenario.prompts)
        assert (parsed.name, parsed.title, parsed.seconds) == (
            scenario.name,
            scenario.title,
            scenario.seconds,
        )


@pytest.mark.soak
def test_three_of_forty_faults_are_found_by_runs() -> None:
    """With real runs: only valve stuck, high load and warm water together make the supply hot."""
    text = SHORT.replace("= 3", "= 400")
    for i in range(37):
        text += f'[[event]]\nat_s = {2 * i + 1}\ndo = "rpu_twice"\nfor_s = 1\n'
    for at_s, do, value in (
        (80, "valve_stuck", None),
        (90, "it_load", 110),
        (95, "weather_step", 4),
    ):
        value_line = "" if value is None else f"value = {value}\n"
        text += f'[[event]]\nat_s = {at_s}\ndo = "{do}"\n{value_line}'
    full = parse(text + '[[expect]]\nmeasure = "ticks"\nmin = 1\n', "forty.toml")
    max_supply = {
        subset: _max_supply_c(replace(full, events=full.events[:37] + subset))
        for subset in _event_subsets(full)
    }
    with_all_three = max_supply.pop(full.events[37:])
    with_fewer = max(max_supply.values())
    assert with_all_three > with_fewer
    expectation = Expectation("supply_c", "Cel", max=(with_all_three + with_fewer) / 2)
    result = shrink(replace(full, expectations=(expectation,)), 1, "cpython")
    assert result.scenario.events == full.events[37:]
    assert result.runs <= 60


def _event_subsets(scenario: Scenario) -> list[tuple[ScenarioEvent, ...]]:
    return [subset for size in (2, 3) for subset in combinations(scenario.events[37:], size)]


def _max_supply_c(scenario: Scenario) -> float:
    run, samples = VirtualRun(scenario, 1), [0.0]
    run.run(lambda _second: samples.append(run.sample("supply_c") or 0.0))
    return max(samples)
