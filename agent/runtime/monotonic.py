# SPDX-License-Identifier: Apache-2.0
"""A monotonic clock from a counter that wraps.

Does not measure time by itself: `now` must be called at least once in half a period of the counter.
`ticks_us` of MicroPython restarts at zero, on a 32-bit board after 18 minutes; the limit is then
9 minutes. The I/O loop calls it far more often. The elapsed time since the last call is added to an
unlimited integer.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class MonotonicCounter:
    """Monotonic µs, starting with the value of the counter."""

    def __init__(self, ticks: "Callable[[], int]", diff: "Callable[[int, int], int]") -> None:
        """`ticks`, `diff`: counter of the platform and its difference, such as `ticks_us`."""
        self._ticks = ticks
        self._diff = diff
        self._last = ticks()
        self._now = self._last

    def now(self) -> int:
        """Return the time; it never decreases."""
        ticks = self._ticks()
        elapsed = self._diff(ticks, self._last)
        if elapsed > 0:
            self._now += elapsed
            self._last = ticks
        return self._now
