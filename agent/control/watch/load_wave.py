# SPDX-License-Identifier: Apache-2.0
"""Fast waves of the load: finds them in the return temperature and gives means over whole periods.

Does not move the valve; `agent.control.law.feedforward` uses the means. Training of AI models makes
load waves with periods of seconds to a minute. The valve has a stroke time of a minute and the
exchanger stores heat, so a valve that follows each wave wears out and does not help.

After `_HALF_WAVES` half waves in sequence, each shorter than `_LONGEST_S`, `active` is True. Then
`rise_k` and `error_k` are the means over the last two half waves: a wave has no effect on them, a
change of the mean load has. A swing of the supply that returns is no wave of the load: the supply
must swing by less than `_SUPPLY_RATIO` of the return. A half wave that lasts much longer than the
last one ends the wave: the load has changed. So does a supply error above `_MAX_ERROR_K`.

`share` (0 to 1) moves between the present values and the means in `_BLEND_S` and `_LEAVE_S`:
bumpless transfer.
"""

from agent.control.watch.turning_points import TurningPoints

_BAND_K = 8 / 10
_HALF_WAVES = 3
_SHORTEST_S, _LONGEST_S = 3.5, 35.5  # between whole steps of 1 s
_LONGER, _LONGER_S = 125 / 100, 2.5
_MAX_ERROR_K = 155 / 100
_SUPPLY_RATIO = 65 / 100
_BLEND_S, _LEAVE_S = 10.0, 4.0


class LoadWave:
    """`period_s` and `swing_k`: of the last wave, seconds and K (peak to peak of the return)."""

    def __init__(self) -> None:
        self.active = False
        self.share = 0.0
        self.rise_k = self.error_k = 0.0
        self.period_s = self.swing_k = 0.0
        self._turns = TurningPoints(_BAND_K, _SHORTEST_S, _LONGEST_S)
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

    def step(self, return_c: float, supply_c: float, error_k: float, dt: float) -> None:
        """Add the readings of a cycle: temperatures, °C, and the supply error, K."""
        turns = self._turns
        self._sums[0] += (return_c - supply_c) * dt
        self._sums[1] += error_k * dt
        supply, last_s = self._supply, turns.last_s
        supply[0] = supply_c if supply_c < supply[0] else supply[0]
        supply[1] = supply_c if supply_c > supply[1] else supply[1]
        if turns.step(return_c, dt):
            self._end_half_wave(last_s + turns.last_s)
        if self.active and (
            turns.elapsed_s > _LONGER * turns.last_s + _LONGER_S
            or not -_MAX_ERROR_K < error_k < _MAX_ERROR_K
        ):
            self.active = False
            self._forget()
        share = self.share + (dt / _BLEND_S if self.active else -dt / _LEAVE_S)
        self.share = 0.0 if share < 0.0 else 1.0 if share > 1.0 else share

    def _end_half_wave(self, period_s: float) -> None:
        turns, sums, last_sums = self._turns, self._sums, self._last_sums
        if self._supply[1] - self._supply[0] > _SUPPLY_RATIO * turns.swing:
            turns.discard()
        self._supply = [1e9, -1e9]
        if turns.count >= _HALF_WAVES:
            self.active = True
            self.period_s, self.swing_k = period_s, turns.swing
        if turns.count > 1 and period_s > 0.0:
            self.rise_k = (sums[0] + last_sums[0]) / period_s
            self.error_k = (sums[1] + last_sums[1]) / period_s
        self._last_sums, self._sums = sums, [0.0, 0.0]
