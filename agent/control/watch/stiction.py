# SPDX-License-Identifier: Apache-2.0
"""Stiction of the valve: its estimate from command and position, and moves that overcome it.

Does not write to the valve; see `valve_watch` and `agent.control.supply_feedforward`.

Estimate. A valve with stiction stands at a distance from its command and moves when the distance is
large enough. `stiction_pct` is the largest distance, up to `_MOST_PCT`, at which the valve stood,
in cases of more than `_STAND_S`. It decreases slowly, so it follows a repaired valve. After
`_STANDS` cases `active` is True, until the estimate is below `_LEAST_PCT`.

Moves. A valve with a stiction s cannot do a step below s, and the integral of a loop then makes a
limit cycle. Two larger moves can: beyond the wanted position and back (two-move compensation:
Farenzena and Trierweiler, ADCHEM 2010). So with stiction the loop does not integrate. It waits
until the plant is steady (`_WAIT_S` after a move). If the mean error is above `_ERROR_K`, it moves
once to the position that the heat balance gives. A load step (the rise of the row moves by
`_LOAD_K`) is followed immediately.
"""

_STAND_S = 7.5  # between whole steps of 1 s; a command needs up to 3 s on the bus
_LEAST_PCT, _MOST_PCT = 12 / 10, 10.0
_STILL_PCT = 5 / 100
_STANDS = 3
_DECAY_S = 14_400.0
_ERROR_K = 3 / 10
_MEAN_S, _STEADY_S = 15.0, 120.0
_LOAD_K = 15 / 10
_WAIT_S = 39.5
_MARGIN = 11 / 10
_MOVE_S = 20.0
_ARRIVED_PCT = 3 / 10


class StictionEstimate:
    """`stiction_pct`: percent of the stroke; 0: none seen."""

    def __init__(self) -> None:
        self.active = False
        self.stiction_pct = 0.0
        self._stands = 0
        self._position = 0.0
        self._stand_s = self._gap = 0.0

    def step(self, command: "float | None", position: "float | None", dt: float) -> None:
        """Add the command to the valve and its position, percent; None: unknown."""
        if command is None or position is None:
            self._stand_s = self._gap = 0.0
            return
        self.stiction_pct -= self.stiction_pct * dt / _DECAY_S
        is_still = -_STILL_PCT < position - self._position < _STILL_PCT
        self._position = position
        gap = command - position
        gap = gap if gap > 0.0 else -gap
        if is_still and gap > _LEAST_PCT:
            self._stand_s += dt
            self._gap = gap if gap > self._gap else self._gap
        else:
            self._end_stand()
        if self._stands >= _STANDS and self.stiction_pct > _LEAST_PCT:
            self.active = True
        elif self.stiction_pct < _LEAST_PCT:
            self.active, self._stands = False, 0

    def _end_stand(self) -> None:
        """The valve moves, or its command came back. A larger distance is another fault."""
        if self._stand_s > _STAND_S and self._gap < _MOST_PCT:
            self._stands += 1
            if self._gap > self.stiction_pct:
                self.stiction_pct = self._gap
        self._stand_s = self._gap = 0.0


class StickyMoves:
    """Commands for a valve with stiction. `supply_c`, `return_c`: means of the readings, °C."""

    def __init__(self) -> None:
        self.supply_c = self.return_c = 0.0
        self._beyond: float | None = None
        self._target = self._since_s = 0.0
        self._rise_k = 0.0
        self._started = self._load_moved = False

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
        return self._beyond is None and is_large and self._since_s > _WAIT_S

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
        self, wanted: float, command: float, position: float, stiction: float, dt: float
    ) -> float:
        """Return the command, percent. `wanted`: of the law. `command`: the last one."""
        beyond = self._beyond
        if beyond is not None:
            distance = beyond - position
            if self._since_s < _MOVE_S and not -_ARRIVED_PCT < distance < _ARRIVED_PCT:
                return beyond
            self._beyond = None
            return self._target
        change = wanted - position
        reach = _MARGIN * stiction
        if -reach < change < reach or not self._load_moved:
            return command
        self._since_s = 0.0
        return wanted
