# SPDX-License-Identifier: Apache-2.0
"""The page of faults of an earlier version: its rows, its runs, its figures."""

from dataclasses import replace
from pathlib import Path

import pytest

from hil.campaign.reproduce.page import Case, Figure, load_cases, measure, write_page
from hil.measure.registry import MEASURES
from hil.run.recorded import DUTS
from hil.scenario.suite import find_case

PAGE = Path(__file__).parents[3] / "docs/reference/before_after.md"


def test_each_row_has_a_run_or_a_command() -> None:
    assert {case.number for case in load_cases()} == set(range(1, 12))
    for case in load_cases():
        assert bool(case.scenario) != bool(case.command), case
        assert bool(case.command) == bool(case.result), case
        assert case.fault, case
        assert case.before, case
        if case.scenario:
            scenario = find_case(case.scenario)
            assert not scenario.cases, case
            assert MEASURES[case.measure.partition(":")[0]].unit == case.unit, case
            assert case.from_s < scenario.seconds, case


def test_page_has_the_rows_of_the_table_and_each_scenario_passed() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()[11:]]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (f"| {case.number}", case.fault, case.before) for case in load_cases()
    ]
    assert {row[4] for row in rows} == {"pass", "-"}


def test_figure_is_the_largest_or_the_smallest_sample() -> None:
    case = Case(1, "f", "b", "smoke", "supply_c", "Cel", "max", until_s=5.0)
    most = measure(case, DUTS["cpython"])
    least = measure(replace(case, extreme="min"), DUTS["cpython"])
    assert most.value is not None
    assert least.value is not None
    assert 30.0 < least.value < most.value < 34.0


def test_value_of_a_row_has_its_unit_and_a_failed_scenario_is_named() -> None:
    case = next(case for case in load_cases() if case.unit == "Cel")
    page = write_page({case: Figure(73.74, False)})
    assert f"| {case.before} | 73.74 °C | fail | `coldloop hil run {case.scenario}` |" in page


@pytest.mark.soak
def test_figures_of_the_page_are_those_of_the_runs() -> None:
    figures = {case: measure(case, DUTS["cpython"]) for case in load_cases() if case.scenario}
    assert write_page(figures) == PAGE.read_text(encoding="utf-8")
