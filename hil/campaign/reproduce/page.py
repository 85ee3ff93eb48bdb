# SPDX-License-Identifier: Apache-2.0
"""Runs the named scenario of each row of `cases.toml`, and writes the page of figures.

Does not judge: the scenario judges itself, and its verdict is in the page. The figure is the
largest or the smallest sample of the measure in the window of the row.
"""

import functools
import tomllib
from dataclasses import dataclass, replace
from importlib import resources

from hil.kernel.dut import DutFactory
from hil.run.virtual import VirtualRun
from hil.scenario.model import Expectation
from hil.scenario.suite import find_case

_SEED = 1
_FAR = 1e9
_INTRODUCTION = (
    "# Faults that stopped the cooling: before, and now",
    "",
    "For engineers and testers. Written by `coldloop hil hazard --before-after FILE`. Do not edit.",
    "",
    "Independent tests found these faults in an earlier version (commit d816654). Each row names",
    "the command that shows the fault today. The figures of `now` are from these runs, in virtual",
    "time, seed 1. The devices and the plant are emulated. `verdict` is that of the scenario with",
    "all its expectations. The limit of a case is 85 °C.",
    "",
)


@dataclass(frozen=True)
class Case:
    """One row; see `cases.toml`. Without `scenario` there are `command` and `result`."""

    number: int
    fault: str
    before: str
    scenario: str = ""
    measure: str = ""
    unit: str = ""
    extreme: str = "max"
    from_s: float = 0.0
    until_s: float | None = None
    command: str = ""
    result: str = ""


@dataclass(frozen=True)
class Figure:
    """What a run gave: the figure (None: no sample) and whether its scenario passes."""

    value: float | None
    is_passed: bool


@functools.cache
def load_cases() -> tuple[Case, ...]:
    """Read all rows."""
    text = (resources.files("hil.campaign.reproduce") / "cases.toml").read_text(encoding="utf-8")
    return tuple(Case(**entry) for entry in tomllib.loads(text)["case"])


def measure(case: Case, make_dut: DutFactory) -> Figure:
    """Run the scenario of a row; give its figure."""
    scenario = find_case(case.scenario)
    limits = {"max": (None, -_FAR), "min": (_FAR, None)}[case.extreme]
    wanted = Expectation(case.measure, "", *limits, case.from_s, case.until_s)
    expectations = (*scenario.expectations, wanted)
    run = VirtualRun(replace(scenario, expectations=expectations), _SEED, make_dut)
    try:
        run.run()
    finally:
        run.dut.close()
    results = run.evaluator.results()
    return Figure(results[-1].worst, not any(result.failure for result in results[:-1]))


def write_page(figures: dict[Case, Figure]) -> str:
    """Write the page as Markdown."""
    lines = [
        *_INTRODUCTION,
        "| point | fault and figure | before | now | verdict | command |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_write_row(case, figures.get(case)) for case in load_cases()]
    return "\n".join(lines) + "\n"


def _write_row(case: Case, figure: Figure | None) -> str:
    if figure is None:
        cells = [case.result, "-", f"`{case.command}`"]
    else:
        verdict = "pass" if figure.is_passed else "fail"
        cells = [_write_value(case, figure.value), verdict, f"`coldloop hil run {case.scenario}`"]
    return f"| {' | '.join([str(case.number), case.fault, case.before, *cells])} |"


def _write_value(case: Case, value: float | None) -> str:
    if value is None:
        return "no sample"
    unit = {"Cel": "°C"}.get(case.unit, case.unit)
    return f"{value:.4g} {unit}".strip()
