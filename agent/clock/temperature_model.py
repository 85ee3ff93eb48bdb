"""What a degree does to this very oscillator, learned from pulses: pairs of temperature and rate.

Not an allowance (that is `agent.clock.holdover`): a correction. With pulses the rate of a minute is
known to some parts per billion, and a crystal changes by a thousand with a degree; so a day's swing
of the rack's temperature shows the slope. In holdover time then follows the temperature. The
allowance is left as it is: the oscillator may lag behind the sensor.

Least squares through the pairs, with sums about the first pair that are halved now and then, so
that old pairs count less. Rates are parts per 10^12, temperatures hundredths of a degree Celsius.
"""

from agent.clock.oscillator import isqrt
from protocols.time_units import SECOND

_MIN_SPACING = 64 * SECOND
"""A rate is the slope of 64 s of pulses: closer pairs would be the same pulses again."""
_MAX_PAIRS = 2048
_MIN_PAIRS = 16
_MIN_SPREAD = 50
"""Standard deviation of the temperatures, 0.5 °C, before the slope is believed."""
_SIGMAS = 5


class TempcoModel:
    """The slope and how it is learned; `tempco_ppb` is the largest believed."""

    def __init__(self, tempco_ppb: int) -> None:
        self.slope: int | None = None
        """Parts per 10^12 a degree, None until it is known."""
        self._max_slope = tempco_ppb * 1000
        self._origin: tuple[int, int] | None = None
        self._last = 0
        self._sums = [0, 0, 0, 0, 0, 0]  # n, T, f, TT, Tf, ff

    def add_pair(self, centi_c: int, rate_ppt: int, now: int) -> None:
        """Take a temperature and the rate at it."""
        if self._origin is None:
            self._origin = (centi_c, rate_ppt)
        elif now - self._last < _MIN_SPACING:
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
