# SPDX-License-Identifier: Apache-2.0
"""The offset of UTC as an interval that contains the truth, and the rate as another one.

Does not give the best estimate; see `agent.clock.estimate.oscillator`. It gives the bound of it.

How it works. A measurement is an interval that contains the true offset. Between measurements the
interval grows by the limits of the rate. The intersection of both is the new interval. The rate
over a time follows from two intervals at its ends; the present rate follows from that and from the
largest change of the rate since (`agent.clock.estimate.holdover`). An empty intersection proves
that a measurement or a limit is false. The interval then returns to an earlier mark.

A false time can move the interval for some time before the intersection is empty. So the stated
interval also contains the prediction from a mark that is `lag` old. Without a temperature sensor
a drag that warming could explain stays unseen.

Times are monotonic µs, offsets ns, rates parts per 10^12 (ppt). Method: set-membership estimation
(Schweppe 1968; Milanese and Vicino 1991).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.holdover import Holdover

_MARKS = 8
_PPT_PER_UNIT = 1_000_000_000
"""Converts ns per µs to parts per 10^12: ns = ppt * us / 10^9."""
_NEVER = 1 << 40
_CACHE_FOR = 8_000_000
"""The limits of the rate are computed this far ahead (µs), and used until then."""


class Mark:
    """An interval of the offset and of the rate at the time `t`.

    `lo`, `hi`: offset, ns; `rate_lo`, `rate_hi`: ppt, measured at the time `rate_t` and the
    temperature `centi_c` (None: no sensor). `cold`, `warm`: range of the temperature since then.
    """

    __slots__ = ("centi_c", "cold", "hi", "lo", "rate_hi", "rate_lo", "rate_t", "t", "warm")

    def __init__(self, t: int, lo: int, hi: int, rate_lo: int, rate_hi: int) -> None:
        self.t = self.rate_t = t
        self.lo = lo
        self.hi = hi
        self.rate_lo = rate_lo
        self.rate_hi = rate_hi
        self.centi_c: int | None = None
        self.cold, self.warm = _NEVER, -_NEVER

    def copy(self) -> "Mark":
        """Return a copy whose range of temperatures is empty."""
        other = Mark(self.t, self.lo, self.hi, self.rate_lo, self.rate_hi)
        other.rate_t = self.rate_t
        other.centi_c = self.centi_c
        return other


class OffsetInterval:
    """The interval; None until `begin`. `spacing`: shortest time between marks, µs; `lag`: see the
    module.
    """

    def __init__(self, holdover: "Holdover", spacing: int, lag: int) -> None:
        self.present: Mark | None = None
        self.rate_is_false = False
        self._holdover = holdover
        self._spacing = spacing
        self._lag = lag
        self._marks: list[Mark] = []
        self._cached = (0, 0)
        self._cached_from = self._cached_until = 0
        self._cached_centi_c: int | None = None

    def begin(self, t: int, lo: int, hi: int, rate: "tuple[int, int] | None" = None) -> None:
        """Begin with an interval; `rate`: its limits, None: those of the data sheet."""
        limit = self._holdover.limit_ppt
        low, high = rate or (-limit, limit)
        self.present = Mark(t, lo, hi, min(max(low, -limit), limit), max(min(high, limit), -limit))
        self.present.centi_c = self._holdover.current_temperature(t)
        self._marks = [self.present.copy()]
        self._cached_until = -1

    def clear(self) -> None:
        """Return to no interval."""
        self.present = None
        self._marks = []

    def rates(self, mark: Mark, now: int) -> "tuple[int, int]":
        """Return the limits of the rate at `now` from those of a mark, ppt."""
        if mark is not self.present:
            return self._rates(mark, now)
        centi_c = self._holdover.centi_c
        if not self._cached_from <= now <= self._cached_until or centi_c != self._cached_centi_c:
            self._cached = self._rates(mark, now + _CACHE_FOR)
            self._cached_from, self._cached_until = now, now + _CACHE_FOR
            self._cached_centi_c = centi_c
        return self._cached

    def _rates(self, mark: Mark, now: int) -> "tuple[int, int]":
        holdover = self._holdover
        centi_c = holdover.current_temperature(now)
        excess = None
        if centi_c is not None and mark.centi_c is not None:
            excess = max(abs(centi_c - mark.centi_c), mark.warm - mark.centi_c)
            excess = max(excess, mark.centi_c - mark.cold)
        change = holdover.change_ppt(abs(now - mark.rate_t), excess)
        limit = holdover.limit_ppt
        return max(mark.rate_lo - change, -limit), min(mark.rate_hi + change, limit)

    def from_mark(self, mark: Mark, now: int) -> "tuple[int, int]":
        """Return the interval at `now` from that of a mark, ns."""
        elapsed = now - mark.t
        low, high = self.rates(mark, now)
        if elapsed < 0:
            low, high = high, low
        return (
            mark.lo + low * elapsed // _PPT_PER_UNIT,
            mark.hi + high * elapsed // _PPT_PER_UNIT + 1,
        )

    def stated(self, now: int) -> "tuple[int, int]":
        """Return the interval at `now` with the prediction from an old mark, ns. Not for None."""
        present = self.present
        if present is None:
            return 0, 0
        lo, hi = self.from_mark(present, now)
        old = self._old_mark(present.t - self._lag)
        if old is self._marks[0] and present.centi_c is None:
            old = None  # the begin is as wide as the first fixes
        if old is not None:
            old_lo, old_hi = self.from_mark(old, now)
            lo, hi = min(lo, old_lo), max(hi, old_hi)
        return lo, hi

    def _old_mark(self, before: int) -> "Mark | None":
        """Return the newest mark that is not after `before`, else the oldest."""
        found = None
        for mark in self._marks:
            if found is not None and mark.t > before:
                break
            found = mark
        return found

    def advance(self, now: int) -> None:
        """Move the interval to `now`; call it when the temperature changes."""
        present = self.present
        if present is None:
            return
        centi_c = self._holdover.centi_c
        if centi_c is not None and self._marks:
            last = self._marks[-1]
            last.cold = min(last.cold, centi_c)
            last.warm = max(last.warm, centi_c)
        if now > present.t:
            present.lo, present.hi = self.from_mark(present, now)
            present.t = now

    def add(self, t: int, lo: int, hi: int) -> int:
        """Intersect with a measurement at `t`. Return 0, or the distance in ns if it is empty.

        `rate_is_false` tells whether that is a contradiction of the rate.
        """
        self.rate_is_false = False
        self.advance(t)
        present = self.present
        if present is None:
            self.begin(t, lo, hi)
            return 0
        if present.t > t:
            elapsed = present.t - t
            low, high = self.rates(present, present.t)
            lo += low * elapsed // _PPT_PER_UNIT
            hi += high * elapsed // _PPT_PER_UNIT
        if lo > present.hi:
            return lo - present.hi
        if hi < present.lo:
            return hi - present.lo
        present.lo, present.hi = max(lo, present.lo), min(hi, present.hi)
        if present.t - self._marks[-1].t >= self._spacing:
            return self._learn_rate(present)
        return 0

    def _learn_rate(self, present: Mark) -> int:
        """Narrow the rate by all marks. Return 0, or the contradiction in ns."""
        holdover, now = self._holdover, present.t
        centi_c = holdover.current_temperature(now)
        low, high = self.rates(present, now)
        cold = warm = centi_c
        span = 0
        for mark in reversed(self._marks):
            elapsed = now - mark.t
            excess = None
            if centi_c is not None and cold is not None and warm is not None:
                cold, warm = min(cold, mark.cold), max(warm, mark.warm)
                excess = max(warm - centi_c, centi_c - cold)
            change = holdover.change_ppt(elapsed, excess)
            least = (present.lo - mark.hi) * _PPT_PER_UNIT // elapsed - change
            most = (present.hi - mark.lo) * _PPT_PER_UNIT // elapsed + change
            if least > high or most < low:
                gap = least - high if least > high else most - low
                span = gap * elapsed // _PPT_PER_UNIT
                self.rate_is_false = True
                return span or (1 if gap > 0 else -1)
            low, high = max(low, least), min(high, most)
        present.rate_lo, present.rate_hi, present.rate_t = low, high, now
        present.centi_c = centi_c
        self._cached_until = -1
        self._marks.append(present.copy())
        if len(self._marks) > _MARKS:
            self._merge_mark(now)
        return 0

    def _merge_mark(self, now: int) -> None:
        """Remove the mark whose neighbours are closest, relative to their age."""
        marks = self._marks
        best, smallest = 1, None
        for i in range(1, len(marks) - 1):
            if marks[i + 1].t > now - self._lag:
                break
            share = (marks[i + 1].t - marks[i - 1].t) * 1_000 // (now - marks[i].t + 1)
            if smallest is None or share < smallest:
                best, smallest = i, share
        removed, before = marks.pop(best), marks[best - 1]
        before.cold = min(before.cold, removed.cold)
        before.warm = max(before.warm, removed.warm)

    def rewind(self, rate_is_false: bool) -> int:
        """Return to the mark that is `lag` old, and drop the newer ones. Return its time.

        `rate_is_false`: it is unknown since when, so the oldest mark is used.
        """
        present = self.present
        if present is None:
            return 0
        old = self._old_mark(0 if rate_is_false else present.t - self._lag)
        if old is None:
            return present.t
        self._marks = [mark for mark in self._marks if mark.t <= old.t]
        self.present = old.copy()
        self._cached_until = -1
        self.present.cold, self.present.warm = self._marks[-1].cold, self._marks[-1].warm
        return old.t
