# SPDX-License-Identifier: Apache-2.0
"""Moves of a valve with stiction. Loaded only after stiction was found (`valve_watch`).

Does not measure the stiction (`stiction`) and does not write to the valve
(`agent.control.loop.supply_feedforward`).

A valve with a stiction s cannot do a step below s, and the integral of a loop then makes a
limit cycle. Two larger moves can: beyond the wanted position and back (two-move compensation:
Farenzena and Trierweiler, ADCHEM 2010). So with stiction the loop does not integrate. It waits
until the plant is steady: `_WAIT_S` after a move, and the return within `_MOVING_K` of its mean.
While the load changes, the heat balance of the means is that of some time ago. If the mean error is
then above `_ERROR_K`, it moves once to the position that the heat balance gives. A load step (the
rise of the row moves by `_LOAD_K`) is followed immediately.
"""

_ERROR_K = 3 / 10
_MEAN_S, _STEADY_S = 15.0, 120.0
_LOAD_K = 145 / 100
_MOVING_K = 5 / 10
_WAIT_S = 39.5
_MARGIN = 11 / 10
_MOVE_S = 20.0
_ARRIVED_PCT = 3 / 10


class StickyMoves:
    """Commands for a valve with stiction. `supply_c`, `return_c`: means of the readings, °C."""

    def __init__(self) -> None:
        self.supply_c = self.return_c = 0.0
        self._beyond: float | None = None
        self._target = self._since_s = 0.0
        self._rise_k = 0.0
        self._started = self._load_moved = self._is_moving = False

    def reset(self) -> None:
        """The loop does not control: forget the moves."""
        self._beyond, self._started = None, False

    def add(self, supply_c: float, return_c: float, dt: float) -> None:
        """Add the temperatures of a cycle, °C."""
        share = dt / (dt + _MEAN_S)
        if not self._started:
            self._started, share, self._since_s = True, 1.0, 0.0
        self.supply_c += share * (supply_c - self.supply_c)
        self.return_c += share * (return_c - self.return_c)
        self._is_moving = not -_MOVING_K < return_c - self.return_c < _MOVING_K
        rise_k = return_c - supply_c
        share = 1.0 if share >= 1.0 else dt / (dt + _STEADY_S)
        self._rise_k += share * (rise_k - self._rise_k)
        moved_k = rise_k - self._rise_k
        self._load_moved = not -_LOAD_K < moved_k < _LOAD_K
        self._since_s += dt

    def is_due(self, setpoint: float) -> bool:
        """Return True if the plant is steady and the mean error is too large."""
        error_k = self.supply_c - setpoint
        is_large = not -_ERROR_K < error_k < _ERROR_K
        is_steady = self._since_s > _WAIT_S and not self._is_moving
        return self._beyond is None and is_large and is_steady

    def begin(
        self, target: float, position: float, stiction: float, limits: "tuple[float, float]"
    ) -> float:
        """Begin a move to `target`, percent, within the `limits`. Return the first command."""
        self._since_s, self._target = 0.0, target
        reach = _MARGIN * stiction + _ARRIVED_PCT
        up = target > position
        if (target - position if up else position - target) > reach:
            return target
        beyond = target + reach if up else target - reach
        if not limits[0] <= beyond <= limits[1]:
            beyond = position - reach if up else position + reach
        if limits[0] <= beyond <= limits[1]:
            self._beyond = beyond
            return beyond
        return target

    def command(
        self, requested_pct: float, command: float, position: float, stiction: float, dt: float
    ) -> float:
        """Return the command, percent. `requested_pct`: of the law. `command`: the last one."""
        beyond = self._beyond
        if beyond is not None:
            distance = beyond - position
            if self._since_s < _MOVE_S and not -_ARRIVED_PCT < distance < _ARRIVED_PCT:
                return beyond
            self._beyond = None
            return self._target
        change = requested_pct - position
        reach = _MARGIN * stiction
        if -reach < change < reach or not self._load_moved:
            return command
        self._since_s = 0.0
        return requested_pct
