"""The load's profile: mean and peak power of whole intervals of UTC, so that rows line up.

Not the telemetry: a row's value is of one instant. Here every second's power is gathered until the
UTC interval ends; the figures of the last whole interval stand until the next one does. An interval
of which less than nine tenths was seen (a start, a gap) is not given.
"""

_ENOUGH = 9


class Profile:
    """Intervals of `period_us`. `mean_w`, `peak_w` are of the interval that began at `began_us`."""

    def __init__(self, period_us: int) -> None:
        self.period_us = period_us
        self.mean_w: int | None = None
        self.peak_w: int | None = None
        self.began_us = 0
        self._number = -1
        self._sum = self._peak = self._seen_us = 0

    def take(self, utc_us: int, watts: int, elapsed_us: int) -> None:
        """Take the power that was drawn for `elapsed_us` up to a UTC instant."""
        number = (utc_us - 1) // self.period_us
        if number != self._number:
            self._close()
            self._number = number
        elapsed_us = min(elapsed_us, self.period_us)
        self._sum += watts * (elapsed_us // 1000)
        self._seen_us += elapsed_us
        self._peak = max(self._peak, watts)

    def _close(self) -> None:
        whole = 10 * self._seen_us >= _ENOUGH * self.period_us
        self.mean_w = self._sum // max(1, self._seen_us // 1000) if whole else None
        self.peak_w = self._peak if whole else None
        self.began_us = self._number * self.period_us
        self._sum = self._peak = self._seen_us = 0
