# SPDX-License-Identifier: Apache-2.0
"""Travel of the valve over weeks: a budget, and moves that save travel once it is used.

Does not move the valve; `agent.control.loop.supply_feedforward` does. A load that changes each
minute, or falls for a minute each half hour, makes the valve travel all day. Its heat is small: the
supply would differ by some tenths of a kelvin. `ValveWatch` reacts to travel that is 14 times
faster, within half an hour.

The budget is `_RATE_PCT_S`, 2,400 % a week. Travel above it is a debt. The first `_FREE_PCT` of
debt change nothing, so single steps and short waves of the load are controlled as before. Then
`share` grows from 0 to 1 at `_MOST_PCT`; the debt does not grow further.

With a share, the valve stays while its effect is within a band around the wanted one, and moves
only to the edge of the band: the least travel that keeps the supply within the band (the play of a
backlash). The band is `OVER_K` on the warm side and `UNDER_K` on the cold side, times the share.
The effect is the temperature difference by which the exchanger cools, K.

A smaller effect waits, too, if the caller permits it: the valve closes only to the largest effect
that was wanted in the last `_WAIT_S` to twice that time. So a pause of the load of a minute moves
nothing. Meanwhile the supply is too cold: the caller must check the dew point. A larger effect
never waits.
"""

_RATE_PCT_S = 1 / 252
_FREE_PCT, _MOST_PCT = 200.0, 400.0
OVER_K, UNDER_K = 3 / 10, 7 / 10
_WAIT_S = 89.5  # between whole steps of 1 s
_SLOW_INTEGRAL = 5 / 100
_NEVER_K = -1e9


class TravelBudget:
    """`share`: 0 with travel left, up to 1. `debt_pct`: travel above the budget, percent."""

    def __init__(self) -> None:
        self.share = 0.0
        self.debt_pct = 0.0
        self._position: float | None = None
        self._peak_k = self._last_peak_k = _NEVER_K
        self._peak_s = 0.0

    @property
    def integral_share(self) -> float:
        """Speed of the integral of the loop: slow with a share, so that it does not push the valve
        out of the band after each change of the load.
        """
        return 1.0 - (1.0 - _SLOW_INTEGRAL) * self.share

    def add(self, position: "float | None", dt: float) -> None:
        """Add the position of the valve, percent (None: unknown), after `dt` seconds."""
        debt_pct, last = self.debt_pct - _RATE_PCT_S * dt, self._position
        if position is not None and last is not None:
            debt_pct += position - last if position > last else last - position
        if position is not None:
            self._position = position
        debt_pct = min(max(debt_pct, 0.0), _MOST_PCT)
        self.debt_pct = debt_pct
        share = (debt_pct - _FREE_PCT) / (_MOST_PCT - _FREE_PCT)
        self.share = share if share > 0.0 else 0.0
        if share <= 0.0:
            self._peak_k = self._last_peak_k = _NEVER_K

    def limit_effect(self, wanted_k: float, present_k: float, may_wait: bool, dt: float) -> float:
        """Return the effect to move to, K: `present_k` if the valve stays.

        Call it in each cycle with a share. `may_wait`: a smaller effect may wait.
        """
        self._peak_s += dt
        if self._peak_s > _WAIT_S:
            self._last_peak_k, self._peak_k, self._peak_s = self._peak_k, wanted_k, 0.0
        if wanted_k > self._peak_k:
            self._peak_k = wanted_k
        low_k = wanted_k - OVER_K * self.share
        high_k = wanted_k
        if may_wait:
            high_k = max(self._peak_k, self._last_peak_k)
        high_k += UNDER_K * self.share
        return low_k if present_k < low_k else high_k if present_k > high_k else present_k
