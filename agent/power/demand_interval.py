"""The load's profile: mean and peak power of whole intervals of UTC, so that rows line up.

Not the telemetry: a row's value is of one instant. Here every second's power is gathered until the
UTC interval ends; the figures of the last whole interval stand until the next one does. An interval
of which less than nine tenths was seen (a start, a gap) is not given.
"""

_MIN_TENTHS = 9


class DemandInterval:
    """Intervals of `period_us`. `mean_w`, `peak_w` are of the interval that began at `start_us`."""

    def __init__(self, period_us: int) -> None:
        self.period_us = period_us
        self.mean_w: int | None = None
        self.peak_w: int | None = None
        self.start_us = 0
        self._interval = -1
        self._sum = self._peak = self._covered_us = 0

    def add_power(self, utc_us: int, watts: int, elapsed_us: int) -> None:
        """Take the power that was drawn for `elapsed_us` up to a UTC instant."""
        interval = (utc_us - 1) // self.period_us
        if interval != self._interval:
            self._close()
            self._interval = interval
        elapsed_us = min(elapsed_us, self.period_us)
        self._sum += watts * (elapsed_us // 1000)
        self._covered_us += elapsed_us
        self._peak = max(self._peak, watts)

    def _close(self) -> None:
        complete = 10 * self._covered_us >= _MIN_TENTHS * self.period_us
        self.mean_w = self._sum // max(1, self._covered_us // 1000) if complete else None
        self.peak_w = self._peak if complete else None
        self.start_us = self._interval * self.period_us
        self._sum = self._peak = self._covered_us = 0
