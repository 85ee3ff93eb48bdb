"""A load whose power can be limited: what it wants, what it may have, how fast it follows.

Not a server's inside: one number of watts that follows the lower of wish and limit with one lag,
and cannot fall below what the machine draws idle, however low the limit. A limit that comes over
the wire takes `effect_us` until the machine acts on it. Switched off, it draws nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from math import exp

from hil.plant.power.load_schedule import LoadSchedule

_SECOND = 1_000_000


class CappedLoad:
    """One load of `rated_w` watts. `wish` is the share of the rating that its work asks for.

    Settable: `wish`; `limit_w` by `limit`, `on` by `switch`; `idle_w` is what it draws at least.
    """

    def __init__(
        self, name: str, rated_w: float, idle_w: float, lag_s: float = 0.5, effect_us: int = 300_000
    ) -> None:
        self.name = name
        self.rated_w = rated_w
        self.idle_w = idle_w
        self.lag_s = lag_s
        self.effect_us = effect_us
        self.wish = 1.0
        self.limit_w = rated_w
        self.on = True
        self._coming: list[tuple[int, str, float]] = []
        self._now = 0
        self._watts = rated_w

    def limit(self, watts: float, now: int, effect_us: int | None = None) -> None:
        """Take a limit now; it acts after the machine's own time."""
        self._plan(now + (self.effect_us if effect_us is None else effect_us), "limit_w", watts)

    def switch(self, on: bool, now: int) -> None:
        """Turn it off or on; it acts after the machine's own time."""
        self._plan(now + self.effect_us, "on", float(on))

    def _plan(self, at: int, what: str, value: float) -> None:
        index = bisect_right([entry[0] for entry in self._coming], at)
        self._coming.insert(index, (at, what, value))

    def start(self, wish: float) -> None:
        """Stand settled at `wish`."""
        self.wish = wish
        self._watts = self._target()

    def _target(self) -> float:
        if not self.on:
            return 0.0
        return max(min(self.idle_w, self.wish * self.rated_w), min(self._wished(), self.limit_w))

    def _wished(self) -> float:
        return self.wish * self.rated_w

    def watts(self, now: int) -> float:
        """What it draws at `now`; times must not go back."""
        while self._coming and self._coming[0][0] <= now:
            at, what, value = self._coming.pop(0)
            self._follow(at)
            if what == "on":
                self.on = value > 0
            else:
                self.limit_w = value
        self._follow(now)
        return self._watts

    def _follow(self, now: int) -> None:
        elapsed = now - self._now
        if elapsed <= 0:
            return
        self._now = now
        target = self._target()
        gap = self._watts - target
        if abs(gap) < 0.5:
            self._watts = target
        else:
            self._watts = target + gap * exp(-elapsed / _SECOND / self.lag_s)


class CappedLoads(LoadSchedule):
    """The row's power as the sum of loads: the schedule's kW are shared out as wishes."""

    __slots__ = ("loads",)

    def __init__(self, start_kw: float, loads: list[CappedLoad]) -> None:
        super().__init__(start_kw)
        self.loads = loads
        for load in loads:
            load.start(self._share())

    def _share(self) -> float:
        return 1000.0 * self.wanted_kw / sum(load.rated_w for load in self.loads)

    def power_kw(self, now: int) -> float:
        """The power that the racks draw at `now`, kW."""
        super().power_kw(now)
        share = self._share()
        total = 0.0
        for load in self.loads:
            load.wish = share
            total += load.watts(now)
        return total / 1000.0
