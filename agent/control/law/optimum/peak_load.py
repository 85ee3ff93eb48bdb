# SPDX-License-Identifier: Apache-2.0
"""Load for a run of the optimiser: the highest of the last periods, with a reserve.

Does not search; see `agent.control.law.optimum.optimizer`. The caller adds the measured load, or
the heat of the loop, in each cycle, and asks for the load before a run.
"""

from protocols.time_units import SECOND

_RISE, _RISE_US = 102 / 100, 60 * SECOND
"""Load over that of the last run from which the optimiser runs early; least time between runs."""
_NOISE, _REACH, _RESERVE_SHARE = 5 / 1000, 4 / 100, 97 / 100
"""Excess that the reserve covers, from and to, as parts of the peak; its part that stays each
period.
"""
_HEAT_S, _HEAT_GAP_S = 60.0, 300.0
"""Time constant of the mean heat that stands in for a meter of the load; longest gap in it."""
_HEAT_ALLOWANCE, _RATIO_RATE = 101 / 100, 1 / 1000
"""Load over the mean heat of a unit without a meter, for the errors of the two temperatures and the
flow; step of this ratio to that of a meter in each cycle.
"""
_METER_RATIO = 106 / 100
"""Mean heat over a measured load from which the meter is wrong."""


class PeakLoad:
    """The load for a run of the optimiser: the highest of the last one to two periods, kW.

    A load above it makes the cases too warm. `used_kw` is the load of the last run. Without a meter
    of the load, the heat of the loop stands in for it, as a mean of a minute: after a change of the
    flow, the heat at one time is wrong until the coolant has circulated.

    A load that varies exceeds its last peaks now and then. The largest such excess is the reserve
    above the peak; it fades within hours. A step beyond `_REACH`, such as a new job, does not
    count: no reserve covers it.
    """

    def __init__(self, period_us: int) -> None:
        self.used_kw: float | None = None
        self.mean_heat_kw: float | None = None
        self._period_us = period_us
        self._heat_ratio = _HEAT_ALLOWANCE
        self._peak_kw = self._last_peak_kw = self._base_kw = self._reserve = 0.0
        self._peak_until = self._rise_allowed_from = self._heat_at = self._reserve_from = 0

    def add(self, load_kw: float, now: int) -> bool:
        """Add the measured load. Return whether the optimiser must run early: at most each
        `_RISE_US`.
        """
        if load_kw > self._peak_kw:
            self._peak_kw = load_kw
        excess_kw, base_kw = load_kw - self._base_kw, self._base_kw
        if excess_kw >= _REACH * base_kw:  # then the chips warm up, and leak more
            self._reserve_from = now + 2 * self._period_us
        elif excess_kw > _NOISE * base_kw and now >= self._reserve_from:
            excess = excess_kw / base_kw
            self._reserve = excess if excess > self._reserve else self._reserve
        used_kw = self.used_kw
        return used_kw is not None and load_kw > _RISE * used_kw and now >= self._rise_allowed_from

    def load_kw(self, measured_kw: "float | None") -> "float | None":
        """Return the load to use: the measured one, or that of the heat; None: unknown.

        The coolant cannot carry more heat than the load has. If a meter shows clearly less than the
        heat, it is wrong, and the heat counts.
        """
        mean_kw = self.mean_heat_kw
        if mean_kw is None:
            return measured_kw
        if measured_kw is not None and mean_kw <= _METER_RATIO * measured_kw:
            if measured_kw < _METER_RATIO * mean_kw:  # so a gap of the meter is no step
                self._heat_ratio += _RATIO_RATE * (measured_kw / mean_kw - self._heat_ratio)
            return measured_kw
        return self._heat_ratio * mean_kw

    def add_heat(self, heat_kw: "float | None", now: int) -> None:
        """Add the present heat of the loop; None: unknown."""
        mean_kw = self.mean_heat_kw
        dt = (now - self._heat_at) / SECOND
        if heat_kw is not None:
            self._heat_at = now
            weight = 1.0 if mean_kw is None or dt > _HEAT_GAP_S else dt / (dt + _HEAT_S)
            mean_kw = heat_kw if mean_kw is None else mean_kw
            self.mean_heat_kw = mean_kw + weight * (heat_kw - mean_kw)
        elif dt > _HEAT_GAP_S:
            self.mean_heat_kw = None

    def use(self, load_kw: "float | None", now: int) -> "float | None":
        """Return the load for a run at `now`; None: unknown. `load_kw`: the measured load."""
        self._rise_allowed_from = now + _RISE_US
        self.used_kw = self._find(self.load_kw(load_kw), now)
        return self.used_kw

    def _find(self, load_kw: "float | None", now: int) -> "float | None":
        if load_kw is None:
            self._peak_kw = self._last_peak_kw = self._base_kw = 0.0
            return None
        peak_kw = max(self._peak_kw, self._last_peak_kw)
        if now >= self._peak_until:
            self._last_peak_kw, self._peak_kw = self._peak_kw, load_kw
            self._peak_until = now + self._period_us
            self._reserve *= _RESERVE_SHARE
        self._base_kw = max(peak_kw, load_kw)
        return (1.0 + self._reserve) * self._base_kw
