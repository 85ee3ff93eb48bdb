# SPDX-License-Identifier: Apache-2.0
"""The statements of a rejected source, as intervals that begin at several times.

Does not decide whether the source is followed; see `agent.clock.estimate.time_source`. A source is
followed again when one of these intervals was consistent for `time_source.RECOVERY`.

How it works. The source can be true since any time: a spoof can end while it is rejected, and the
end of a slow drag can be too small to contradict an interval that began during the drag. Such an
interval is contradicted minutes later, when its rate is known better. So another interval begins
each `_BEGIN_EVERY`. One that is contradicted is dropped, and those that began later remain. From
the end of a spoof on, the source is therefore followed after `RECOVERY` and `_BEGIN_EVERY`,
whenever the older intervals are contradicted.

`replay` begins them in the past. The temperatures of that time are not kept, so these intervals
assume the largest change without a sensor.
"""

from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.offset_interval import OffsetInterval
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.mean_lines import KeptBlocks

_BEGIN_EVERY = 300 * SECOND


class CandidateSet:
    """The intervals, the oldest one first. `spacing`: that of their marks, µs."""

    def __init__(self, holdover: "Holdover", spacing: int) -> None:
        self._holdover = holdover
        self._spacing = spacing
        self._intervals: list[tuple[int, OffsetInterval]] = []
        """When each one began, µs."""

    def replay(self, kept: "KeptBlocks") -> int:
        """Add blocks of the past. Return as `add`; 0: there are none."""
        holdover = self._holdover
        past = Holdover(holdover.drift_ppb, holdover.tempco_ppb_per_c, holdover.host_ppt // 1_000)
        self._holdover = past
        consistent_for = 0
        for t, lo, hi, _, _ in kept.straight():
            consistent_for = self.add(t, lo, hi)
        self._holdover = holdover
        return consistent_for

    def add(self, t: int, lo: int, hi: int) -> int:
        """Add a measurement. Return for how long the oldest interval is consistent, µs."""
        kept = [item for item in self._intervals if not item[1].add(t, lo, hi)]
        if not kept or t - kept[-1][0] >= _BEGIN_EVERY:
            interval = OffsetInterval(self._holdover, self._spacing, 0)
            interval.begin(t, lo, hi)
            kept.append((t, interval))
        self._intervals = kept
        return t - kept[0][0]

    def oldest(self) -> OffsetInterval:
        """Return the interval that was consistent for the longest time; after `add`."""
        return self._intervals[0][1]

    def widen(self, lo: int, hi: int, now: int) -> "tuple[int, int]":
        """Return an interval that also contains all of these at `now`, ns."""
        for _, interval in self._intervals:
            present = interval.present
            if present is not None:
                low, high = interval.from_mark(present, now)
                lo, hi = min(lo, low), max(hi, high)
        return lo, hi

    def advance(self, now: int) -> None:
        """Move the intervals to `now`; call it when the temperature changes."""
        for _, interval in self._intervals:
            interval.advance(now)
