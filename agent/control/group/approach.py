# SPDX-License-Identifier: Apache-2.0
"""The speed of a unit that starts while others feed the same header.

Does not command anything; see `agent.control.group.component`. Below some speed its pumps push
nothing, because the pressure of the header keeps its valves shut. Above it each percent adds flow.
So it goes to the first part of the speed of the others at once, and through the rest slowly: they
have the time to slow down. With its full rate the pressure rose by 40 %.
"""

_STARTED, _NEAR = 0.5, 0.75
"""Parts of the speed of the others: below the first a unit has just started; the fast part."""
_RATE_PCT_S = 0.5
_JOINED_PCT = 2.0


class HeaderApproach:
    """The approach of one unit; none while `_pct` is None."""

    def __init__(self) -> None:
        self._pct: float | None = None

    def speed(self, target: float, own: float, is_low: bool, dt: float) -> float:
        """Return the speed to take, percent. `target`: of the others; `own`: the present one.

        `is_low`: the header needs more at once. `dt`: time since the last call, s.
        """
        if own < _STARTED * target:
            self._pct = _NEAR * target
        if self._pct is None or is_low or self._pct >= target - _JOINED_PCT:
            self._pct = None
            return target
        if own >= self._pct - _JOINED_PCT:
            self._pct += _RATE_PCT_S * dt
        return self._pct
