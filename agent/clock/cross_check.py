"""Cross-check of UTC against another clock: the network time of a modem, or an operator.

Does not discipline the clock: the other time is far less precise than a fix. But a spoofer of the
GNSS receiver does not control it. It confirms or contradicts UTC; without any fix it sets UTC.

    agrees       the leap seconds are known, if the uncertainty is below half a second
    disagrees    twice in a row: the clock is untrusted, and its error bound covers the other time
                 until they agree. While the leap seconds are unknown, UTC is corrected by whole
                 seconds instead
    no UTC       two consistent reference times set UTC, in the state holdover
"""

from agent.clock.leap_second import MAX_STEP_S, whole_seconds
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.utc_clock import UtcClock

_HALF_SECOND = SECOND // 2


def check_reference(clock: "UtcClock", utc_us: int, uncertainty_us: int, now: int) -> "bool | None":
    """Compare UTC with a reference time; see `UtcClock.cross_check`."""
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
    """Say whether two reference times agree over the time between them."""
    elapsed = second[2] - first[2]
    difference = second[0] - first[0] - elapsed
    return abs(difference) <= first[1] + second[1] + elapsed * drift_ppb // 1_000_000_000
