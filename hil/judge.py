"""The verdict: samples of the run held against the scenario's expectations.

Not the sampling (that is `hil.measures`). Each expectation is watched while the run goes on and
keeps only its worst sample, so that a run of any length costs the same memory. A failure is one
line: what, limit, worst value, when.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hil.scenario import Expectation, Scenario

Sampler = Callable[[str], float | None]


@dataclass
class _Watch:
    expect: Expectation
    until_s: float
    samples: int = 0
    met: int = 0
    worst: float | None = None
    worst_at: float = 0.0
    unknown_at: float | None = None

    def excess(self, value: float) -> float:
        """How far `value` is outside the limits; negative or zero inside."""
        over = -float("inf")
        if self.expect.max is not None:
            over = max(over, value - self.expect.max)
        if self.expect.min is not None:
            over = max(over, self.expect.min - value)
        return over

    def take(self, at_s: float, value: float | None) -> None:
        self.samples += 1
        if value is None:
            self.unknown_at = at_s if self.unknown_at is None else self.unknown_at
            return
        excess = self.excess(value)
        self.met += excess <= 0
        better = self.expect.ever
        if self.worst is None or (excess > self.excess(self.worst)) != better:
            self.worst, self.worst_at = value, at_s

    def failure(self) -> str | None:
        """Say what went wrong, or None."""
        name, unit = self.expect.measure, self.expect.unit
        if not self.samples:
            return f"{name}: no sample in its window"
        if self.expect.ever:
            if self.met:
                return None
            return f"{name}: never {self._limits()}; nearest {self._worst()}{unit}"
        if self.unknown_at is not None:
            return f"{name}: not known at {self.unknown_at:g} s"
        if self.met == self.samples:
            return None
        return f"{name}: not {self._limits()}; worst {self._worst()}{unit} at {self.worst_at:g} s"

    def _worst(self) -> str:
        return "not known " if self.worst is None else f"{self.worst:.6g} "

    def _limits(self) -> str:
        low, high = self.expect.min, self.expect.max
        if low is not None and low == high:
            return f"{low:g}"
        return " and ".join(
            ([f">= {low:g}"] if low is not None else [])
            + ([f"<= {high:g}"] if high is not None else [])
        )


class Judge:
    """Watches a run of `scenario`."""

    def __init__(self, scenario: Scenario) -> None:
        self._watches = [
            _Watch(e, scenario.seconds if e.until_s is None else e.until_s)
            for e in scenario.expectations
        ]

    def sample(self, at_s: float, read: Sampler) -> None:
        """Take one sample of every measure whose window is open at `at_s`."""
        for watch in self._watches:
            if watch.expect.from_s <= at_s <= watch.until_s:
                watch.take(at_s, read(watch.expect.measure))

    def failures(self) -> list[str]:
        """List what was not as expected, one line each."""
        return [f for f in (w.failure() for w in self._watches) if f is not None]
