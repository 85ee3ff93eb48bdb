"""Shrinking: what QuickXplain leaves and how many runs it takes; scenarios written and read."""

import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from hil.campaign.shrink import quickxplain, shrink
from hil.commands import hil
from hil.errors import BenchError
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, shipped
from hil.scenario.model import Event, Expectation, Scenario, parse
from hil.scenario.toml_writer import written
from tests.support.cli_tools import SHORT, scenario_file


def events(count: int) -> tuple[Event, ...]:
    return tuple(Event(float(i), "bus_silent", None, 1.0) for i in range(count))


@pytest.mark.parametrize("seed", range(20))
def test_three_causes_among_forty_are_found_in_sixty_runs(seed: int) -> None:
    whole = events(40)
    causes = set(random.Random(seed).sample(whole, 3))
    runs = 0

    def fails(some: tuple[Event, ...]) -> bool:
        nonlocal runs
        runs += 1
        return causes <= set(some)

    assert set(quickxplain(whole, fails)) == causes
    assert runs <= 60


def test_one_of_two_causes_is_enough() -> None:
    whole = events(40)
    found = quickxplain(whole, lambda some: whole[3] in some or whole[30] in some)
    assert len(found) == 1


def test_what_fails_without_any_event_needs_none() -> None:
    assert quickxplain(events(5), lambda _some: True) == ()
    assert quickxplain((), lambda _some: True) == ()


PLANTED = SHORT.replace("= 3", "= 130") + '[[expect]]\nmeasure = "alarm:bus_lost"\nmax = 0\n'


def planted() -> str:
    """Forty faults, of which one (nothing on the bus answers, for long) is the cause."""
    text = PLANTED
    for i in range(39):
        text += f'[[event]]\nat_s = {2 * i + 1}\ndo = "rpu_twice"\nfor_s = 1\n'
    return text + '[[event]]\nat_s = 70\ndo = "bus_silent"\nfor_s = 40\n'


def test_a_planted_defect_is_shrunk_and_the_small_one_fails_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scenario_file(tmp_path, planted())
    small = tmp_path / "small.toml"
    assert hil(["shrink", path, "--out", str(small)]) == 0
    assert "40 events, 1 are needed" in capsys.readouterr().out
    assert [e.do for e in find(str(small)).events] == ["bus_silent"]
    assert hil(["run", str(small)]) == 1
    assert hil(["shrink", "smoke"]) == 2
    assert "passes with seed 1; there is nothing to shrink" in capsys.readouterr().err


def test_a_pass_is_not_shrunk() -> None:
    with pytest.raises(BenchError, match="nothing to shrink"):
        shrink(parse(PLANTED, "x"), 1, "cpython")


@pytest.mark.parametrize("name", shipped())
def test_a_scenario_that_is_written_is_read_back_equal(name: str) -> None:
    for scenario in find(name).runs():
        back = written(scenario)
        assert (back.row, back.events) == (scenario.row, scenario.events)
        assert (back.expectations, back.prompts) == (scenario.expectations, scenario.prompts)
        assert (back.name, back.title, back.seconds) == (
            scenario.name,
            scenario.title,
            scenario.seconds,
        )


@pytest.mark.soak
def test_three_faults_among_forty_are_found_by_running_them() -> None:
    """Real runs: only with the valve stuck, the load up and the facility water warm is it hot."""
    text = SHORT.replace("= 3", "= 400")
    for i in range(37):
        text += f'[[event]]\nat_s = {2 * i + 1}\ndo = "rpu_twice"\nfor_s = 1\n'
    for at, do, value in ((80, "valve_stuck", None), (90, "it_load", 110), (95, "weather_step", 4)):
        given = "" if value is None else f"value = {value}\n"
        text += f'[[event]]\nat_s = {at}\ndo = "{do}"\n{given}'
    whole = parse(text + '[[expect]]\nmeasure = "ticks"\nmin = 1\n', "forty.toml")
    hottest = {n: _hottest(replace(whole, events=whole.events[:37] + n)) for n in _some(whole)}
    three = hottest.pop(whole.events[37:])
    most = max(hottest.values())
    assert three > most
    expect = Expectation("supply_c", "Cel", max=(three + most) / 2)
    found = shrink(replace(whole, expectations=(expect,)), 1, "cpython")
    assert found.scenario.events == whole.events[37:]
    assert found.runs <= 60


def _some(whole: Scenario) -> list[tuple[Event, ...]]:
    return [n for size in (2, 3) for n in combinations(whole.events[37:], size)]


def _hottest(scenario: Scenario) -> float:
    run, seen = VirtualRun(scenario, 1), [0.0]
    run.run(lambda _second: seen.append(run.sample("supply_c") or 0.0))
    return max(seen)
