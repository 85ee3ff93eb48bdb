# SPDX-License-Identifier: Apache-2.0
"""Stiction of the valve: its estimate from command and position.

Does not write to the valve; see `valve_watch`. `sticky_moves` has the moves that overcome it.

A valve with stiction stands at a distance from its command and moves when the distance is
large enough. `stiction_pct` is the largest distance, up to `_MOST_PCT`, at which the valve stood,
in cases of more than `_STAND_S`. It decreases slowly, so it follows a repaired valve. After
`_STANDS` cases `active` is True, until the estimate is below `_LEAST_PCT`.
"""

_STAND_S = 7.5  # between whole steps of 1 s; a command needs up to 3 s on the bus
_LEAST_PCT, _MOST_PCT = 12 / 10, 10.0
_STILL_PCT = 5 / 100
_STANDS = 3
_DECAY_S = 14_400.0


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
