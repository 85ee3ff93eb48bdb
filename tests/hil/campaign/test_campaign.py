# SPDX-License-Identifier: Apache-2.0
"""Campaigns: a seed determines scenario and run; a violation is stored and can be repeated."""

import gc
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.bench.testbed_settings import TestbedSettings
from hil.campaign import workers
from hil.campaign.nth_failure import KINDS, choose_places, make_base_scenario
from hil.campaign.random_campaign import (
    MIN_SECONDS,
    generate_scenario,
    list_liveness,
    run_seed,
)
from hil.campaign.words import DRAWN, NOT_DRAWN
from hil.commands import hil
from hil.fault.registry import EVENTS
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Expectation, Scenario, ScenarioEvent
from hil.scenario.semantic_check import find_problem
from tests.support.cli_tools import COLDLOOP
from tests.support.programs import MISSING
from tests.support.repository import ROOT

PYPY = ROOT / ".pypy/bin/coldloop"
FEW = ("--seeds", "3", "--first", "9", "--seconds", "600")  # seeds of short runs
VIOLATED = (Expectation("supply_c", "Cel", max=5),)


def test_seed_determines_scenario() -> None:
    assert generate_scenario(7) == generate_scenario(7)
    assert len({generate_scenario(seed).events for seed in range(20)}) == 20


def test_every_drawn_fault_exists_and_occurs() -> None:
    assert {rule.fault for rule in DRAWN} <= set(EVENTS)
    drawn = {event.do for seed in range(400) for event in generate_scenario(seed).events}
    assert drawn == {rule.fault for rule in DRAWN}


def test_every_fault_has_a_rule_or_a_reason() -> None:
    drawn = [rule.fault for rule in DRAWN]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) | set(NOT_DRAWN) == set(EVENTS)
    assert not set(drawn) & set(NOT_DRAWN)


def test_drawn_scenarios_are_valid() -> None:
    for seed in range(60):
        assert find_problem(generate_scenario(seed)) is None
    for rule in DRAWN:
        assert (rule.low is None) == (EVENTS[rule.fault].limits is None), rule
        assert not rule.max_duration_s or EVENTS[rule.fault].undo is not None, rule


def test_air_takes_coolant_and_the_right_end_is_asked() -> None:
    """Vented air takes coolant, and no run fills it up: `level_low` is true, and nothing else."""
    limits = set()
    for seed in range(300):
        scenario = generate_scenario(seed)
        has_air = any(event.do == "air_in_loop" for event in scenario.events)
        asked = {item.measure: (item.min, item.max) for item in scenario.expectations}
        assert ("state" in asked) != ("degrading:level_low" in asked)
        assert has_air or asked["state"] == (None, 0)
        limits.add(asked.get("alarm:level_low"))
    assert {None, (0, 1), (1, 1)} <= limits <= {None, (0, 0), (0, 1), (1, 1)}


@pytest.mark.parametrize(("percent", "is_low"), [(0.5, False), (5.0, True)])
def test_a_unit_after_air_in_the_loop_ends_as_asked(percent: float, is_low: bool) -> None:
    events = [ScenarioEvent(300.0, "air_in_loop", percent)]
    settings = TestbedSettings(it_kw=60.0, parts="cooling, safety")
    ends = [replace(item, from_s=860.0) for item in list_liveness(events, settings, 900)]
    scenario = Scenario("air", "air", 900, settings, tuple(events), tuple(ends))
    run = VirtualRun(scenario, 1)
    run.run()
    assert run.evaluator.failures() == []
    low = next(item for item in ends if item.measure == "alarm:level_low")
    assert (low.min, low.max) == ((1, 1) if is_low else (0, 0))
    assert run.sample("degrading:level_low") == 0.0
    assert run.sample("degrading:dew") == float(is_low)


