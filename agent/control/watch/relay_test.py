# SPDX-License-Identifier: Apache-2.0
"""Relay test of a loop: period and amplitude of its own oscillation, and gains from them.

Does not move the valve; `agent.control.watch.autotune` does. The valve goes from `centre + step` to
`centre - step` and back when the error crosses `-_HYSTERESIS_K` and `_HYSTERESIS_K` (Åström and
Hägglund, Automatica 20, 1984). The first cycle is not used; the next `_CYCLES` give the means.

The describing function gives the ultimate gain Ku = 4 step / (pi amplitude), a little too low
because of the hysteresis. The gains are those of a PI controller with a large margin:
`GAIN_SHARE` Ku, `INTEGRAL_SHARE` periods. They lie between Ziegler and Nichols (1942) and Tyreus
and Luyben (1992).
"""

_HYSTERESIS_K = 25 / 100
_CYCLES = 3
_PI = 314_159 / 100_000
GAIN_SHARE, INTEGRAL_SHARE = 45 / 100, 83 / 100


class RelayTest:
    """`done`: True after the last cycle. Then `gain` (percent per K), `integral_s`, `period_s` and
    `amplitude_k` are valid.
    """

    def __init__(self, centre: float, step: float) -> None:
        self.centre, self.step_pct = centre, step
        self.done = False
        self.gain = self.integral_s = self.period_s = self.amplitude_k = 0.0
        self._is_open = True
        self._cycles = -1
        self._cycle_s = self._period_sum_s = self._swing_sum = 0.0
        self._low, self._high = 1e9, -1e9

    def step(self, error_k: float, dt: float) -> float:
        """Add the error of a cycle, K (positive: too warm). Return the position, percent."""
        self._cycle_s += dt
        self._low = error_k if error_k < self._low else self._low
        self._high = error_k if error_k > self._high else self._high
        if self._is_open and error_k < -_HYSTERESIS_K:
            self._is_open = False
        elif not self._is_open and error_k > _HYSTERESIS_K:
            self._is_open = True
            self._end_cycle()
        return self.centre + (self.step_pct if self._is_open else -self.step_pct)

    def _end_cycle(self) -> None:
        self._cycles += 1
        if self._cycles > 0:
            self._period_sum_s += self._cycle_s
            self._swing_sum += self._high - self._low
        self._cycle_s, self._low, self._high = 0.0, 1e9, -1e9
        if self._cycles < _CYCLES:
            return
        self.done = True
        self.period_s = self._period_sum_s / _CYCLES
        self.amplitude_k = 0.5 * self._swing_sum / _CYCLES
        self.gain = GAIN_SHARE * 4.0 * self.step_pct / (_PI * self.amplitude_k)
        self.integral_s = INTEGRAL_SHARE * self.period_s
