"""What the throttle sees: the readings of supply, return and flows, and what follows from them.

Not the decision what the loads may draw (`agent.power.component`). The figures themselves are
`agent.power.headroom`'s and `agent.power.heat_loss_detector`'s; here they get their readings, and a second
look is asked for where one reading alone would take power away from the loads.
"""

from agent.fieldbus.sensor import Sensor, optional, value_of
from agent.power import build
from agent.power.headroom import Headroom
from agent.power.heat_loss_detector import SURE, SUSPICIOUS, Onset
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.power.load import Load

_TWICE = SECOND // 2
_SATURATED_PCT = 1.0
_ABOVE_K = 2.0
_HOTTEST_C = 80


class Sight:
    """The readings that count for `loads`; `settings` is the section `throttle`."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", loads: "list[Load]") -> None:
        config, station = agent.config, agent.fieldbus.station
        cdu, valve = station(config.supply.sensor), station(config.supply.actuators[0])
        stale = config.stale_us

        self.headroom = Headroom(min([load.kind.knee_c() for load in loads]))
        self.facility_flow = optional(valve, "PrimaryFlowLitersPerMinute", stale)
        self._supply = Sensor(cdu, "SupplyTemperatureCelsius", stale)
        self._return = optional(cdu, "ReturnTemperatureCelsius", stale)
        self._flow = optional(cdu, "FlowLitersPerMinute", stale)
        self._inlet = optional(valve, "PrimarySupplyTemperatureCelsius", stale)
        self._meter = build.reading(agent, settings.get("meter"))
        self._agent, self._loads = agent, loads
        self._valve_station, self._cdu = valve, cdu
        self._onset = Onset()
        self._supply_at = self._flow_at = -1
        self._asked = 0

    def fresh(self, now: int) -> bool:
        """Say whether the supply was read anew; have it read soon where nothing else tells."""
        at = self._supply.age(now)
        stamp = -1 if at is None else now - at
        self._look_more_often(stamp, now)
        if stamp == self._supply_at:
            return False
        self._supply_at = stamp
        return True

    def _look_more_often(self, at: int, now: int) -> None:
        """Without a flow reading the supply is read twice a cycle: its rise is seen sooner."""
        if not self._told(now) and now - at >= _TWICE and now - self._asked >= _TWICE:
            self._asked = now
            self._cdu.ask()

    def _told(self, now: int) -> bool:
        return value_of(self.facility_flow, now) is not None

    def stopped(self, now: int) -> bool:
        """Look at the facility's flow: whether it has just been seen to stand still, twice."""
        sensor = self.facility_flow
        age = None if sensor is None else sensor.age(now)
        if sensor is None or age is None or now - age == self._flow_at:
            return False
        self._flow_at = now - age
        before = self.headroom.still
        self.headroom.facility(sensor.value(now), self._agent.supply.valve.position())
        if self.headroom.still == 1 and before == 0:
            self._valve_station.ask()  # once more, now: one reading alone takes nothing away
        return self.headroom.still >= 2 and before < 2

    def measure(self, now: int) -> None:
        """Take the readings of this moment into the figures."""
        loop, supply = self._agent.supply, self._supply.value(now)
        warm = value_of(self._return, now)
        rise = None if warm is None or supply is None else warm - supply
        self.headroom.step(
            None if supply is None else (self._supply_at, supply),
            rise,
            value_of(self._flow, now),
            value_of(self._inlet, now),
            self.saturated() or (supply is not None and supply > loop.setpoint + _ABOVE_K),
            self.load_w(now),
        )
        if self._look_for_onset(now):
            self.headroom.begin("supply rises and nothing else moves")

    def _look_for_onset(self, now: int) -> bool:
        """Without a flow reading: whether the supply tells that the facility water has stopped."""
        if self._told(now):
            return False
        found = self._onset.see(
            self._supply_at,
            self._supply.value(now),
            value_of(self._return, now),
            value_of(self._inlet, now),
            value_of(self._flow, now),
            self._agent.supply.valve.position(),
        )
        if found == SUSPICIOUS:
            self._cdu.ask()  # once more, now: one reading alone takes nothing away
        return found == SURE

    def saturated(self) -> bool:
        """Say whether the valve is as far open as it may be."""
        loop = self._agent.supply
        position = loop.valve.position()
        if position is None:
            return False
        most: float = loop.config.max_pct - _SATURATED_PCT
        return position >= most

    def room(self) -> "int | None":
        """What can be rejected with the valve as it is: the warmer the supply, the more, but the
        less the loads may draw. Where both are the same the loop stands.
        """
        best: int | None = None
        for supply_c in range(int(self.headroom.most_c), _HOTTEST_C):
            heat = self.headroom.limit_at(supply_c)
            if heat is None:
                return None
            drawn = sum(
                [
                    max(load.min_w, load.max_w * load.kind.permille(supply_c) // 1000)
                    for load in self._loads
                    if load.on
                ]
            )
            best = max(best or 0, min(heat, drawn))
            if heat >= drawn:
                break
        return best

    def load_w(self, now: int) -> int:
        """Watts of all loads: the meter's, else the sum of what the services report."""
        if self._meter is not None:
            milli = self._meter.milli(now)
            if milli is not None:
                return milli // 1000
        return sum([load.watts for load in self._loads])
