"""A clock that only grows, from a counter that wraps.

MicroPython's `ticks_us` starts again at zero, on a 32-bit board after 18 minutes. What has gone by
since the last look is added to an integer that has no end. Not a source of time: it must be looked
at at least once in half a turn of the counter (9 minutes there), which a shell's loop does by far.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class MonotonicCounter:
    """Monotonic microseconds, beginning with what the counter shows."""

    def __init__(self, ticks: "Callable[[], int]", diff: "Callable[[int, int], int]") -> None:
        """Take the platform's counter and its difference (`ticks_us`, `ticks_diff`)."""
        self._ticks = ticks
        self._diff = diff
        self._last = ticks()
        self._now = self._last

    def now(self) -> int:
        """Return the time; it never goes back."""
        ticks = self._ticks()
        elapsed = self._diff(ticks, self._last)
        if elapsed > 0:
            self._now += elapsed
            self._last = ticks
        return self._now
