# SPDX-License-Identifier: Apache-2.0
"""Oscillation of a control loop, and the travel of its valve.

Does not change a loop; see `agent.control.watch.valve_watch`. A loop oscillates if its error has
`_HALF_WAVES` half waves of at least `_BAND_K` in sequence (Hägglund, A control-loop performance
monitor, Control Engineering Practice 3, 1995, counts zero crossings in the same way), while

- the valve moves with them: a supply that swings with a valve at rest is no limit cycle;
- the heat of the row does not: the rise swings by less than `_HEAT_RATIO` times the supply plus
  `_HEAT_K`. It is not 0, because the swing of the supply returns after the transit time;
- it does not decay: the swing is at least half of the largest one before it, which counts 3/4 after
  each half wave.

The oscillation ends after `_CALM_S` without a half wave.

Travel: sum of the movements of the valve; the rate is a mean over `_TRAVEL_S`.
"""

from agent.control.watch.turning_points import TurningPoints

_BAND_K = 6 / 10
_HALF_WAVES = 6
_SHORTEST_S, _LONGEST_S = 5.5, 900.5  # between whole steps of 1 s
_HEAT_RATIO, _HEAT_K = 15 / 10, 5 / 10
_LEAST_TRAVEL_PCT = 3 / 10
_FADE, _LEAST_SWING = 3 / 4, 1 / 2
_CALM_S = 1200.0
_TRAVEL_S = 1800.0
_HOUR_S = 3600.0


class OscillationDetector:
    """`amplitude_k`: half of the last swing, K. `period_s`: seconds. Both 0 if it is calm."""

    def __init__(self) -> None:
        self.active = False
        self.amplitude_k = self.period_s = 0.0
        self.travel_pct = self.travel_pct_h = 0.0
        self._turns = TurningPoints(_BAND_K, _SHORTEST_S, _LONGEST_S)
        self._position: float | None = None
        self._half_travel_pct = 0.0
        self._rise = [1e9, -1e9]
        self._largest_k = 0.0
        self._calm_s = 0.0

    def reset(self) -> None:
        """The loop does not control: forget the sequence of half waves."""
        self._turns.reset()
        self._half_travel_pct = self._largest_k = 0.0
        self._rise = [1e9, -1e9]

    def add_position(self, position: "float | None", is_own: bool, dt: float) -> None:
        """Add the position of the valve, percent, to the travel. `is_own`: the loop moves it."""
        move = 0.0
        if position is not None and self._position is not None:
            move = abs(position - self._position)
        if position is not None:
            self._position = position
        self.travel_pct += move
        self._half_travel_pct += move
        rate = move / dt * _HOUR_S if is_own and dt > 0.0 else 0.0
        self.travel_pct_h += dt / (dt + _TRAVEL_S) * (rate - self.travel_pct_h)

    def step(self, error_k: float, rise_k: "float | None", dt: float) -> None:
        """Add the error of the loop and return minus supply (None: unknown), K."""
        turns, rise = self._turns, self._rise
        if rise_k is not None:
            rise[0] = min(rise_k, rise[0])
            rise[1] = max(rise_k, rise[1])
        self._calm_s += dt
        last_s = turns.last_s
        if turns.step(error_k, dt):
            is_own = rise[1] - rise[0] < _HEAT_RATIO * turns.swing + _HEAT_K
            if not is_own or self._half_travel_pct < _LEAST_TRAVEL_PCT:
                turns.discard()
            self._half_travel_pct, self._rise = 0.0, [1e9, -1e9]
            fading_k = self._largest_k * _FADE
            self._largest_k = max(turns.swing, fading_k)
            is_steady = turns.swing >= _LEAST_SWING * self._largest_k
            if (turns.count >= _HALF_WAVES and is_steady) or (self.active and turns.count):
                self.active, self._calm_s = True, 0.0
                self.amplitude_k, self.period_s = 0.5 * turns.swing, last_s + turns.last_s
        if self._calm_s > _CALM_S:
            self.active = False
            self.amplitude_k = self.period_s = 0.0
