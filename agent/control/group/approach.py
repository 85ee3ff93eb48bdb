# SPDX-License-Identifier: Apache-2.0
"""The ceiling of a unit that starts while others feed the same header.

Does not command anything; see `agent.control.group.component`. Below some speed its pumps push
nothing, because the pressure of the header keeps its valves shut. Above it each percent adds flow.
So it goes to the first part of the speed of the others immediately, and through the rest slowly:
they have the time to slow down. A drive that keeps its last command reaches it within seconds, and
the pressure rose by 34 %.
"""

_NEAR = 0.75
"""Part of the speed of the others below which a unit pushes nothing."""
_RATE_PCT_S = 0.5


class HeaderApproach:
    """The approach of one unit after a start: a new object for each."""

    def __init__(self) -> None:
        self._target = self._pct = 0.0
        self._is_over = False

    def ceiling(self, others: float, own: float, is_low: bool, dt: float) -> "float | None":
        """Return the highest speed for now, percent; None: the approach is over.

        `others`: their speed, or the last command of this unit; 0: neither is known yet. `own`:
        its present speed. `is_low`: the header needs flow immediately. `dt`: time since the last
        call, s.
        """
        if not self._target:
            if not others:
                return None
            self._target, self._pct = others, max(own, _NEAR * others)
        self._pct += _RATE_PCT_S * dt
        self._is_over = self._is_over or is_low or self._pct >= self._target
        return None if self._is_over else self._pct
