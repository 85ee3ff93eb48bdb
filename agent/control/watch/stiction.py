# SPDX-License-Identifier: Apache-2.0
"""Stiction of the valve: its estimate from command and position.

Does not write to the valve; see `valve_watch`. `sticky_moves` has the moves that overcome it.

A valve with stiction stops at a distance from its command and moves when the distance is large
enough. A stuck interval is a time of more than `_STUCK_S` without a move. `stiction_pct` is the
largest distance in such an interval, up to `_MAX_STICTION_PCT`. It decreases slowly, so it follows
a repaired valve. After `_STUCK_COUNT` intervals `active` is True, until the estimate is below
`_MIN_STICTION_PCT`.
"""

_STUCK_S = 7.5
"""Between whole steps of 1 s: see docs/project/decisions.md, thresholds. A command needs 3 s."""
_MIN_STICTION_PCT, _MAX_STICTION_PCT = 12 / 10, 10.0
_STILL_PCT = 5 / 100
_STUCK_COUNT = 3
_DECAY_S = 14_400.0


class StictionEstimate:
    """`stiction_pct`: percent of the stroke; 0: none seen."""

    def __init__(self) -> None:
        self.active = False
        self.stiction_pct = 0.0
        self._stuck_count = 0
        self._position = 0.0
        self._stuck_s = self._gap = 0.0

    def step(self, command: "float | None", position: "float | None", dt: float) -> None:
        """Add the command to the valve and its position, percent; None: unknown."""
        if command is None or position is None:
            self._stuck_s = self._gap = 0.0
            return
        self.stiction_pct -= self.stiction_pct * dt / _DECAY_S
        is_still = -_STILL_PCT < position - self._position < _STILL_PCT
        self._position = position
        gap = command - position
        gap = abs(gap)
        if is_still and gap > _MIN_STICTION_PCT:
            self._stuck_s += dt
            self._gap = gap if gap > self._gap else self._gap
        else:
            self._end_interval()
        if self._stuck_count >= _STUCK_COUNT and self.stiction_pct > _MIN_STICTION_PCT:
            self.active = True
        elif self.stiction_pct < _MIN_STICTION_PCT:
            self.active, self._stuck_count = False, 0

    def _end_interval(self) -> None:
        """Count the stuck interval that ends now; a larger distance is the fault `valve_stuck`."""
        if self._stuck_s > _STUCK_S and self._gap < _MAX_STICTION_PCT:
            self._stuck_count += 1
            if self._gap > self.stiction_pct:
                self.stiction_pct = self._gap
        self._stuck_s = self._gap = 0.0
