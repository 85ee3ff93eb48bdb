"""The verdict: samples of the run held against the scenario's expectations.

Not the sampling (that is `hil.measure.registry`). Each expectation is watched while the run goes on and
keeps only its worst sample, so that a run of any length costs the same memory. A failure is one
line: what, limit, worst value, when. `findings` has a row for each expectation, for the record.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hil.scenario.model import Expectation, Scenario

Sampler = Callable[[str], float | None]

PASS, MARGINAL, FAIL = "pass", "marginal", "fail"


@dataclass(frozen=True)
class Finding:
    """How one expectation came out. `worst` is the sample that was furthest out, and when.

    `took_s`: of an expectation `within_s`, after how long it was met for good. `near`: how close
    to its limit it came, where that is marginal.
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


@dataclass
class _Watch:
    expect: Expectation
    until_s: float
    samples: int = 0
    met: int = 0
    worst: float | None = None
    worst_at: float = 0.0
    unknown_at: float | None = None
    last_bad: float | None = None
    run_from: float | None = None
    longest: float = 0.0

    def excess(self, value: float) -> float:
        """How far `value` is outside the limits; negative or zero inside."""
        over = -float("inf")
        if self.expect.max is not None:
            over = max(over, value - self.expect.max)
        if self.expect.min is not None:
            over = max(over, self.expect.min - value)
        return over

    def take(self, at_s: float, value: float | None) -> None:
        if self.expect.within_s is not None and at_s < self.expect.from_s + self.expect.within_s:
            if value is None or self.excess(value) > 0:
                self.last_bad = at_s
            return
        self.samples += 1
        if value is None:
            self.unknown_at = at_s if self.unknown_at is None else self.unknown_at
            self.run_from = None
            return
        excess = self.excess(value)
        self._count(at_s, excess <= 0)
        better = self.expect.ever or self.expect.never or self.expect.for_s is not None
        if self.worst is None or (excess > self.excess(self.worst)) != better:
            self.worst, self.worst_at = value, at_s

    def _count(self, at_s: float, good: bool) -> None:
        if not good:
            self.run_from = None
            return
        self.met += 1
        self.run_from = at_s if self.run_from is None else self.run_from
        self.longest = max(self.longest, at_s - self.run_from)

    def failure(self) -> str | None:
        """Say what went wrong, or None."""
        name, unit = self.expect.measure, self.expect.unit
        if not self.samples:
            return f"{name}: no sample in its window"
        if self.expect.ever:
            return None if self.met else f"{name}: never {self._limits()}; {self._nearest()}"
        if self.expect.for_s is not None:
            if self.longest >= self.expect.for_s:
                return None
            what = f"not {self._limits()} for {self.expect.for_s:g} s"
            return f"{name}: {what}, only for {self.longest:g} s; {self._nearest()}"
        if self.expect.never:  # what is not known cannot be held against anybody
            return f"{name}: {self._limits()}, {self.met} times" if self.met else None
        if self.unknown_at is not None:
            return f"{name}: not known at {self.unknown_at:g} s"
        if self.met == self.samples:
            return None
        return f"{name}: not {self._limits()}; worst {self._worst()}{unit} at {self.worst_at:g} s"

    def _nearest(self) -> str:
        return f"nearest {self._worst()}{self.expect.unit}"

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

    def _window(self) -> str:
        expect = self.expect
        forms = (
            ("ever", expect.ever),
            ("never", expect.never),
            (f"for {expect.for_s} s", expect.for_s is not None),
            (f"within {expect.within_s} s", expect.within_s is not None),
        )
        words = [text for text, there in forms if there]
        return ", ".join([*words, f"{expect.from_s:g} to {self.until_s:g} s"])

    def _near(self) -> str | None:
        """Say how close it came, if it came closer than `marginal`."""
        expect, band = self.expect, self.expect.marginal
        if band is None or self.worst is None:
            return None
        excess = self.excess(self.worst)
        if (excess if expect.never else -excess) >= band:
            return None
        word = "never " if expect.never else ""
        at = f"{self._worst()}{expect.unit} at {self.worst_at:g} s"
        return f"{expect.measure}: {at}, closer than {band:g} to {word}{self._limits()}"

    def finding(self) -> Finding:
        """Give the row for the record."""
        expect, failure = self.expect, self.failure()
        took = None
        if expect.within_s is not None and failure is None:
            took = 0.0 if self.last_bad is None else self.last_bad + 1 - expect.from_s
        near = self._near() if failure is None else None
        return Finding(
            expect.measure,
            expect.unit,
            self._limits(),
            self._window(),
            expect.requirement,
            FAIL if failure is not None else MARGINAL if near is not None else PASS,
            self.worst,
            None if self.worst is None else self.worst_at,
            took,
            failure,
            near,
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

    def findings(self) -> list[Finding]:
        """Give how each expectation came out, in the order of the scenario."""
        return [watch.finding() for watch in self._watches]