def test_three_seeds_without_violation(capsys: pytest.CaptureFixture[str]) -> None:
    """A short campaign on two processes; `make soak` runs the long one."""
    assert hil(["campaign", *FEW, "--workers", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["seeds"], record["violations"], record["virtual_hours"]) == (3, 0, 0.5)


def test_violation_is_stored_and_repeatable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.campaign.random_campaign.SAFETY", VIOLATED)
    arguments = [
        "campaign",
        "--seeds",
        "1",
        "--first",
        "9",
        "--seconds",
        str(MIN_SECONDS),
        "--workers",
        "1",
    ]
    assert hil([*arguments, "--keep", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAIL  seed 9" in out
    repeat_line = next(line for line in out.splitlines() if "again: " in line)
    assert hil([*shlex.split(repeat_line)[3:], "--workers", "1"]) == 1
    stored = find(str(tmp_path / "campaign-9.toml"))
    assert stored.expectations[0].max == 5
    assert hil(["run", str(tmp_path / "campaign-9.toml"), "--seed", "9"]) == 1


def test_controller_exception_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("injected")

    monkeypatch.setattr("agent.agent.Agent.wake", broken)
    result = run_seed(1, MIN_SECONDS)
    assert result.failures[0].startswith("ZeroDivisionError: injected (broken, line ")
    assert result.text.startswith('name = "campaign-1"')


def test_wrong_arguments_print_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--seeds", "0"], "--seeds: 0 is below 1"),
        (["--seconds", "5"], "--seconds: 5 is below 600"),
        (["--cluster", "slurm:x"], "is not dask:HOST:PORT or ray:HOST:PORT"),
    ):
        assert hil(["campaign", *arguments]) == 2
        assert message in capsys.readouterr().err


def make_interpreter(folder: Path) -> Path:
    """Make a program in place of PyPy that shows its arguments and exits with 7."""
    program = folder / "python"
    program.write_text('#!/bin/sh\necho "$@" >"$0.txt"\nexit 7\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("options", "hands_over"),
    [
        (["campaign", "--seeds", "400", "--workers", "2", "--json"], True),
        (["campaign", "--plant", "--seeds", "100", "--workers", "2"], True),
        (["hazard", "--pairs", "500", "--workers", "2"], True),
        (["campaign", *FEW, "--workers", "1", "--interpreter", "pypy"], True),
        (["campaign", *FEW, "--workers", "2"], False),
        (["campaign", "--seeds", "400", "--interpreter", "cpython"], False),
        (["campaign", "--seeds", "400", "--dut", "micropython"], False),
        (["hazard", "--pairs", "20"], False),
    ],
)
def test_long_campaign_runs_on_pypy(
    options: list[str], hands_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_interpreter(tmp_path)
    monkeypatch.setattr(workers, "PYPY_PROGRAM", program)
    for tool in ("campaign", "hazard"):
        monkeypatch.setattr(f"hil.tools.{tool}.run_jobs", lambda *_: [])
    assert (hil(options) == 7) == hands_over
    assert program.with_suffix(".txt").exists() == hands_over
    if hands_over:
        words = program.with_suffix(".txt").read_text().split()
        assert words == [str(ROOT / "coldloop.py"), "hil", *options]


def test_missing_pypy_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "PYPY_PROGRAM", tmp_path / "python")
    assert hil(["campaign", *FEW, "--interpreter", "pypy"]) == 2
    assert capsys.readouterr().err.endswith("PyPy is not installed; `make pypy`\n")
    monkeypatch.setattr("hil.tools.campaign.run_jobs", lambda *_: [])
    assert hil(["campaign", "--seeds", "400"]) == 0


def run_fast(*arguments: str) -> dict[str, Any]:
    """Run `coldloop hil …`, on PyPy if `make pypy` has built it; give the record."""
    command = [*([str(PYPY)] if PYPY.exists() else COLDLOOP), "hil", *arguments, "--json"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    record: dict[str, Any] = json.loads(output)
    return record


@pytest.mark.soak
def test_four_hundred_hours_without_violation() -> None:
    record = run_fast("campaign", "--seeds", "400")
    assert (record["seeds"], record["failed"]) == (400, [])


@pytest.mark.soak
def test_pypy_gives_the_same_digest(capsys: pytest.CaptureFixture[str]) -> None:
    if not PYPY.exists():
        pytest.skip(f"{MISSING}pypy, which make pypy makes")
    arguments = ["campaign", "--seeds", "12"]
    assert hil([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == run_fast(*arguments)["digest"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_system_recovers_from_one_failure(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two places, odd and even; `make soak` tests all."""
    assert hil(["campaign", "--sweep", kind, "--seeds", "2", "--workers", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["seeds"], record["violations"]) == (2, 0)


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "count"), [("store", 1000), ("broker", 1000), ("bus", 300)])
def test_system_recovers_from_failure_at_each_place(kind: str, count: int) -> None:
    assert hil(["campaign", "--sweep", kind, "--seeds", str(count)]) == 0


def test_places_are_spread_over_odd_and_even() -> None:
    assert choose_places(5, 10) == [1, 2, 3, 4, 5]
    assert choose_places(5, 10, 4) == [4, 5]
    chosen = choose_places(1000, 10)
    assert len(chosen) == 10
    assert chosen == sorted(set(chosen))
    assert {n % 2 for n in chosen} == {0, 1}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_swept_run_differs_from_undisturbed_run(kind: str) -> None:
    """This shows that the failure occurs at its place."""
    digests = set()
    for nth in (0, 3, 12):  # places 3 and 4 can be in one flight of packets
        run = VirtualRun(make_base_scenario(), 1)
        KINDS[kind](run, nth)
        run.run()
        digests.add(run.make_result("any", 1.0).digest)
    assert len(digests) == 3


def test_control_only_runs_hold_invariants(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["campaign", "--plant", "--hours", "6", "--seeds", "2", "--workers", "1", "--json"]
    assert hil(arguments) == 0
    assert json.loads(capsys.readouterr().out)["virtual_hours"] == 12.0


def test_control_only_violation_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.campaign.control_only.ALLOWANCE_K", -60.0)
    arguments = ["campaign", "--plant", "--hours", "3", "--seeds", "1", "--workers", "1"]
    assert hil(arguments) == 1
    output = capsys.readouterr().out
    assert "case_c: " in output
    assert "again: coldloop hil campaign --first 1 --seeds 1 --plant --hours 3" in output


@pytest.mark.soak
def test_ten_thousand_control_only_hours() -> None:
    assert hil(["campaign", "--plant", "--hours", "100", "--seeds", "100"]) == 0


def memory_growth(days: int) -> tuple[int, int]:
    """Growth in blocks and pages from a third of the virtual time to its end."""
    scenario = replace(find("smoke"), seconds=days * 86_400, expectations=())
    run = VirtualRun(scenario, 1)
    samples: list[tuple[int, int]] = []
    third = days * 28_800

    def on_second(second: int) -> None:
        if second in (third, 3 * third):
            gc.collect()
            resident = int(Path("/proc/self/statm").read_text().split()[1])
            samples.append((sys.getallocatedblocks(), resident))

    run.run(on_second)
    return samples[1][0] - samples[0][0], samples[1][1] - samples[0][1]


@pytest.mark.soak
def test_memory_does_not_grow_over_thirty_days() -> None:
    blocks, pages = memory_growth(30)
    assert blocks < 2_000
    assert pages < 512
