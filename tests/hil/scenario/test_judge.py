# SPDX-License-Identifier: Apache-2.0
"""The evaluator: limits, windows, forms, unknown values, and the line of a failure."""

from typing import Any

import pytest

from hil.measure.registry import read
from hil.scenario.judge import Evaluator
from hil.scenario.model import Expectation, Scenario

Samples = dict[int, "float | None"]


def evaluate(samples: Samples, **limits: Any) -> list[str]:
    """Return the failures of a run in which the measure "ticks" has these values."""
    scenario = Scenario("x", "x", 10, expectations=(Expectation("ticks", **limits),))
    evaluator = Evaluator(scenario)
    for at_s, value in samples.items():
        evaluator.sample(at_s, lambda _name, value=value: value)
    return evaluator.failures()


STEADY: Samples = {1: 5.0, 2: 5.0, 3: 5.0}


@pytest.mark.parametrize(
    ("samples", "limits", "failures"),
    [
        (STEADY, {"min": 5.0, "max": 5.0}, []),
        (STEADY, {"min": 5.1}, ["ticks: not >= 5.1; worst 5  at 1 s"]),
        (STEADY, {"max": 4.9}, ["ticks: not <= 4.9; worst 5  at 1 s"]),
        ({1: 1, 2: 9, 3: 7}, {"max": 6}, ["ticks: not <= 6; worst 9  at 2 s"]),
        ({1: 1, 2: -9, 3: 7}, {"min": 0}, ["ticks: not >= 0; worst -9  at 2 s"]),
        ({1: 0, 2: 7}, {"min": 1, "max": 5}, ["ticks: not >= 1 and <= 5; worst 7  at 2 s"]),
        ({1: 2}, {"min": 1, "max": 1}, ["ticks: not 1; worst 2  at 1 s"]),
        # Windows: both ends are included, samples outside do not count.
        ({1: 9, 2: 5, 4: 5, 5: 9}, {"max": 6, "from_s": 2, "until_s": 4}, []),
        ({2: 9}, {"max": 6, "from_s": 2}, ["ticks: not <= 6; worst 9  at 2 s"]),
        ({4: 9}, {"max": 6, "until_s": 4}, ["ticks: not <= 6; worst 9  at 4 s"]),
        ({1: 5}, {"max": 6, "from_s": 2}, ["ticks: no sample in its window"]),
        ({}, {"max": 6, "ever": True}, ["ticks: no sample in its window"]),
        # Ever: one sample is enough; a failure names the nearest sample.
        ({1: 9, 2: 5, 3: 9}, {"max": 6, "ever": True}, []),
        ({1: 9, 2: 7, 3: 8}, {"max": 6, "ever": True}, ["ticks: never <= 6; nearest 7 "]),
        ({1: None, 2: 5}, {"max": 6, "ever": True}, []),
        ({1: None}, {"max": 6, "ever": True}, ["ticks: never <= 6; nearest not known "]),
        # An unknown value violates a limit that must always hold, and is reported first.
        ({1: 5, 2: None, 3: None}, {"max": 6}, ["ticks: not known at 2 s"]),
        ({1: 9, 2: None}, {"max": 6}, ["ticks: not known at 2 s"]),
    ],
)
def test_samples_are_checked_against_limits(
    samples: Samples, limits: dict[str, Any], failures: list[str]
) -> None:
    assert evaluate(samples, **limits) == failures


def test_failure_names_the_unit() -> None:
    expectation = Expectation("supply_c", "Cel", max=35)
    evaluator = Evaluator(Scenario("x", "x", 10, expectations=(expectation,)))
    evaluator.sample(3, lambda _name: 36.28125)
    assert evaluator.failures() == ["supply_c: not <= 35; worst 36.2812 Cel at 3 s"]


@pytest.mark.parametrize(
    ("values", "limits", "near"),
    [
        ([4.0, 5.5], {"max": 6}, "ticks: 5.5 K at 2 s, closer than 1 to <= 6"),
        ([4.0, 5.0], {"max": 6}, None),  # equal to the band
        ([4.0, 6.5], {"max": 6}, None),  # a failure is not marginal
        ([0.5, 5.0], {"min": 0, "max": 10}, "ticks: 0.5 K at 1 s, closer than 1 to >= 0 and <= 10"),
        ([4.0, 5.5], {"min": 6, "never": True}, "ticks: 5.5 K at 2 s, closer than 1 to never >= 6"),
        ([4.0, 1.0], {"min": 6, "never": True}, None),
        ([2.0, 6.5], {"min": 6, "ever": True}, "ticks: 6.5 K at 2 s, closer than 1 to >= 6"),
        ([2.0, 8.0], {"min": 6, "ever": True}, None),
    ],
)
def test_value_close_to_limit_is_marginal(
    values: list[float], limits: dict[str, Any], near: str | None
) -> None:
    expectation = Expectation("ticks", "K", marginal=1, **limits)
    evaluator = Evaluator(Scenario("x", "x", 10, expectations=(expectation,)))
    for at_s, value in enumerate(values, 1):
        evaluator.sample(at_s, lambda _name, value=value: value)
    result = evaluator.results()[0]
    assert result.near == near
    assert result.verdict == ("fail" if result.failure else "marginal" if near else "pass")


def test_expectations_are_evaluated_independently_in_order() -> None:
    expectations = (Expectation("a", max=1), Expectation("b", max=1), Expectation("c", min=1))
    evaluator = Evaluator(Scenario("x", "x", 10, expectations=expectations))
    evaluator.sample(1, {"a": 2.0, "b": 1.0, "c": 0.0}.get)
    assert [failure.split(":")[0] for failure in evaluator.failures()] == ["a", "c"]


def test_measure_is_unknown_without_status() -> None:
    assert read(None, None, "supply_c") is None  # type: ignore[arg-type]


def test_alarms_are_counted_by_code_and_name() -> None:
    status = {"alarms": [{"code": c} for c in ("device_lost:rpu", "device_lost:valve", "bus_lost")]}
    counts = {"device_lost": 2, "device_lost:rpu": 1, "device_lost:fan": 0, "bus_lost": 1, "x": 0}
    for code, count in counts.items():
        assert read(None, status, "alarm:" + code) == count  # type: ignore[arg-type]


def test_acknowledged_pct_of_zero_is_unknown() -> None:
    for telemetry, percent in (
        (None, None),
        ({"published": 0, "acknowledged": 0}, None),
        ({"published": 4, "acknowledged": 3}, 75.0),
    ):
        status = {"telemetry": telemetry}
        assert read(None, status, "acknowledged_pct") == percent  # type: ignore[arg-type]
