"""Another clock's word on what time it is: a modem's network time, a person's watch.

Not a source to follow: it is far worse than any fix, but nobody who lies to the receiver lies to
the modem too. It can say yes or no; and where there is nothing else, it can name the second.

    agrees       the leap seconds are known to be right, if it is sure to half a second
    contradicts  twice in a row by more than both can be wrong: the clock is untrusted, and its
                 bound reaches as far as the other's time, until it agrees. While the leap seconds
                 are not known, whole seconds are corrected instead
    alone        no fix ever came: two words that agree set the label, in holdover from the start
"""

from agent.clock.leap_second import MAX_STEP_S, whole_seconds
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.clock.leap_second import LeapSecondTracker

    class CheckedClock(Protocol):
        """The clock that is checked; see `agent.clock.utc_clock`."""

        min_utc_us: int
        drift_ppb: int
        confirmed_us: int
        disagreements: int
        disagreement_us: int
        last_reference: "tuple[int, int, int] | None"
        leap: LeapSecondTracker

        def utc(self, now: int) -> "int | None":
            """Give UTC."""
            ...

        def subsecond_bound_us(self, now: int) -> "int | None":
            """Give the bound without whole seconds."""
            ...

        def reject(self, check: str, now: int, figure: int, limit: int) -> bool:
            """Note that a check failed."""
            ...

        def set_from_cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> None:
            """Set UTC by the reference alone."""
            ...

        def step_whole_seconds(self, seconds: int) -> None:
            """Move UTC by whole seconds."""
            ...


_HALF_SECOND = SECOND // 2


def check_reference(
    clock: "CheckedClock", utc_us: int, uncertainty_us: int, now: int
) -> "bool | None":
    """Weigh that it was `utc_us`, within `uncertainty_us`, at `now`; see `UtcClock.witness`."""
    previous, clock.last_reference = clock.last_reference, (utc_us, uncertainty_us, now)
    if utc_us < clock.min_utc_us:
        clock.reject("floor", now, utc_us - clock.min_utc_us, 0)
        return False
    clock_utc, bound = clock.utc(now), clock.subsecond_bound_us(now)
    if clock_utc is None or bound is None:
        if previous is not None and _consistent(previous, clock.last_reference, clock.drift_ppb):
            clock.set_from_cross_check(utc_us, uncertainty_us, now)
        return None
    difference, limit = utc_us - clock_utc, bound + uncertainty_us
    if abs(difference) <= limit:
        clock.disagreement_us = clock.disagreements = 0
        clock.confirmed_us = max(clock.confirmed_us, clock_utc - bound, utc_us - uncertainty_us)
        if limit < _HALF_SECOND:
            clock.leap.uncertain = False
        return True
    clock.disagreements += 1
    if clock.disagreements >= 2:
        seconds = whole_seconds(difference, limit) if limit < _HALF_SECOND else 0
        if clock.leap.uncertain and 0 < abs(seconds) <= MAX_STEP_S:
            clock.step_whole_seconds(seconds)
            clock.leap.uncertain = False
            return False
        clock.disagreement_us = abs(difference) + uncertainty_us
        clock.reject("witness", now, difference, limit)
    return False


def _consistent(
    first: "tuple[int, int, int]", second: "tuple[int, int, int]", drift_ppb: int
) -> bool:
    """Whether two words fit each other over the time between them."""
    elapsed = second[2] - first[2]
    difference = second[0] - first[0] - elapsed
    return abs(difference) <= first[1] + second[1] + elapsed * drift_ppb // 1_000_000_000
