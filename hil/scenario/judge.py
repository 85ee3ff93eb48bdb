# SPDX-License-Identifier: Apache-2.0
"""Compares the samples of a run with the expectations of the scenario.

Does not read the measures; see `hil.measure.registry`. For each expectation the evaluator keeps
only the worst sample. So a run of any length needs the same memory. A failure is one line: measure,
limits, worst value, time. `results` has one entry for each expectation, for the record.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hil.scenario.model import Expectation, Scenario

ReadMeasure = Callable[[str], float | None]

PASS, MARGINAL, FAIL = "pass", "marginal", "fail"
INCOMPLETE = "incomplete"
"""All limits are met, but a question of the run has no answer."""


@dataclass(frozen=True)
class ExpectationResult:
    """Result of one expectation. `worst` is the sample with the largest excess, `worst_at_s` its
    time.

    `took_s`: for `within_s`, the time until the limits hold permanently. `near`: a line for a
    marginal result, else None.
    """

    measure: str
    unit: str
    limits: str
    window: str
    requirement: str
    verdict: str
    worst: float | None
    worst_at_s: float | None
    took_s: float | None
    failure: str | None
    near: str | None = None


_FAR_INSIDE = -float("inf")


@dataclass
class _ExpectationTracker:
    expectation: Expectation
    until_s: float
    sample_count: int = 0
    met_count: int = 0
    worst: float | None = None
    worst_at_s: float = 0.0
    worst_excess: float = 0.0
    first_unknown_s: float | None = None
    last_violation_s: float | None = None
    streak_start_s: float | None = None
    longest_streak_s: float = 0.0

    def excess(self, value: float) -> float:
        """Return the distance of `value` from the limits; zero or negative inside."""
        low, high = self.expectation.min, self.expectation.max
        if high is None:
            return _FAR_INSIDE if low is None else low - value
        above = value - high
        return above if low is None or above >= low - value else low - value

    def add_sample(self, at_s: float, value: float | None) -> None:
        expectation = self.expectation
        if expectation.within_s is not None and at_s < expectation.from_s + expectation.within_s:
            if value is None or self.excess(value) > 0:
                self.last_violation_s = at_s
            return
        self.sample_count += 1
        if value is None:
            self.first_unknown_s = at_s if self.first_unknown_s is None else self.first_unknown_s
            self.streak_start_s = None
            return
        excess = self.excess(value)
        self._count_sample(at_s, excess <= 0)
        keep_nearest = expectation.ever or expectation.never or expectation.for_s is not None
        if self.worst is None or (excess > self.worst_excess) != keep_nearest:
            self.worst, self.worst_at_s, self.worst_excess = value, at_s, excess

    def _count_sample(self, at_s: float, is_met: bool) -> None:
        if not is_met:
            self.streak_start_s = None
            return
        self.met_count += 1
        if self.streak_start_s is None:
            self.streak_start_s = at_s
        elif self.longest_streak_s < at_s - self.streak_start_s:
            self.longest_streak_s = at_s - self.streak_start_s

    def failure(self) -> str | None:
        """Return the failure as one line, or None."""
        name, unit = self.expectation.measure, self.expectation.unit
        if not self.sample_count:
            return f"{name}: no sample in its window"
        if self.expectation.ever:
            return (
                None
                if self.met_count
                else f"{name}: never {self._limits_text()}; {self._nearest_text()}"
            )
        if self.expectation.for_s is not None:
            if self.longest_streak_s >= self.expectation.for_s:
                return None
            text = f"not {self._limits_text()} for {self.expectation.for_s:g} s"
            return f"{name}: {text}, only for {self.longest_streak_s:g} s; {self._nearest_text()}"
        if self.expectation.never:  # an unknown value does not violate `never`
            return (
                f"{name}: {self._limits_text()}, {self.met_count} times" if self.met_count else None
            )
        if self.first_unknown_s is not None:
            return f"{name}: not known at {self.first_unknown_s:g} s"
        if self.met_count == self.sample_count:
            return None
        worst_text = f"{self._worst_text()}{unit} at {self.worst_at_s:g} s"
        return f"{name}: not {self._limits_text()}; worst {worst_text}"

    def _nearest_text(self) -> str:
        return f"nearest {self._worst_text()}{self.expectation.unit}"

    def _worst_text(self) -> str:
        return "not known " if self.worst is None else f"{self.worst:.6g} "

    def _limits_text(self) -> str:
        low, high = self.expectation.min, self.expectation.max
        if low is not None and low == high:
            return f"{low:g}"
        return " and ".join(
            ([f">= {low:g}"] if low is not None else [])
            + ([f"<= {high:g}"] if high is not None else [])
        )

    def _window_text(self) -> str:
        expectation = self.expectation
        forms = (
            ("ever", expectation.ever),
            ("never", expectation.never),
            (f"for {expectation.for_s} s", expectation.for_s is not None),
            (f"within {expectation.within_s} s", expectation.within_s is not None),
        )
        names = [text for text, is_set in forms if is_set]
        return ", ".join([*names, f"{expectation.from_s:g} to {self.until_s:g} s"])

    def _marginal_text(self) -> str | None:
        """Return a line if the worst sample is closer than `marginal` to a limit, else None."""
        expectation, band = self.expectation, self.expectation.marginal
        if band is None or self.worst is None:
            return None
        excess = self.excess(self.worst)
        if (excess if expectation.never else -excess) >= band:
            return None
        prefix = "never " if expectation.never else ""
        worst_text = f"{self._worst_text()}{expectation.unit} at {self.worst_at_s:g} s"
        limits_text = f"{prefix}{self._limits_text()}"
        return f"{expectation.measure}: {worst_text}, closer than {band:g} to {limits_text}"

    def result(self) -> ExpectationResult:
        """Return the result for the record."""
        expectation, failure = self.expectation, self.failure()
        took_s = None
        if expectation.within_s is not None and failure is None:
            took_s = (
                0.0
                if self.last_violation_s is None
                else self.last_violation_s + 1 - expectation.from_s
            )
        near = self._marginal_text() if failure is None else None
        return ExpectationResult(
            expectation.measure,
            expectation.unit,
            self._limits_text(),
            self._window_text(),
            expectation.requirement,
            FAIL if failure is not None else MARGINAL if near is not None else PASS,
            self.worst,
            None if self.worst is None else self.worst_at_s,
            took_s,
            failure,
            near,
        )


class Evaluator:
    """Evaluates a run of `scenario`."""

    def __init__(self, scenario: Scenario) -> None:
        self._trackers = [
            _ExpectationTracker(
                expectation,
                scenario.seconds if expectation.until_s is None else expectation.until_s,
            )
            for expectation in scenario.expectations
        ]

    def sample(self, at_s: float, read: ReadMeasure) -> None:
        """Take one sample of each measure whose window is open at `at_s`."""
        for tracker in self._trackers:
            if tracker.expectation.from_s <= at_s <= tracker.until_s:
                tracker.add_sample(at_s, read(tracker.expectation.measure))

    def failures(self) -> list[str]:
        """Return the failures, one line each."""
        return [
            failure
            for failure in (tracker.failure() for tracker in self._trackers)
            if failure is not None
        ]

    def results(self, ended_s: float | None = None) -> list[ExpectationResult]:
        """Return the results in the order of the scenario.

        `ended_s`: the time at which the run was interrupted. A limit whose window ends later fails
        as not judged.
        """
        return [
            tracker.result()
            if ended_s is None or tracker.until_s <= ended_s
            else _not_judged(tracker.result(), tracker.until_s)
            for tracker in self._trackers
        ]


def _not_judged(result: ExpectationResult, until_s: float) -> ExpectationResult:
    text = f"{result.measure}: not judged, its window ends at {until_s:g} s"
    return replace(result, verdict=FAIL, took_s=None, failure=text, near=None)
