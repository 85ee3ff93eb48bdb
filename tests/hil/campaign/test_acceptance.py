# SPDX-License-Identifier: Apache-2.0
"""The acceptance table of the hazard analysis, and hazard cases on both interpreters."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hil.campaign.hazard import acceptance
from hil.campaign.hazard.acceptance import (
    FAILED,
    FIGURES,
    MET,
    REASON,
    Beyond,
    LineResult,
    TableLine,
)
from hil.campaign.hazard.case_generator import CaseOptions, HazardCase, generate_case
from hil.campaign.hazard.coverage import choose_by_codes
from hil.campaign.hazard.run import CaseResult, judge_run, run_case
from hil.commands import hil
from hil.kernel.dut import DutFactory, InProcessDut
from hil.run.virtual import VirtualRun
from tests.hil.digests.shared_runs import on_both, quick_lock_step
from tests.support.programs import require_program

ANY = CaseOptions()
GROUPS = ("H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8", "H9", "H10", "H11")


def test_each_group_has_lines_and_each_line_has_limits() -> None:
    lines = acceptance.load_lines()
    assert list(dict.fromkeys(line.group for line in lines)) == list(GROUPS)
    for line in lines:
        assert [name for name in FIGURES if line.asked(name) is not None] or line.never, line
        assert set(line.never) <= set(FIGURES)
        assert bool(line.count_of) == (line.count is not None), line
        cases = acceptance.list_cases(line)
        assert cases
        for beyond in line.beyond:
            assert line.asked(beyond.figure) is not None, line
            assert set(beyond.only.split()) <= set(cases), line
            assert len(beyond.reason) > 40, line


def make_result(line: TableLine, **figures: float | None) -> LineResult:
    values: dict[str, float | None] = dict.fromkeys(FIGURES)
    return LineResult(line, "90kw", values | figures, (), "digest", "cpython")


def test_a_limit_is_exceeded_only_with_a_reason() -> None:
    line = TableLine("H1", "pumps", "h1-pumps-seized", case_c=85, dew_k=0, alarm_s=1)
    good = {"case_c": 85.004, "dew_k": 0.0, "alarm_s": 1.0}
    assert make_result(line, **good).verdict == MET
    for name, value in (("case_c", 85.01), ("dew_k", -0.01), ("alarm_s", 1.01), ("alarm_s", None)):
        assert make_result(line, **good | {name: value}).verdict == FAILED
    late = make_result(line, **good | {"alarm_s": 1.5})
    known = replace(line, beyond=(Beyond("alarm_s", "the reason", 1.6),))
    assert replace(late, line=known).verdict == REASON
    assert replace(late, line=known, failures=("flow_lpm: not >= 75",)).verdict == FAILED
    elsewhere = replace(line, beyond=(Beyond("alarm_s", "the reason", 1.6, "cold"),))
    assert replace(late, line=elsewhere).verdict == FAILED
    unneeded = replace(line, beyond=(Beyond("alarm_s", "not needed"),))
    assert make_result(unneeded, **good | {"alarm_s": None}).verdict == REASON
    never = replace(line, never=("switch_s",))
    assert make_result(never, **good | {"switch_s": 3.0}).verdict == FAILED


def test_the_command_measures_a_line_and_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sample; `make soak` measures all lines on both interpreters."""
    page = tmp_path / "table.md"
    options = ["--line", "h1-pumps-seized", "--workers", "1", "--json"]
    assert hil(["hazard", "--acceptance", str(page), *options]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert [line["scenario"].split("/")[1] for line in lines] == ["90kw", "30kw", "cold"]
    for line in lines:
        figures = line["figures"]
        assert line["verdict"] == REASON
        assert 0.4 < figures["limit_s"] < 1.505
        assert figures["limit_s"] < figures["switch_s"] <= figures["off_s"] <= 5
        assert figures["off_s"] < figures["power_s"] < 8
        is_cold = line["scenario"].endswith("/cold")  # without heat its valve closes: dew
        assert is_cold or figures["valve_s"] is None
    text = page.read_text(encoding="utf-8")
    assert "| H1 both pumps seized | `h1-pumps-seized/30kw` |" in text
    assert "1.5 / 1 |" in text
    assert hil(["hazard", "--acceptance", str(page), "--line", "h1-no-such"]) == 2


@pytest.mark.soak
def test_all_lines_on_both_interpreters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0: no line fails on CPython or MicroPython, and all digests are equal."""
    require_program("micropython")
    page = tmp_path / "table.md"
    assert hil(["hazard", "--acceptance", str(page), "--compare", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert {line["interpreter"] for line in lines} == {"cpython", "micropython"}


def test_cases_are_chosen_by_their_alarm_codes() -> None:
    codes = [("dew",), ("dew", "flow_low"), ("flow_low",), ("bus_lost",)]
    results = [CaseResult(i, 2, (), "", codes=found) for i, found in enumerate(codes)]
    assert [result.seed for result in choose_by_codes(results, 2)] == [1, 3]
    assert len(choose_by_codes(results, 9)) == 4


def judgement(case: HazardCase, make_dut: DutFactory) -> tuple[object, ...]:
    """Judge I1 to I9. An equal digest means equal writes, so I4 has the same result too."""
    run = VirtualRun(case.scenario, case.seed, make_dut)
    violations, codes = judge_run(case, run)
    return violations, codes, run.shell.digest.text()


def test_a_hazard_case_has_the_same_judgement_on_micropython() -> None:
    require_program("micropython")
    case = generate_case(2, 2, CaseOptions(90.0, "warm", ("pumps_seized", "supply_register")))
    last_s = max(event.at_s for event in case.scenario.events)
    case = replace(case, scenario=replace(case.scenario, seconds=int(last_s) + 60))
    violations, codes, _ = judgement(case, on_both(quick_lock_step))  # compares each step
    assert "I3" not in str(violations)
    assert "flow_low" in str(codes)


@pytest.mark.soak
def test_hazard_cases_have_the_same_judgement_on_micropython() -> None:
    """20 of 120 pairs and triples, chosen so that they raise as many alarm codes as possible."""
    require_program("micropython")
    numbers = [(seed, 3 if seed % 10 == 0 else 2) for seed in range(1, 121)]
    pool = [run_case(seed, count, ANY, "cpython", keep=False) for seed, count in numbers]
    chosen = choose_by_codes(pool, 20)
    assert len({code for result in chosen for code in result.codes}) > 40
    differing = []
    for result in chosen:
        case = generate_case(result.seed, result.fault_count, ANY)
        if judgement(case, InProcessDut) != judgement(case, quick_lock_step):
            differing.append((result.seed, result.fault_count))
    assert differing == []
