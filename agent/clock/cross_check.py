"""Another clock's word on what time it is: a modem's network time, a person's watch.

Not a source to follow: it is far worse than any fix, but nobody who lies to the receiver lies to
the modem too. It can say yes or no; and where there is nothing else, it can name the second.

    agrees       the leap seconds are known to be right, if it is sure to half a second
    contradicts  twice in a row by more than both can be wrong: the clock is untrusted, and its
                 bound reaches as far as the other's time, until it agrees. While the leap seconds
                 are not known, whole seconds are corrected instead
    alone        no fix ever came: two words that agree set the label, in holdover from the start
"""

from agent.clock.leap_second import MOST, whole_seconds
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.utc_clock import Clock

_HALF = SECOND // 2


def testify(clock: "Clock", utc_us: int, uncertainty_us: int, now: int) -> "bool | None":
    """Weigh that it was `utc_us`, within `uncertainty_us`, at `now`; see `Clock.witness`."""
    before, clock.last_witness = clock.last_witness, (utc_us, uncertainty_us, now)
    if utc_us < clock.floor_us:
        clock.refuse("floor", now, utc_us - clock.floor_us, 0)
        return False
    said, bound = clock.utc(now), clock.bare_bound_us(now)
    if said is None or bound is None:
        if before is not None and _agree(before, clock.last_witness, clock.drift_ppb):
            clock.adopt(utc_us, uncertainty_us, now)
        return None
    off, most = utc_us - said, bound + uncertainty_us
    if abs(off) <= most:
        clock.contradicted_us = clock.contradictions = 0
        clock.confirmed_us = max(clock.confirmed_us, said - bound, utc_us - uncertainty_us)
        if most < _HALF:
            clock.leap.uncertain = False
        return True
    clock.contradictions += 1
    if clock.contradictions >= 2:
        seconds = whole_seconds(off, most) if most < _HALF else 0
        if clock.leap.uncertain and 0 < abs(seconds) <= MOST:
            clock.relabel(seconds)
            clock.leap.uncertain = False
            return False
        clock.contradicted_us = abs(off) + uncertainty_us
        clock.refuse("witness", now, off, most)
    return False


def _agree(first: "tuple[int, int, int]", second: "tuple[int, int, int]", drift_ppb: int) -> bool:
    """Whether two words fit each other over the time between them."""
    gone = second[2] - first[2]
    off = second[0] - first[0] - gone
    return abs(off) <= first[1] + second[1] + gone * drift_ppb // 1_000_000_000
