# SPDX-License-Identifier: Apache-2.0
"""A load with a power limit: demand, limit, and the lag of its power.

Does not model a server's inside; see `hil.plant.power.server`. The power follows the lower of
demand and limit with one lag. It is never below the idle power, even with a lower limit. A limit
takes effect after `effect_us`. A load that is switched off draws no power.
"""

from __future__ import annotations

from bisect import bisect_right
from math import exp

from hil.plant.power.load_schedule import LoadSchedule

_SECOND = 1_000_000
_EQUAL = 1e-6


class CappedLoad:
    """One load of `rated_w` watts; `demand_fraction` is the demanded fraction of the rating.

    Inputs: `start`, `set_limit`, `switch`. `idle_w` is the lowest power while the load is on, W.
    """

    def __init__(
        self,
        name: str,
        rated_w: float,
        idle_w: float,
        lag_s: float = 0.5,
        effect_us: int = 300_000,
        racks: tuple[int, ...] = (),
    ) -> None:
        """`racks`: those that have its servers, in equal parts; (): all of the row."""
        self.name = name
        self.rated_w = rated_w
        self.idle_w = idle_w
        self.lag_s = lag_s
        self.effect_us = effect_us
        self.racks = racks
        self.demand_fraction = 1.0
        self.limit_w = rated_w
        self.is_on = True
        self._pending: list[tuple[int, str, float]] = []
        self._updated_at = 0
        self._watts = rated_w

    def set_limit(self, watts: float, now: int, effect_us: int | None = None) -> None:
        """Set a limit in W; it takes effect after the load's own delay."""
        self._plan(now + (self.effect_us if effect_us is None else effect_us), "limit_w", watts)

    def switch(self, on: bool, now: int) -> None:
        """Switch the load off or on; this takes effect after the load's own delay."""
        self._plan(now + self.effect_us, "on", float(on))

    def _plan(self, at: int, attribute: str, value: float) -> None:
        index = bisect_right([entry[0] for entry in self._pending], at)
        self._pending.insert(index, (at, attribute, value))

    def start(self, demand_fraction: float) -> None:
        """Start in steady state at `demand_fraction`."""
        self.demand_fraction = demand_fraction
        self._watts = self._target()

    def _target(self) -> float:
        if not self.is_on:
            return 0.0
        return max(
            min(self.idle_w, self.demand_fraction * self.rated_w),
            min(self._demand_w(), self.limit_w),
        )

    def _demand_w(self) -> float:
        return self.demand_fraction * self.rated_w

    def watts(self, now: int) -> float:
        """Return the power at `now`, W; call with increasing `now`."""
        while self._pending and self._pending[0][0] <= now:
            at, attribute, value = self._pending.pop(0)
            self._follow(at)
            if attribute == "on":
                self.is_on = value > 0
            else:
                self.limit_w = value
        self._follow(now)
        return self._watts

    def _follow(self, now: int) -> None:
        elapsed = now - self._updated_at
        if elapsed <= 0:
            return
        self._updated_at = now
        target = self._target()
        difference = self._watts - target
        if abs(difference) < 0.5:
            self._watts = target
        else:
            self._watts = target + difference * exp(-elapsed / _SECOND / self.lag_s)


class CappedLoadSchedule(LoadSchedule):
    """The row's power as the sum of loads; each load gets its part of the schedule as demand.

    While all loads draw the same part of their rating, the power is spread as designed.
    """

    __slots__ = ("loads", "racks")

    def __init__(self, start_kw: float, loads: list[CappedLoad], racks: int = 4) -> None:
        super().__init__(start_kw)
        self.loads = loads
        self.racks = racks
        for load in loads:
            load.start(self._demand_fraction())

    def _demand_fraction(self) -> float:
        return 1000.0 * self.demand_kw / sum(load.rated_w for load in self.loads)

    def power_kw(self, now: int) -> float:
        """Return the power of the racks at `now`, kW."""
        super().power_kw(now)
        fraction = self._demand_fraction()
        total = 0.0
        for load in self.loads:
            load.demand_fraction = fraction
            total += load.watts(now)
        if total > 1.0:
            self._spread(now, total)
        return total / 1000.0

    def _spread(self, now: int, total: float) -> None:
        """Give each rack its part of the power `total` in W."""
        usage = [load.watts(now) / load.rated_w for load in self.loads]
        if max(usage) - min(usage) < _EQUAL:
            self.rack_fractions = None
            return
        watts = [0.0] * self.racks
        for load in self.loads:
            places = load.racks or tuple(range(self.racks))
            for rack in places:
                watts[rack] += load.watts(now) / len(places)
        self.rack_fractions = tuple(part / total for part in watts)
