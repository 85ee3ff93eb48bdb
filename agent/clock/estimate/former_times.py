# SPDX-License-Identifier: Apache-2.0
"""What a source was held at before, while nothing proves which of both times is true.

Does not decide when a source moves; see `agent.clock.estimate.time_source`. There are two ranges,
both as distances from the interval of the source:

    open   since a contradiction, for a day (adopted) or two hours (returned). It grows, because a
           drag can go on
    kept   after that. A latency that has changed stays changed, and the source never contradicts
           itself again. So the distance of an adoption stays, without growth, until an independent
           source excludes it. If the source returns while the range is open, nothing is kept of
           where it was in the meantime

Distances are ns, at most 0 and at least 0.
"""

MAX_LATENCY_NS = 900_000_000
"""A change by more is no latency."""
_PPT_PER_UNIT = 1_000_000_000


class FormerTimes:
    """Both ranges. `ppt`: how fast the open one grows; `until`: when it ends, µs."""

    def __init__(self) -> None:
        self.low = self.high = self.ppt = self.until = 0
        self.kept = (0, 0)
        self.is_open = False
        self._since = self._width = 0

    def open(self, low: int, high: int, t: int) -> None:
        """Begin the open range at `t`."""
        self.low, self.high, self._since = min(low, 0), max(high, 0), t
        self.is_open = True

    def expire(self, t: int) -> None:
        """End the open range if its time is over."""
        if self.is_open and t >= self.until:
            self.is_open = False
            self.low = self.high = self.ppt = 0

    def range_at(self, now: int) -> "tuple[int, int]":
        """Return the distances of all that could be true beside the interval."""
        low, high = self.kept
        if not self.is_open:
            return low, high
        growth = self.ppt * max(0, now - self._since) // _PPT_PER_UNIT
        return min(low, self.low - growth), max(high, self.high + growth)

    def adopt(self, low: int, high: int, width: int) -> None:
        """The source is followed. `low`, `high`: distances of what was held, with `kept`; `width`:
        how uncertain they are.
        """
        self._width = width
        if high < -MAX_LATENCY_NS or low > MAX_LATENCY_NS:
            self.kept = (0, 0)
        else:
            self.kept = max(min(low, 0), -MAX_LATENCY_NS), min(max(high, 0), MAX_LATENCY_NS)

    def is_return(self, own: "tuple[int, int]", lo: int, hi: int, t: int) -> bool:
        """Return whether a measurement beside the interval `own` returns to the open range."""
        low, high = self.range_at(t)
        if not self.is_open or lo > own[1] + high or hi < own[0] + low:
            return False
        self.come_back((lo + hi - own[0] - own[1]) // 2)
        return True

    def come_back(self, shift: int) -> None:
        """The source has moved by `shift` to a time that was held before: it was false since."""
        low, high = self.kept
        if low:
            low = min(0, low - shift)
        if high:
            high = max(0, high - shift)
        self.kept = (low if low < -self._width else 0, high if high > self._width else 0)

    def exclude(self, low: int, high: int) -> None:
        """An independent source says that the truth is between these distances."""
        self.kept = max(self.kept[0], min(low, 0)), min(self.kept[1], max(high, 0))
