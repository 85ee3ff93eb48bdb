# SPDX-License-Identifier: Apache-2.0
"""Random failures of a group: what is drawn, what is judged, and the campaign itself."""

import json

import pytest

from agent.control.group.pump_check import PumpCheck
from hil.campaign.group import random_cases
from hil.campaign.group.random_cases import (
    KINDS,
    RandomFailure,
    RandomGroupCase,
    draw_case,
    run_random,
)
from hil.commands import hil


def test_a_seed_draws_one_case_and_the_seeds_draw_all_kinds() -> None:
    cases = [draw_case(seed) for seed in range(200)]
    assert cases == [draw_case(seed) for seed in range(200)]
    assert {failure.kind for case in cases for failure in case.failures} == set(KINDS)
    assert {case.units for case in cases} == {2, 3, 4, 5}
    assert all(1 <= f.value <= 100 for case in cases for f in case.failures)
    assert draw_case(1).text().startswith("seed 1, ")


@pytest.mark.parametrize("seed", [129, 1, 2])
def test_a_random_case_breaks_no_limit(seed: int) -> None:
    assert run_random(seed)[1] == []


@pytest.mark.soak
def test_random_failures_of_a_group() -> None:
    found = [(case.text(), problems) for case, problems in map(run_random, range(1, 401))]
    assert [case for case in found if case[1]] == []


def test_a_group_that_follows_blocked_pumps_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = (RandomFailure("pumps", 1, 60.0, 300.0), RandomFailure("loss", 20, 60.0, 61.0))
    case = RandomGroupCase(7, 2, 78.0, True, failures)
    monkeypatch.setattr(random_cases, "draw_case", lambda _: case)
    monkeypatch.setattr(random_cases, "STARTING_K", 2.0)
    assert hil(["group", "--random", "1"]) == 0
    assert "1 runs with random failures of emulated units, 0 broken" in capsys.readouterr().out
    monkeypatch.setattr(PumpCheck, "step", lambda *_: None)
    assert hil(["group", "--random", "1", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["broken"][0]["case"].startswith("seed 7, 2 units at a header, 78 kW: pumps 1")


def test_a_count_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["group", "--random", "0"]) == 2
    assert "--random must be 1 or more" in capsys.readouterr().err
