"""Loads switched off when even their least power is too much, and on again when it is cold.

The lowest priority goes first, all of it at once; they come back one by one, the highest first.
Not limits: those are told before, and shedding waits until they had time to act.
"""

from agent.power import build
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.power.headroom import Headroom
    from agent.power.load import Load
    from agent.power.optics_monitor import Optics

_SHED_EVERY = 5 * SECOND
_SURE = 8 * SECOND
"""How long it must look as if a case becomes too hot: limits that were just told act by then."""
_BACK_BELOW_K = 2


class Switching:
    """Who of `loads` is on; `optics` may have their own load switched off."""

    def __init__(
        self,
        agent: "Agent",
        settings: "dict[str, Any]",
        loads: "list[Load]",
        optics: "list[Optics]",
        head: "Headroom",
    ) -> None:
        self._agent = agent
        self._lead_s: int = settings["shed_lead_s"]
        self._hold_us: int = settings["hold_s"] * SECOND
        self._loads, self._optics, self._head = loads, optics, head
        self._shed_next = self._over_since = 0

    def step(self, missing: int, rise: bool, now: int) -> None:
        """Turn off what would become too hot; turn on again, one by one.

        `missing`: watts that the least powers are above the budget; `rise`: whether this row may
        take more now.
        """
        head = self._head
        hot = [lot for lot in self._optics if lot.judge(self._agent.alarms, now)]
        for lot in hot:
            if lot.load is not None and lot.load.on and lot.load.can_switch:
                self._turn(lot.load, False, now)
        if head.supply_c is None:
            return
        ahead = head.supply_c + max(0.0, head.rate) * self._lead_s
        over = [
            load
            for load in self._loads
            if load.on and load.kind.case_c(ahead, load.least_permille()) >= load.kind.limit_c
        ]
        if not over:
            self._over_since = now
        if over and now >= self._shed_next and now - self._over_since >= _SURE:
            self._shed(now)
        elif not over and not hot and not missing and rise and not head.lost:
            self._bring_back(head.supply_c, now)

    def _shed(self, now: int) -> None:
        """Turn off the lowest priority that can be turned off."""
        able = [load for load in self._loads if load.on and load.can_switch]
        if not able:
            return
        lowest = min([load.priority for load in able])
        for load in able:
            if load.priority == lowest:
                self._turn(load, False, now)
        self._shed_next = now + _SHED_EVERY

    def _bring_back(self, supply_c: float, now: int) -> None:
        off = [load for load in self._loads if not load.on]
        off.sort(key=lambda load: -load.priority)
        for load in off:
            cold = supply_c <= load.kind.knee_c() - _BACK_BELOW_K
            if cold and now - load.shed_at >= self._hold_us:
                self._turn(load, True, now)
                return

    def _turn(self, load: "Load", on: bool, now: int) -> None:
        load.switch(on, now)
        for station in build.stations(load):
            pairs = [
                (index, int(other.on))
                for other in self._loads
                for where, index in other.outlets
                if where is station and other.shed_at
            ]
            station.want(pairs, stop=not on)
        self._agent.alarms.set("load_shed:" + load.name, not on, "is switched off", now)
