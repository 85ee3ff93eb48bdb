# SPDX-License-Identifier: Apache-2.0
"""The offset of UTC as an interval that contains the truth, and the rate as another one.

Does not give the best estimate; see `agent.clock.estimate.oscillator`. It gives the bound of it.

How it works. A measurement is an interval that contains the true offset. Between measurements the
interval grows by the limits of the rate. The intersection of both is the new interval. The rate
over a time follows from two intervals at its ends; the present rate follows from that and from the
largest change of the rate since (`agent.clock.estimate.holdover`). An empty intersection proves
that a measurement or a limit is false. The interval then returns to an earlier mark.

A false time can move the interval for some time before the intersection is empty. So the stated
interval also contains the prediction from a mark that is `lag` old, and from older marks: the
source can be false since each of them. A mark does not count

    if its prediction is so close to the interval that no drag of `_MIN_DRAG_PPB` began there
    if it is older than `_GUARD`
    if the source was true for less than 1 / `_SHARE` of the time since: its rate is not known

When the intersection is empty, no mark is dropped any more, because the begin is unknown.

Times are monotonic µs, offsets ns, rates parts per 10^12 (ppt). Method: set-membership estimation
(Schweppe 1968; Milanese and Vicino 1991).
"""

from agent.clock.estimate.holdover import mean_distance, ramp_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.holdover import Holdover

_MARKS = 22
_GUARD = 7_200_000_000
"""A drag can last two hours."""
_EVEN_US = 900_000_000
"""From this age up to `_GUARD`, the marks have equal distances."""
_RENEW = 1 << 62
"""No time: the predictions are computed again."""
_CALM_CENTI_C, _CALM_US_PER_CENTI_C = 500, 6_000_000
"""A drag and a failure of the cooling at the same time are two faults: without a sensor, 0.1 degree
a minute up to 5 degrees are allowed for a drag."""
_SHARE = 8
_MIN_DRAG_PPB = 1_000
_FIRST_MARKS = 4
_PPT_PER_UNIT = 1_000_000_000
"""Converts ns per µs to parts per 10^12: ns = ppt * us / 10^9."""
_NEVER = 1 << 40
_GUARDED_FOR = 4_000_000
"""The predictions are computed for now and for so much later (µs); between them a line is above."""
_CACHE_FOR = 8_000_000
"""The limits of the rate are computed this far ahead (µs), and used until then."""


def _spacing_at(age: int) -> int:
    """Return the wanted distance of marks of an age, in any unit: narrow up to `_GUARD`."""
    return min(age, _EVEN_US) + max(0, age - _GUARD - _EVEN_US) + 1


class Mark:
    """An interval of the offset and of the rate at the time `t`.

    `lo`, `hi`: offset, ns; `rate_lo`, `rate_hi`: ppt, measured at the time `rate_t` and the
    temperature `centi_c` (None: no sensor). `calm`: the limits of the rate by lines too, for a
    drag; without a sensor they hold while the temperature changes slowly. `cold`, `warm`: range of
    the temperature since then. `integral`, `moved`: those of `agent.clock.estimate.holdover` at
    `t`; `moved` is that of two minutes before.
    """

    __slots__ = (
        "calm", "centi_c", "cold", "hi", "integral", "lo", "moved", "rate_hi", "rate_lo", "rate_t",
        "t", "warm",
    )  # fmt: skip

    def __init__(self, t: int, lo: int, hi: int, rate_lo: int, rate_hi: int) -> None:
        self.t = self.rate_t = t
        self.lo = lo
        self.hi = hi
        self.rate_lo = rate_lo
        self.rate_hi = rate_hi
        self.centi_c: int | None = None
        self.cold, self.warm = _NEVER, -_NEVER
        self.calm: tuple[int, int] | None = None
        self.integral = self.moved = 0

    def sense(self, holdover: "Holdover") -> None:
        """Store the temperature at `t`."""
        self.centi_c = holdover.current_temperature(self.t)
        self.integral = holdover.temperature_integral(self.t)
        self.moved = holdover.moved_centi_c - holdover.lag_centi_c()

    def copy(self) -> "Mark":
        """Return a copy whose range of temperatures is empty."""
        other = Mark(self.t, self.lo, self.hi, self.rate_lo, self.rate_hi)
        other.rate_t = self.rate_t
        other.centi_c = self.centi_c
        other.integral = self.integral
        other.moved = self.moved
        return other


