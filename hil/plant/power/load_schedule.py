"""The IT load of the row: a schedule of steps in kW, over integer microseconds.

A step is a fact of the scenario; the lag between a step and the heat belongs to the plant. A limit
(power capping) can be laid over the schedule.
"""

from __future__ import annotations

from bisect import insort

_NEVER = 1 << 62


class LoadSchedule:
    """Steps of the row's IT power, kW."""

    __slots__ = ("_next_us", "_steps", "demand_kw", "limit_kw")

    def __init__(self, start_kw: float) -> None:
        """Start at `start_kw`, with nothing planned and no limit."""
        self.demand_kw = start_kw
        self.limit_kw: float | None = None
        self._steps: list[tuple[int, float]] = []
        self._next_us = _NEVER

    def plan_step(self, at_us: int, kw: float) -> None:
        """Plan a step to `kw` (0 or more) at monotonic time `at_us`."""
        if kw < 0.0:
            raise ValueError("a load cannot be below 0 kW")
        insort(self._steps, (at_us, kw))
        self._next_us = self._steps[0][0]

    def set_power(self, kw: float) -> None:
        """Step to `kw` now; what was planned stays planned."""
        if kw < 0.0:
            raise ValueError("a load cannot be below 0 kW")
        self.demand_kw = kw

    def power_kw(self, now: int) -> float:
        """The power that the racks draw at `now`, kW."""
        while self._next_us <= now:
            self.demand_kw = self._steps.pop(0)[1]
            self._next_us = self._steps[0][0] if self._steps else _NEVER
        if self.limit_kw is not None and self.limit_kw < self.demand_kw:
            return self.limit_kw
        return self.demand_kw
