# SPDX-License-Identifier: Apache-2.0
"""Cross-check of UTC against another clock: the network time of a modem, or an operator.

Does not discipline the clock: the other time is far less precise than a fix. But a spoofer of the
GNSS receiver does not control it. It confirms or contradicts UTC; without any fix it sets UTC.

    agrees       the leap seconds are known, if the uncertainty is below half a second
    disagrees    the error bound covers the other time until they agree. Twice in a row: the clock
                 is untrusted. While the leap seconds are unknown, UTC is corrected by whole seconds
                 instead. If the fixes contradict the clock too and agree with the other
                 clock, UTC follows them: two independent sources outvote the oscillator
    no UTC       two consistent reference times set UTC, in the state holdover
"""

from collections import namedtuple

from agent.clock.leap_second import MAX_STEP_S, whole_seconds
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.clock.leap_second import LeapSecondTracker

    class CheckedClock(Protocol):
        """The checked clock; see `agent.clock.utc_clock`. Times are µs."""

        min_utc_us: int
        drift_ppb: int
        leap: LeapSecondTracker

        def utc(self, now: int) -> "int | None":
            """Return UTC."""
            ...

        def subsecond_bound_us(self, now: int) -> "int | None":
            """Return the error bound without whole seconds."""
            ...

        def reject(self, check: str, now: int, figure: int, limit: int) -> bool:
            """Record that a check failed."""
            ...

        def set_disagreement(self, disagreement_us: int) -> None:
            """Set the difference from the reference time; 0: they agree."""
            ...

        def exclude_former(self, difference_us: int, uncertainty_us: int, now: int) -> None:
            """Drop the time that was held before, if the reference time excludes it."""
            ...

        def set_from_cross_check(
            self, utc_us: int, uncertainty_us: int, now: int, has_leap_s: bool
        ) -> None:
            """Set UTC from the reference time alone."""
            ...

        def confirm_fixes(self, difference_us: int, uncertainty_us: int, now: int) -> bool:
            """Follow the fixes that contradict the clock, if they agree with the reference."""
            ...

        def correct_seconds(self, seconds: int, now: int) -> None:
            """Correct UTC by whole seconds."""
            ...


_HALF_SECOND_US = SECOND // 2

Reference = namedtuple("Reference", ("utc_us", "uncertainty_us", "mono_us"))
"""A reference time: UTC and its uncertainty at a monotonic time."""


class CrossCheck:
    """Compares `clock` with reference times. `confirmed_us`: earliest possible UTC, confirmed."""

    def __init__(self, clock: "CheckedClock") -> None:
        self.confirmed_us = 0
        self._clock = clock
        self._disagreements = 0
        self._last_reference: Reference | None = None

    def clear(self) -> None:
        """Clear the count of disagreements."""
        self._disagreements = 0

    def forget_confirmed(self) -> None:
        """Clear the earliest possible UTC."""
        self.confirmed_us = 0

    def check(self, utc_us: int, uncertainty_us: int, now: int, has_leap_s: bool) -> "bool | None":
        """Compare UTC with a reference time; see `UtcClock.cross_check`.

        Returns whether they agree; None if UTC was not known. The status and the alarm call a
        disagreement "witness".
        """
        clock, previous = self._clock, self._last_reference
        self._last_reference = reference = Reference(utc_us, uncertainty_us, now)
        if utc_us < clock.min_utc_us:
            clock.reject("floor", now, utc_us - clock.min_utc_us, 0)
            return False
        clock_utc, bound = clock.utc(now), clock.subsecond_bound_us(now)
        if clock_utc is None or bound is None:
            if previous is not None and _are_consistent(previous, reference, clock.drift_ppb):
                clock.set_from_cross_check(utc_us, uncertainty_us, now, has_leap_s)
            return None
        difference, limit = utc_us - clock_utc, bound + uncertainty_us
        if abs(difference) <= limit:
            self._disagreements = 0
            clock.set_disagreement(0)
            clock.exclude_former(difference, uncertainty_us, now)
            earliest = max(clock_utc - bound, utc_us - uncertainty_us)
            self.confirmed_us = max(self.confirmed_us, earliest)
            if limit < _HALF_SECOND_US and has_leap_s:
                clock.leap.agrees(clock_utc)
            return True
        self._disagreements += 1
        if self._disagreements >= 2:
            is_exact = limit < _HALF_SECOND_US and has_leap_s
            seconds = whole_seconds(difference, limit) if is_exact else 0
            if clock.leap.uncertain and 0 < abs(seconds) <= MAX_STEP_S:
                clock.correct_seconds(seconds, now)
                clock.set_disagreement(0)
                clock.leap.set_known()
                return False
            if clock.confirm_fixes(difference, uncertainty_us, now):
                self._disagreements = 0
                clock.set_disagreement(0)
                return True
            clock.reject("witness", now, difference, limit)
        clock.set_disagreement(abs(difference) + uncertainty_us)  # the first one can be right too
        return False


def _are_consistent(first: "Reference", second: "Reference", drift_ppb: int) -> bool:
    """Return whether two reference times agree over the time between them."""
    elapsed = second.mono_us - first.mono_us
    difference: int = second.utc_us - first.utc_us - elapsed
    limit: int = first.uncertainty_us + second.uncertainty_us
    limit += elapsed * drift_ppb // 1_000_000_000
    return abs(difference) <= limit
