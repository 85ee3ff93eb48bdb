# SPDX-License-Identifier: Apache-2.0
"""When the pumps of a unit count as still, and when it can cool again."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent.control.group.pump_check import PumpCheck

Pumps = list[tuple[bool, float | None]]


def step(check: PumpCheck, seconds: int, *pumps: tuple[bool, float | None]) -> tuple[bool, bool]:
    """Step with pumps, each whether it has a command, and its speed."""
    made: list[Any] = [
        SimpleNamespace(running=running, speed=lambda pct=pct: pct) for running, pct in pumps
    ]
    for _ in range(seconds):
        check.step(made)
    return check.is_still, check.has_failed


def test_a_pump_that_does_not_turn_is_still_after_3_s_and_has_failed_after_10_s() -> None:
    check = PumpCheck()
    assert step(check, 5, (True, 60.0)) == (False, False)
    assert step(check, 2, (True, 1.9)) == (False, False)
    assert step(check, 1, (True, 1.9)) == (True, False)
    assert step(check, 6, (True, 0.0)) == (True, False)
    assert step(check, 1, (True, 0.0)) == (True, True)


def test_it_can_cool_again_after_3_s_of_turning() -> None:
    check = PumpCheck()
    step(check, 10, (True, 0.0))
    assert step(check, 2, (True, 2.0)) == (False, True)
    assert step(check, 1, (True, 0.0)) == (False, True)
    assert step(check, 2, (True, 2.0)) == (False, True)
    assert step(check, 1, (True, 2.0)) == (False, False)


def test_a_unit_that_stands_by_may_try_again_after_5_min() -> None:
    check = PumpCheck()
    step(check, 10, (True, 0.0))
    assert step(check, 299, (False, 0.0)) == (True, True)
    assert step(check, 1, (False, 0.0)) == (False, False)
    assert step(check, 9, (True, 0.0)) == (True, False)  # a start needs up to 8 s
    assert step(check, 1, (True, 0.0)) == (True, True)


def test_a_command_begins_the_5_min_again() -> None:
    check = PumpCheck()
    step(check, 10, (True, 0.0))
    step(check, 299, (False, 0.0))
    step(check, 1, (True, 0.0))
    assert step(check, 299, (False, 0.0)) == (False, True)
    assert step(check, 1, (False, 0.0)) == (False, False)


@pytest.mark.parametrize(
    "pumps",
    [
        [(True, 0.0), (True, 60.0)],
        [(True, 0.0), (True, None)],
        [(True, None)],
        [(False, 0.0)],
        [],
    ],
)
def test_a_pump_that_turns_or_is_not_known_is_not_still(pumps: Pumps) -> None:
    assert step(PumpCheck(), 60, *pumps) == (False, False)
