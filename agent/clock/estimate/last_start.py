# SPDX-License-Identifier: Apache-2.0
"""The time of the last start: it limits what a restart can hide.

Does not set UTC; see `agent.clock.clock_output`. A new start knows nothing of a drag, or of a
latency that changed, before its first fix. If the monotonic clock ran on, the stored UTC and its
bound still contain the truth, and the interval grows by the limit of the oscillator. So it is in
the bound for as long as a drag can last.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.clock_state import KeptTime

LONGEST_DRAG_US = 7_200 * SECOND
"""A drag lasts at most so long (docs/engineer/time.md)."""
_PPT = 1_000_000_000_000


class LastStart:
    """The offset of UTC from the monotonic clock as the last start stored it.

    `limit_ppt`: limit of the rate of the oscillator, parts per 10^12. `now`: µs.
    """

    def __init__(self, record: "KeptTime", bound_us: int, limit_ppt: int, now: int) -> None:
        self._offset_us = record.utc_us - record.mono_us
        self._bound_us, self._limit_ppt = bound_us, limit_ppt
        self._since, self._until = record.mono_us, now + LONGEST_DRAG_US

    def reach_us(self, offset_us: int, now: int, limits: "tuple[int, int] | None") -> int:
        """Return the distance from `offset_us` to the farther end of the interval, µs; 0: it ended.

        `limits`: offset by a second source, µs, None: there is none. A drag goes no further.
        """
        if now >= self._until:
            return 0
        reach = self._bound_us + self._limit_ppt * (now - self._since) // _PPT
        low, high = self._offset_us - reach, self._offset_us + reach
        if limits is not None:
            low, high = max(low, limits[0]), min(high, limits[1])
        return max(0, high - offset_us, offset_us - low)


def find_last_start(
    record: "KeptTime", utc_us: int, limits: "tuple[int, int]", now: int
) -> "LastStart | None":
    """Return the last start if the monotonic clock ran on since; None: it did not, or too long.

    `limits`: limit of the rate (parts per 10^12), and the largest error of whole seconds (µs).
    """
    elapsed, bound_us = now - record.mono_us, record.bound_us
    if bound_us is None or not 0 <= elapsed <= LONGEST_DRAG_US:
        return None
    if abs(utc_us - record.utc_us - elapsed) > limits[1]:
        return None
    return LastStart(record, bound_us, limits[0], now)
