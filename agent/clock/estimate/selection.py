# SPDX-License-Identifier: Apache-2.0
"""Selection among several clocks: which interval contains UTC, and which clock is false.

Does not read a clock; NTP clocks (`agent.clock.ntp`) and receivers (`agent.gnss.group`) are
compared with it. It is the intersection algorithm of K. Marzullo (1984), which RFC 5905, section
11.2.1, uses too. RFC 5905 calls a clock outside the result a falseticker.

More than half of the configured clocks must agree. So with n clocks at most f can be false:

    clocks n      1   2   3   4   5
    must agree    1   2   2   3   3
    false f       0   0   1   1   2

Each clock gives an interval that contains UTC, unless the clock is false. Of k clocks with a
reading at least k - f are true. So UTC is where at least k - f intervals overlap. The result is the
hull of all these places.
"""

from collections import namedtuple

TimeSample = namedtuple("TimeSample", ("offset_us", "uncertainty_us", "mono_us"))
"""A reading: UTC minus monotonic time, its uncertainty, and when it arrived, µs."""

Interval = namedtuple("Interval", ("low", "high"))
"""The offset of UTC from monotonic time is between `low` and `high`, µs."""


def quorum(clocks: int) -> int:
    """Return how many of the configured clocks must agree."""
    return clocks // 2 + 1


def interval_at(sample: TimeSample, now: int, drift_ppb: int) -> Interval:
    """Return the interval of a sample at `now`. It grows with the drift of our oscillator."""
    reach = sample.uncertainty_us + (now - sample.mono_us) * drift_ppb // 1_000_000_000
    return Interval(sample.offset_us - reach, sample.offset_us + reach)


def select(intervals: "list[Interval]", clocks: int) -> "Interval | None":
    """Return the interval that contains UTC; None if no `quorum` of the `clocks` agrees."""
    needed = quorum(clocks)
    if len(intervals) < needed or _hull(intervals, needed) is None:
        return None
    return _hull(intervals, len(intervals) - (clocks - needed))


def cover(intervals: "list[Interval]", clocks: int) -> "Interval | None":
    """Return the interval that contains UTC while at most half of the `clocks` are false.

    It needs no agreement: if all contradict, it contains all. None: no intervals.
    """
    return _hull(intervals, max(1, len(intervals) - clocks // 2)) or _hull(intervals, 1)


def overlap(a: Interval, b: Interval) -> bool:
    """Return whether two intervals have a point in common."""
    return bool(a.low <= b.high and b.low <= a.high)


def _hull(intervals: "list[Interval]", depth: int) -> "Interval | None":
    """Return the hull of the points that are in at least `depth` intervals; None: no point."""
    edges = [(i.low, 0) for i in intervals] + [(i.high, 1) for i in intervals]
    count, low, high = 0, None, None
    for value, is_end in sorted(edges):
        if is_end:
            if count >= depth:
                high = value
            count -= 1
        else:
            count += 1
            if count >= depth and low is None:
                low = value
    return None if low is None or high is None else Interval(low, high)
