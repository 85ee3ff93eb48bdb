# SPDX-License-Identifier: Apache-2.0
"""Demand interval: mean and peak power of complete UTC intervals, the same intervals on each row.

Does not sample for telemetry rows, which hold instantaneous values. The values of the last complete
interval stay until the next one ends. An interval that was covered by less than nine tenths (a
start, a gap) has no values.
"""

_MIN_TENTHS = 9


class DemandInterval:
    """Intervals of `period_us`. `mean_w` and `peak_w` belong to the interval that began at
    `start_us`.
    """

    def __init__(self, period_us: int) -> None:
        self.period_us = period_us
        self.mean_w: int | None = None
        self.peak_w: int | None = None
        self.start_us = 0
        self._interval = -1
        self._sum = self._peak = self._covered_us = 0

    def add_power(self, utc_us: int, watts: int, elapsed_us: int) -> None:
        """Add the power during the `elapsed_us` before a UTC instant."""
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
