# SPDX-License-Identifier: Apache-2.0
"""The IT load of the row: a schedule of power steps in kW, with times in integer microseconds.

Does not model the lag between a step and the heat; see `hil.plant.plant`. A power limit can cap the
schedule.
"""

from __future__ import annotations

from bisect import insort

_NEVER = 1 << 62


class LoadSchedule:
    """Steps of the row's IT power, kW. `rack_fractions`: the part of each rack, None: by design."""

    __slots__ = ("_next_us", "_steps", "demand_kw", "limit_kw", "rack_fractions")

    def __init__(self, start_kw: float) -> None:
        """Start at `start_kw`, without planned steps or limit."""
        self.demand_kw = start_kw
        self.limit_kw: float | None = None
        self.rack_fractions: tuple[float, ...] | None = None
        self._steps: list[tuple[int, float]] = []
        self._next_us = _NEVER

    def plan_step(self, at_us: int, kw: float) -> None:
        """Plan a step to `kw` at monotonic time `at_us`; raises `ValueError` below 0 kW."""
        if kw < 0.0:
            raise ValueError(f"kw: {kw:g} is below 0")
        insort(self._steps, (at_us, kw))
        self._next_us = self._steps[0][0]

    def set_power(self, kw: float) -> None:
        """Step to `kw` now; planned steps remain. Raises `ValueError` below 0 kW."""
        if kw < 0.0:
            raise ValueError(f"kw: {kw:g} is below 0")
        self.demand_kw = kw

    def set_limit(self, kw: float | None) -> None:
        """Cap the power at `kw`; None removes the cap."""
        self.limit_kw = kw

    def power_kw(self, now: int) -> float:
        """Return the power of the racks at `now`, kW; call with increasing `now`."""
        while self._next_us <= now:
            self.demand_kw = self._steps.pop(0)[1]
            self._next_us = self._steps[0][0] if self._steps else _NEVER
        if self.limit_kw is not None and self.limit_kw < self.demand_kw:
            return self.limit_kw
        return self.demand_kw
