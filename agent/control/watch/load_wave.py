# SPDX-License-Identifier: Apache-2.0
"""Fast waves of the load: finds them in the return temperature and gives means over whole periods.

Does not move the valve; `agent.control.law.feedforward` uses the means. Training of AI models makes
load waves with periods of seconds to minutes. The valve has a stroke time of a minute and the
exchanger stores heat, so a valve that follows each wave wears out and does not help.

After `_HALF_WAVES` half waves in sequence, each shorter than `_LONGEST_S`, `active` is True. Then
`rise_k` and `error_k` are the means over the last two half waves: a wave has no effect on them, a
change of the mean load has. A swing of the supply that returns is no wave of the load: the supply
must swing by less than `_SUPPLY_RATIO` of the return. A half wave that lasts much longer than the
last one ends the wave: the load has changed. So does a supply error above `_MAX_ERROR_K`.

The least swing of a half wave is `_NOISE_BANDS` times the noise of the return, at least
`_LEAST_BAND_K`. A fast wave that was found may be smaller by `_KEEP_SHARE`. A slow one, with half
waves longer than `_SLOW_S`, must have `_SLOW_BAND_K`.

`share` is the weight of the means, 0 to 1. In a fast wave it is 1. In a slow one it is smaller, so
that the supply error stays below `_MAX_ERROR_K` with 70 % of the design load as the step. It
changes in `_BLEND_S` and `_LEAVE_S`: bumpless transfer.
"""

from agent.control.watch.turning_points import TurningPoints

_LEAST_BAND_K, _SLOW_BAND_K = 25 / 100, 8 / 10
_NOISE_BANDS = 6.0
_KEEP_SHARE = 6 / 10
_HALF_WAVES = 3
_SHORTEST_S, _LONGEST_S = 3.5, 135.5  # between whole steps of 1 s
_SLOW_S = 32.5
_SLOW_SHARE, _SLOW_PER_S = 80 / 100, 34 / 10_000
_LONGER, _SLOW_LONGER, _LONGER_S = 125 / 100, 110 / 100, 2.5
_LEAST_END_S = 13.5
_MAX_ERROR_K = 165 / 100
_SUPPLY_RATIO = 65 / 100
_BLEND_S, _LEAVE_S = 10.0, 4.0


class LoadWave:
    """`period_s` and `swing_k`: of the last wave, seconds and K (peak to peak of the return)."""

    def __init__(self) -> None:
        self.active = False
        self.share = 0.0
        self.rise_k = self.error_k = 0.0
        self.period_s = self.swing_k = 0.0
        self._turns = TurningPoints(_SLOW_BAND_K, _SHORTEST_S, _LONGEST_S)
        self._sums, self._last_sums = [0.0, 0.0], [0.0, 0.0]
        self._supply = [1e9, -1e9]

    def stop(self) -> None:
        """End the wave immediately: the loop does not have the valve."""
        self.active, self.share = False, 0.0
        self._forget()

    def _forget(self) -> None:
        self._turns.reset()
        self._sums = [0.0, 0.0]
        self._supply = [1e9, -1e9]

    def step(
        self, return_c: float, supply_c: float, error_k: float, noise_k: float, dt: float
    ) -> None:
        """Add the readings of a cycle: temperatures, °C, the supply error and the noise of the
        return, K.
        """
        turns = self._turns
        share = _KEEP_SHARE if self.active and turns.last_s < _SLOW_S else 1.0
        band_k = _NOISE_BANDS * noise_k
        turns.set_band(share * (band_k if band_k > _LEAST_BAND_K else _LEAST_BAND_K))
        self._sums[0] += (return_c - supply_c) * dt
        self._sums[1] += error_k * dt
        supply, last_s = self._supply, turns.last_s
        supply[0] = supply_c if supply_c < supply[0] else supply[0]
        supply[1] = supply_c if supply_c > supply[1] else supply[1]
        if turns.step(return_c, dt):
            self._end_half_wave(last_s + turns.last_s)
        longer = _SLOW_LONGER if turns.last_s > _SLOW_S else _LONGER
        if self.active and (
            turns.elapsed_s > max(longer * turns.last_s + _LONGER_S, _LEAST_END_S)
            or not -_MAX_ERROR_K < error_k < _MAX_ERROR_K
        ):
            self.active = False
            self._forget()
        most = 1.0
        if not self.active:
            most = 0.0
        elif turns.last_s > _SLOW_S:
            most = _SLOW_SHARE - _SLOW_PER_S * turns.last_s
        up, down = self.share + dt / _BLEND_S, self.share - dt / _LEAVE_S
        self.share = up if up < most else down if down > most else most

    def _end_half_wave(self, period_s: float) -> None:
        turns, sums, last_sums = self._turns, self._sums, self._last_sums
        if self._supply[1] - self._supply[0] > _SUPPLY_RATIO * turns.swing or (
            turns.last_s > _SLOW_S and turns.swing < _SLOW_BAND_K
        ):
            turns.discard()
        self._supply = [1e9, -1e9]
        if turns.count >= _HALF_WAVES:
            self.active = True
            self.period_s, self.swing_k = period_s, turns.swing
        if turns.count > 1 and period_s > 0.0:
            self.rise_k = (sums[0] + last_sums[0]) / period_s
            self.error_k = (sums[1] + last_sums[1]) / period_s
        self._last_sums, self._sums = sums, [0.0, 0.0]
