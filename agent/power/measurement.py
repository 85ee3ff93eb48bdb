"""What the throttle sees: the readings of supply, return and flows, and what follows from them.

Not the decision what the loads may draw (`agent.power.component`). The figures themselves are
`agent.power.headroom`'s and `agent.power.heat_loss_detector`'s; here they get their readings, and a
second look is asked for where one reading alone would take power away from the loads.
"""

from agent.fieldbus.sensor import PointSensor, sensor_if_present, value_or_none
from agent.power import build
from agent.power.headroom import CoolingHeadroom
from agent.power.heat_loss_detector import CONFIRMED, SUSPECTED, HeatLossDetector
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import Context
    from agent.power.load import Load

_HALF_CYCLE = SECOND // 2
_SATURATED_PCT = 1.0
_ABOVE_SETPOINT_K = 2.0
_HOTTEST_C = 80


class PowerMeasurement:
    """The readings that count for `loads`; `settings` is the section `throttle`."""

    def __init__(self, agent: "Context", settings: "dict[str, Any]", loads: "list[Load]") -> None:
        config, session = agent.config, agent.fieldbus.session
        cdu, valve = session(config.supply.sensor), session(config.supply.actuators[0])
        stale = config.stale_us

        self.headroom = CoolingHeadroom(min([load.load_class.derating_start_c() for load in loads]))
        self.fws_flow = sensor_if_present(valve, "PrimaryFlowLitersPerMinute", stale)
        self._supply = PointSensor(cdu, "SupplyTemperatureCelsius", stale)
        self._return = sensor_if_present(cdu, "ReturnTemperatureCelsius", stale)
        self._flow = sensor_if_present(cdu, "FlowLitersPerMinute", stale)
        self._fws_supply = sensor_if_present(valve, "PrimarySupplyTemperatureCelsius", stale)
        self._meter = build.find_sensor(agent, settings.get("meter"))
        self._agent, self._loads = agent, loads
        self._valve_session, self._cdu_session = valve, cdu
        self._loss_detector = HeatLossDetector()
        self._supply_at = self._flow_at = -1
        self._polled_at = 0

    def has_new_reading(self, now: int) -> bool:
        """Say whether the supply was read anew; have it read soon where nothing else tells."""
        age = self._supply.age(now)
        read_at = -1 if age is None else now - age
        self._poll_more_often(read_at, now)
        if read_at == self._supply_at:
            return False
        self._supply_at = read_at
        return True

    def _poll_more_often(self, read_at: int, now: int) -> None:
        """Without a flow reading the supply is read twice a cycle: its rise is seen sooner."""
        if (
            not self._has_flow(now)
            and now - read_at >= _HALF_CYCLE
            and now - self._polled_at >= _HALF_CYCLE
        ):
            self._polled_at = now
            self._cdu_session.poll_now()

    def _has_flow(self, now: int) -> bool:
        return value_or_none(self.fws_flow, now) is not None

    def flow_stopped(self, now: int) -> bool:
        """Look at the facility's flow: whether it has just been seen to stand still, twice."""
        sensor = self.fws_flow
        age = None if sensor is None else sensor.age(now)
        if sensor is None or age is None or now - age == self._flow_at:
            return False
        self._flow_at = now - age
        before = self.headroom.no_flow_count
        self.headroom.add_fws_flow(sensor.value(now), self._agent.supply_loop.valve.position())
        if self.headroom.no_flow_count == 1 and before == 0:
            self._valve_session.poll_now()  # once more, now: one reading alone takes nothing away
        return self.headroom.no_flow_count >= 2 and before < 2

    def measure(self, now: int) -> None:
        """Take the readings of this moment into the figures."""
        loop, supply_c = self._agent.supply_loop, self._supply.value(now)
        return_c = value_or_none(self._return, now)
        rise_k = None if return_c is None or supply_c is None else return_c - supply_c
        self.headroom.step(
            None if supply_c is None else (self._supply_at, supply_c),
            rise_k,
            value_or_none(self._flow, now),
            value_or_none(self._fws_supply, now),
            self.valve_saturated()
            or (supply_c is not None and supply_c > loop.setpoint + _ABOVE_SETPOINT_K),
            self.load_w(now),
        )
        if self._detect_heat_loss(now):
            self.headroom.report_loss("supply rises and nothing else moves")

    def _detect_heat_loss(self, now: int) -> bool:
        """Without a flow reading: whether the supply tells that the facility water has stopped."""
        if self._has_flow(now):
            return False
        result = self._loss_detector.add_readings(
            self._supply_at,
            self._supply.value(now),
            value_or_none(self._return, now),
            value_or_none(self._fws_supply, now),
            value_or_none(self._flow, now),
            self._agent.supply_loop.valve.position(),
        )
        if result == SUSPECTED:
            self._cdu_session.poll_now()  # once more, now: one reading alone takes nothing away
        return result == CONFIRMED

    def valve_saturated(self) -> bool:
        """Say whether the valve is as far open as it may be."""
        loop = self._agent.supply_loop
        position = loop.valve.position()
        if position is None:
            return False
        threshold_pct: float = loop.config.max_pct - _SATURATED_PCT
        return position >= threshold_pct

    def rejectable_w(self) -> "int | None":
        """What can be rejected with the valve as it is: the warmer the supply, the more, but the
        less the loads may draw. Where both are the same the loop stands.
        """
        best_w: int | None = None
        for supply_c in range(int(self.headroom.max_supply_c), _HOTTEST_C):
            heat_w = self.headroom.limit_at(supply_c)
            if heat_w is None:
                return None
            drawn_w = sum(
                [
                    max(load.min_w, load.max_w * load.load_class.power_permille(supply_c) // 1000)
                    for load in self._loads
                    if load.on
                ]
            )
            best_w = max(best_w or 0, min(heat_w, drawn_w))
            if heat_w >= drawn_w:
                break
        return best_w

    def load_w(self, now: int) -> int:
        """Watts of all loads: the meter's, else the sum of what the services report."""
        if self._meter is not None:
            milli = self._meter.milli(now)
            if milli is not None:
                return milli // 1000
        return sum([load.power_w for load in self._loads])
