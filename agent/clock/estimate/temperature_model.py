# SPDX-License-Identifier: Apache-2.0
"""Temperature coefficient of the oscillator, learned from pulses: pairs of temperature and rate.

Does not give an allowance (see `agent.clock.estimate.holdover`); it gives a correction.

With pulses the rate over one minute is known to some parts per billion. A crystal changes by up to
1000 ppb per kelvin, so the daily temperature cycle of the rack shows the coefficient. In holdover
the time then follows the temperature. The allowance stays as it is, because the oscillator can lag
behind the sensor.

Least squares with sums about the first pair. The sums are halved from time to time, so that old
pairs count less. Rates are parts per 10^12, temperatures hundredths of a degree Celsius.
"""

from agent.clock.estimate.oscillator import isqrt
from protocols.time_units import SECOND

_MIN_SPACING_US = 64 * SECOND
"""A rate is the slope over 64 s of pulses. Closer pairs would use the same pulses twice."""
_MAX_PAIRS = 2048
_MIN_PAIRS = 16
_MIN_SPREAD = 50
"""Smallest standard deviation of the temperatures for a valid coefficient: 0.5 K."""
_SIGMAS = 5


class TempcoModel:
    """The temperature coefficient. `tempco_ppb_per_c`: its largest accepted value."""

    def __init__(self, tempco_ppb_per_c: int) -> None:
        self.slope: int | None = None
        """Parts per 10^12 per kelvin; None while unknown."""
        self._max_slope = tempco_ppb_per_c * 1000
        self._origin: tuple[int, int] | None = None
        self._last = 0
        self._sums = [0, 0, 0, 0, 0, 0]  # n, T, f, TT, Tf, ff

    def restore(self, slope: int) -> None:
        """Start with a stored coefficient, parts per 10^12 per kelvin."""
        self.slope = slope

    def add_pair(self, centi_c: int, rate_ppt: int, now: int) -> None:
        """Add a temperature and the rate at it."""
        if self._origin is None:
            self._origin = (centi_c, rate_ppt)
        elif now - self._last < _MIN_SPACING_US:
            return
        self._last = now
        t, f = centi_c - self._origin[0], rate_ppt - self._origin[1]
        for i, value in enumerate((1, t, f, t * t, t * f, f * f)):
            self._sums[i] += value
        if self._sums[0] > _MAX_PAIRS:
            self._sums = [value // 2 for value in self._sums]
        self._solve()

    def _solve(self) -> None:
        n, st, sf, stt, stf, sff = self._sums
        spread = n * stt - st * st
        if n < _MIN_PAIRS or spread < (n * _MIN_SPREAD) ** 2:
            return
        covariance, square = n * stf - st * sf, n * sff - sf * sf
        slope = 100 * covariance // spread
        residual = max(0, square - covariance * covariance // spread) // (n - 2)
        sigma = 100 * isqrt(residual * 1_000_000 // spread) // 1000
        significant = abs(slope) >= _SIGMAS * sigma
        self.slope = max(-self._max_slope, min(self._max_slope, slope)) if significant else None