class OffsetInterval:
    """The interval; None until `begin`. `spacing`: shortest time between marks, µs; `lag`: see the
    module. `marks`: how many are kept.
    """

    change_ns = 0
    """How far measurements at two times can differ by a change of their common error."""

    def __init__(self, holdover: "Holdover", spacing: int, lag: int, marks: int = _MARKS) -> None:
        self.present: Mark | None = None
        self.rate_is_false = False
        self._holdover = holdover
        self._spacing = spacing
        self._lag = lag
        self._most_marks = marks
        self._marks: list[Mark] = []
        self._slopes: dict[int, tuple[int, int, int, int | None]] = {}
        """Time, limits of the rate and temperature of the last line of each level."""
        self._guarded: tuple[int, ...] = ()
        self._guarded_from = _RENEW
        self._cached = (0, 0)
        self._cached_from = self._cached_until = 0
        self._cached_centi_c: int | None = None

    def begin(self, t: int, lo: int, hi: int, rate: "tuple[int, int] | None" = None) -> None:
        """Begin with an interval; `rate`: its limits, None: those of the data sheet."""
        limit = self._holdover.limit_ppt
        low, high = rate or (-limit, limit)
        self.present = Mark(t, lo, hi, min(max(low, -limit), limit), max(min(high, limit), -limit))
        self.present.sense(self._holdover)
        self._marks = [self.present.copy()]
        self._slopes = {}
        self._cached_until = -1
        self._guarded_from = _RENEW

    def clear(self) -> None:
        """Return to no interval."""
        self.present = None
        self._marks = []
        self._slopes = {}

    def is_young(self, now: int) -> bool:
        """Return whether it began so late that it can be false from its begin on."""
        return not self._marks or now - self._marks[0].t < _GUARD

    def rates(self, mark: Mark, now: int) -> "tuple[int, int]":
        """Return the limits of the rate at `now` from those of a mark, ppt."""
        if mark is not self.present:
            return self._rates(mark, now, mark.cold, mark.warm)
        centi_c = self._holdover.centi_c
        if not self._cached_from <= now <= self._cached_until or centi_c != self._cached_centi_c:
            self._cached = self._rates(mark, now + _CACHE_FOR, mark.cold, mark.warm)
            self._cached_from, self._cached_until = now, now + _CACHE_FOR
            self._cached_centi_c = centi_c
        return self._cached

    def _rates(self, mark: Mark, now: int, cold: int, warm: int) -> "tuple[int, int]":
        holdover = self._holdover
        centi_c = holdover.current_temperature(now)
        excess = None
        if centi_c is not None and mark.centi_c is not None:
            excess = max(abs(centi_c - mark.centi_c), warm - mark.centi_c, mark.centi_c - cold)
        change = holdover.change_ppt(abs(now - mark.rate_t), excess)
        limit = holdover.limit_ppt
        return max(mark.rate_lo - change, -limit), min(mark.rate_hi + change, limit)

    def calm_change(self, elapsed: int) -> int:
        """Return the mean change of the rate in a time, while the temperature changes slowly."""
        excess = ramp_mean(elapsed // _CALM_US_PER_CENTI_C, _CALM_CENTI_C)
        return self._holdover.mean_change_ppt(elapsed, excess)

    def _mean_change(
        self, mark: Mark, now: int, cold: int, warm: int, reference: "int | None"
    ) -> int:
        """Return how far the mean rate since a mark can be from that at a temperature, ppt.

        `cold`, `warm`: range of the temperature since the mark. `reference`: None: no sensor.
        """
        holdover, elapsed = self._holdover, now - mark.t
        if reference is None or mark.centi_c is None or elapsed <= 0:
            return holdover.mean_change_ppt(elapsed, None)
        mean = (holdover.temperature_integral(now) - mark.integral) // elapsed
        cold, warm = min(cold, mark.centi_c), max(warm, mark.centi_c)
        excess = mean_distance(cold, warm, mean, reference)
        return holdover.mean_change_ppt(elapsed, excess + holdover.lag_excess(mark.moved, elapsed))

    def _mean_rates(
        self, mark: Mark, now: int, cold: int, warm: int, is_newest: bool
    ) -> "tuple[int, int]":
        """Return the limits of the mean rate from a mark until `now`, ppt."""
        is_sensed = self._holdover.current_temperature(now) is not None
        change = self._mean_change(mark, now, cold, warm, mark.centi_c if is_sensed else None)
        limit = self._holdover.limit_ppt
        low, high = (None if is_newest else mark.calm) or (mark.rate_lo, mark.rate_hi)
        return max(low - change, -limit), min(high + change, limit)

    def _learn_calm_rate(self, mark: Mark) -> None:
        """Limit the rate of a new mark by those before, while the temperature changes slowly."""
        low, high = mark.rate_lo, mark.rate_hi
        for before in self._marks:
            elapsed = mark.t - before.t
            change = self.calm_change(elapsed)
            low = max(low, (mark.lo - before.hi) * _PPT_PER_UNIT // elapsed - change)
            high = min(high, (mark.hi - before.lo) * _PPT_PER_UNIT // elapsed + change)
        if low <= high:
            mark.calm = (low, high)

    def learn_slope(self, level: int, t: int, slope: "tuple[int, int]") -> None:
        """Keep the limits of the rate at `t` by a line; `level`: which line."""
        self._slopes[level] = (t, slope[0], slope[1], self._holdover.current_temperature(t))

    def _learn_slopes(self, mark: Mark) -> None:
        """Limit the rate of a new mark, for drags, by the lines."""
        low, high = mark.calm or (mark.rate_lo, mark.rate_hi)
        for t, least, most, centi_c in self._slopes.values():
            if mark.centi_c is None:
                change = self.calm_change(mark.t - t)
            elif centi_c is None:
                continue
            else:
                change = self._holdover.change_ppt(mark.t - t, abs(mark.centi_c - centi_c))
            if max(low, least - change) <= min(high, most + change):
                low, high = max(low, least - change), min(high, most + change)
        mark.calm = (low, high)

    def _calm_rates(self, mark: Mark, now: int) -> "tuple[int, int]":
        """Return the limits from a mark without a sensor; not from one that warming moved."""
        low, high = mark.calm or (mark.rate_lo, mark.rate_hi)
        change, limit = self.calm_change(now - mark.t), self._holdover.limit_ppt
        return max(low - change, -limit), min(high + change, limit)

    def from_mark(self, mark: Mark, now: int) -> "tuple[int, int]":
        """Return the interval at `now` from that of a mark, ns."""
        return self._predict(mark, now, self.rates(mark, now))

    def _predict(self, mark: Mark, now: int, limits: "tuple[int, int]") -> "tuple[int, int]":
        elapsed = now - mark.t
        low, high = limits
        if elapsed < 0:
            low, high = high, low
        return (
            mark.lo + low * elapsed // _PPT_PER_UNIT,
            mark.hi + high * elapsed // _PPT_PER_UNIT + 1,
        )

    def growth(self, now: int) -> int:
        """Return by how much half the interval has grown since its last measurement, ns."""
        present = self.present
        if present is None or now <= present.t:
            return 0
        lo, hi = self.from_mark(present, now)
        return (hi - present.hi + present.lo - lo) // 2

    def stated(self, now: int, guarded: bool = True) -> "tuple[int, int]":
        """Return the interval at `now` with the predictions from old marks, ns. Not for None.

        `guarded`: with all that count; else only with the one that is `lag` old.
        """
        present = self.present
        if present is None:
            return 0, 0
        lo, hi = self.from_mark(present, now)
        if not guarded:
            low, high = self._predictions(present, now, False)
            return min(lo, low), max(hi, high)
        elapsed = now - self._guarded_from
        if not 0 <= elapsed <= _GUARDED_FOR:
            self._guarded_from, elapsed = now, 0
            self._guarded = self._predictions(present, now, True)
            self._guarded += self._predictions(present, now + _GUARDED_FOR, True)
        low, high, low_then, high_then = self._guarded
        low += (low_then - low) * elapsed // _GUARDED_FOR
        high += (high_then - high) * elapsed // _GUARDED_FOR
        return min(lo, low), max(hi, high)

    def _predictions(self, present: Mark, now: int, guarded: bool) -> "tuple[int, int]":
        """Return the lowest and highest prediction at `now`, or the interval itself, ns."""
        lo, hi = own_lo, own_hi = self.from_mark(present, now)
        before = present.t - self._lag
        begin = self._marks[0]
        cold, warm = _NEVER, -_NEVER
        is_newest = True
        after = present.t
        for mark in reversed(self._marks):
            cold, warm = min(cold, mark.cold), max(warm, mark.warm)
            mark_after, after = after, mark.t
            if mark.t > before and mark is not begin:
                continue
            if (
                mark is not begin or present.centi_c is not None
                if is_newest
                else mark is not begin and self._is_guard(mark_after, present.rate_t)
            ):
                if present.centi_c is None and not is_newest:
                    rates = self._calm_rates(mark, now)
                else:
                    rates = self._mean_rates(mark, now, cold, warm, is_newest)
                low, high = self._predict(mark, now, rates)
                reach = (present.rate_t - mark_after) * _MIN_DRAG_PPB // 1_000_000
                reach = 0 if is_newest else reach
                if low < own_lo - reach:
                    lo = min(lo, low)
                if high > own_hi + reach:
                    hi = max(hi, high)
            if not guarded:
                break
            is_newest = False
        return lo, hi

    def _is_guard(self, t: int, now: int) -> bool:
        """Return whether the source can be false since `t` at the latest.

        That of a mark is the time of the next one: a drag can have begun just before it.
        """
        return now - t <= _GUARD and now - t <= _SHARE * (t - self._marks[0].t)

    def stated_rates(self, now: int) -> "tuple[int, int]":
        """Return how fast the ends of the stated interval move, ppt."""
        lo, hi = self.stated(now)
        low, high = self.stated(now + self._lag)
        return (low - lo) * _PPT_PER_UNIT // self._lag, (high - hi) * _PPT_PER_UNIT // self._lag

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
        self._guarded_from = _RENEW
        spacing = self._spacing if len(self._marks) > _FIRST_MARKS else self._spacing // 2
        if present.t - self._marks[-1].t >= spacing:
            return self._learn_rate(present)
        return 0

    def _learn_rate(self, present: Mark) -> int:
        """Narrow the rate by all marks. Return 0, or the contradiction in ns."""
        holdover, now = self._holdover, present.t
        centi_c = holdover.current_temperature(now)
        low, high = self.rates(present, now)
        cold = warm = centi_c or 0
        span = 0
        for mark in reversed(self._marks):
            elapsed = now - mark.t
            cold, warm = min(cold, mark.cold), max(warm, mark.warm)
            change = self._mean_change(mark, now, cold, warm, centi_c)
            reach = self.change_ns
            least = (present.lo - mark.hi - reach) * _PPT_PER_UNIT // elapsed - change
            most = (present.hi - mark.lo + reach) * _PPT_PER_UNIT // elapsed + change
            if least > high or most < low:
                gap = least - high if least > high else most - low
                span = gap * elapsed // _PPT_PER_UNIT
                self.rate_is_false = True
                return span or (1 if gap > 0 else -1)
            low, high = max(low, least), min(high, most)
        present.rate_lo, present.rate_hi, present.rate_t = low, high, now
        present.sense(holdover)
        self._cached_until = -1
        mark = present.copy()
        if centi_c is None:
            self._learn_calm_rate(mark)
        self._learn_slopes(mark)
        self._marks.append(mark)
        if len(self._marks) > self._most_marks:
            self._merge_mark(now)
        return 0

    def _merge_mark(self, now: int) -> None:
        """Remove the mark whose neighbours are closest, relative to their age.

        The first one after the begin stays while it counts: a drag can have begun after it.
        """
        marks = self._marks
        first = 2 if self._is_guard(marks[2].t, now) else 1
        best, smallest = first, None
        for i in range(first, len(marks) - 1):
            if marks[i + 1].t > now - self._lag:
                break
            share = (marks[i + 1].t - marks[i - 1].t) * 1_000 // _spacing_at(now - marks[i].t)
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
        self._slopes = {}  # since then they can be false
        self._guarded_from = _RENEW
        self.present.cold, self.present.warm = self._marks[-1].cold, self._marks[-1].warm
        return old.t
