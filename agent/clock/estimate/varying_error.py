# SPDX-License-Identifier: Apache-2.0
"""The interval of the offset if the common error of the samples changes within its stated range.

Does not replace the interval of a source (`agent.clock.estimate.offset_interval`): both are in the
bound. That one takes the error that all samples have in common, such as the latency of sentences
minus the configured one, as constant. It then knows the rate better. But a change of the latency by
some milliseconds can be too small to contradict it, and is taken for a rate. The interval then
leaves the truth slowly, until a measurement contradicts it.

How it works. Let the common error be within `error_ns` at all times, and different at two times.
Then each measurement contains an offset that is no farther from the truth than that. So does the
intersection of two, because it contains an offset between both. Only two things change:

    a rate from two intervals is uncertain by 2 `error_ns` / time
    a line has negative weights: the error of its end is at most `_LINE_PERCENT` of that larger
"""

from agent.clock.estimate.offset_interval import OffsetInterval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.holdover import Holdover

_MARKS = 8
_LINE_PERCENT = 60
"""Sum of the magnitudes of the weights, minus 1: 0.50 of 8 means, 0.59 of 16 blocks."""


class VaryingInterval(OffsetInterval):
    """The interval; it has none until `set_error`. `spacing`: shortest time between marks, µs."""

    def __init__(self, holdover: "Holdover", spacing: int) -> None:
        OffsetInterval.__init__(self, holdover, spacing, 0, _MARKS)
        self._error_ns = 0

    def set_error(self, error_ns: int) -> None:
        """Set the largest common error, ns; 0: there is none, or it does not change."""
        if error_ns != self._error_ns:
            self._error_ns = error_ns
            self.change_ns = 2 * error_ns
            self.clear()

    def take(self, t: int, lo: int, hi: int, is_end: bool) -> None:
        """Take a measurement; begin again with one that contradicts. `is_end`: the end of a line.

        It is beside the other interval in the bound, so to begin again excludes nothing.
        """
        if not self._error_ns:
            return
        reach = self._error_ns * _LINE_PERCENT // 100 if is_end else 0
        if self.present is None or self.add(t, lo - reach, hi + reach):
            self.begin(t, lo - reach, hi + reach)

    def widen(self, lo: int, hi: int, now: int) -> "tuple[int, int]":
        """Return an interval that also contains this one at `now`, ns."""
        if self.present is None or not self._error_ns:
            return lo, hi
        low, high = self.from_mark(self.present, now)
        return min(lo, low), max(hi, high)
