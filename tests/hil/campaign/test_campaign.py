"""Campaigns: a seed is one scenario and one run; a violation is kept, and repeated by its line."""

import gc
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.campaign import draw as campaign
from hil.campaign.draw import LEAST_S, draw, run_seed
from hil.campaign.nth_failure import KINDS, base, places
from hil.campaign.words import DRAWN, NOT_DRAWN
from hil.commands import hil
from hil.fault.registry import EVENTS
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Expectation
from hil.scenario.semantic_check import problem
from tests.support.cli_tools import COLDLOOP
from tests.support.peers import MISSING
from tests.support.repository import ROOT

PYPY = ROOT / ".pypy/bin/coldloop"
IMPOSSIBLE = (Expectation("supply_c", "Cel", max=5),)


def test_a_seed_is_one_scenario() -> None:
    assert draw(7) == draw(7)
    assert len({draw(seed).events for seed in range(20)}) == 20


def test_every_word_that_is_drawn_is_known_and_comes_up() -> None:
    assert {d.word for d in DRAWN} <= set(EVENTS)
    drawn = {e.do for seed in range(400) for e in draw(seed).events}
    assert drawn == {d.word for d in DRAWN}


def test_every_word_is_drawn_or_it_is_said_why_not() -> None:
    drawn = [d.word for d in DRAWN]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) | set(NOT_DRAWN) == set(EVENTS)
    assert not set(drawn) & set(NOT_DRAWN)


def test_what_is_drawn_is_a_scenario_that_can_run() -> None:
    for seed in range(200):
        assert problem(draw(seed)) is None
    for entry in DRAWN:
        assert (entry.low is None) == (EVENTS[entry.word].limits is None), entry
        assert not entry.longest_s or EVENTS[entry.word].undo is not None, entry


def test_a_small_budget_of_seeds_violates_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The long one is `make soak`."""
    assert hil(["campaign", "--seeds", "12", "--seconds", "900", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["seeds"], record["violations"], record["virtual_hours"]) == (12, 0, 3.0)


def test_a_violation_is_kept_and_its_line_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "SAFETY", IMPOSSIBLE)
    words = [
        "campaign",
        "--seeds",
        "1",
        "--first",
        "3",
        "--seconds",
        str(LEAST_S),
        "--workers",
        "1",
    ]
    assert hil([*words, "--keep", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAIL  seed 3" in out
    again = next(line for line in out.splitlines() if "again: " in line)
    assert hil([*shlex.split(again)[3:], "--workers", "1"]) == 1
    kept = find(str(tmp_path / "campaign-3.toml"))
    assert kept.expectations[0].max == 5
    assert hil(["run", str(tmp_path / "campaign-3.toml"), "--seed", "3"]) == 1


def test_an_exception_of_the_controller_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("agent.agent.Agent.wake", broken)
    result = run_seed(1, LEAST_S)
    assert result.failures[0].startswith("ZeroDivisionError: planted (broken, line ")
    assert result.text.startswith('name = "campaign-1"')


def test_wrong_words_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--seeds", "0"], "--seeds: 0 is below 1"),
        (["--seconds", "5"], "--seconds: 5 is below 600"),
        (["--cluster", "slurm:x"], "is not dask:HOST:PORT or ray:HOST:PORT"),
    ):
        assert hil(["campaign", *words]) == 2
        assert message in capsys.readouterr().err


def fast(*words: str) -> dict[str, Any]:
    """What `coldloop hil …` says, on the PyPy that `make pypy` has made where there is one."""
    command = [*([str(PYPY)] if PYPY.exists() else COLDLOOP), "hil", *words, "--json"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    record: dict[str, Any] = json.loads(said)
    return record


@pytest.mark.soak
def test_four_hundred_hours_violate_nothing() -> None:
    record = fast("campaign", "--seeds", "400")
    assert (record["seeds"], record["failed"]) == (400, [])


@pytest.mark.soak
def test_pypy_runs_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    if not PYPY.exists():
        pytest.skip(f"{MISSING}pypy, which make pypy makes")
    words = ["campaign", "--seeds", "12"]
    assert hil([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == fast(*words)["digest"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_whatever_fails_once_is_well_again(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A few places; `make soak` goes through all."""
    assert hil(["campaign", "--sweep", kind, "--seeds", "8", "--workers", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["seeds"], record["violations"]) == (8, 0)


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "most"), [("store", 1000), ("broker", 1000), ("bus", 300)])
def test_each_place_may_fail_once(kind: str, most: int) -> None:
    assert hil(["campaign", "--sweep", kind, "--seeds", str(most)]) == 0


def test_places_are_spread_and_odd_and_even() -> None:
    assert places(5, 10) == [1, 2, 3, 4, 5]
    assert places(5, 10, 4) == [4, 5]
    chosen = places(1000, 10)
    assert len(chosen) == 10
    assert chosen == sorted(set(chosen))
    assert {n % 2 for n in chosen} == {0, 1}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_swept_run_differs_from_the_undisturbed_one(kind: str) -> None:
    """So that something does fail at that place."""
    digests = set()
    for nth in (0, 3, 12):  # 3 and 4 may be of one flight
        run = VirtualRun(base(), 1)
        KINDS[kind](run, nth)
        run.run()
        digests.add(run.outcome("any", 1.0).digest)
    assert len(digests) == 3


def test_control_and_plant_alone_hold_the_invariants(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["campaign", "--plant", "--hours", "12", "--seeds", "4", "--workers", "1", "--json"]
    assert hil(words) == 0
    assert json.loads(capsys.readouterr().out)["virtual_hours"] == 48.0


def test_a_violation_of_the_plant_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.campaign.control_only.ALLOWANCE_K", -60.0)
    words = ["campaign", "--plant", "--hours", "3", "--seeds", "1", "--workers", "1"]
    assert hil(words) == 1
    said = capsys.readouterr().out
    assert "case_c: " in said
    assert "again: coldloop hil campaign --first 1 --seeds 1 --plant --hours 3" in said


@pytest.mark.soak
def test_ten_thousand_hours_of_control_and_plant() -> None:
    assert hil(["campaign", "--plant", "--hours", "100", "--seeds", "100"]) == 0


def grown(days: int) -> tuple[int, int]:
    """Blocks that Python holds more after so many virtual days than after a third; and pages."""
    scenario = replace(find("smoke"), seconds=days * 86_400, expectations=())
    run = VirtualRun(scenario, 1)
    held: list[tuple[int, int]] = []
    third = days * 28_800

    def look(second: int) -> None:
        if second in (third, 3 * third):
            gc.collect()
            resident = int(Path("/proc/self/statm").read_text().split()[1])
            held.append((sys.getallocatedblocks(), resident))

    run.run(look)
    return held[1][0] - held[0][0], held[1][1] - held[0][1]


@pytest.mark.soak
def test_thirty_days_take_no_more_memory_than_ten() -> None:
    blocks, pages = grown(30)
    assert blocks < 2_000
    assert pages < 512
