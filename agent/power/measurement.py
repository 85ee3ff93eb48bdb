# SPDX-License-Identifier: Apache-2.0
"""Readings for the power limits: supply, return, flows and power of the loads.

Does not decide about limits; see `agent.power.component`. It passes the readings to the modules
`headroom` and `heat_loss_detector` of `agent.power.detector`. If a single reading would reduce the
power of the loads, it is read again first.
"""

from agent.core.actuator import FANS
from agent.fieldbus.sensor import PointSensor, sensor_if_present, value_or_none
from agent.power.detector.headroom import CoolingHeadroom
from agent.power.detector.heat_loss_detector import CONFIRMED, SUSPECTED, HeatLossDetector
from agent.power.detector.inlet_trend import InletTrend
from agent.power.detector.supply_check import SupplyCheck
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import Context
    from agent.power.load import Load

_HALF_CYCLE_US = SECOND // 2
_SATURATED_PCT = 1.0
_ABOVE_SETPOINT_K = 2.0
_HOTTEST_C = 80
_CLOSED_PCT = 5.0
_RESERVE_PCT = 75.0
"""Fans below this speed have a reserve. Those of a cooler that fails are moved above it."""


class PowerMeasurement:
    """The readings for `loads`; `settings` is the section `throttle`."""

    def __init__(self, agent: "Context", settings: "dict[str, Any]", loads: "list[Load]") -> None:
        from agent.power.build import find_sensor  # noqa: PLC0415 - dropped after the start

        config, session = agent.config, agent.fieldbus.session
        cdu, valve = session(config.supply.sensor), session(config.supply.actuators[0])
        stale = config.stale_us

        self.headroom = CoolingHeadroom(min([load.load_class.derating_start_c() for load in loads]))
        self.fws_flow = sensor_if_present(valve, "PrimaryFlowLitersPerMinute", stale)
        self._supply = PointSensor(cdu, "SupplyTemperatureCelsius", stale)
        self._return = sensor_if_present(cdu, "ReturnTemperatureCelsius", stale)
        self._flow = sensor_if_present(cdu, "FlowLitersPerMinute", stale)
        self._fws_supply = sensor_if_present(valve, "PrimarySupplyTemperatureCelsius", stale)
        self._meter = find_sensor(agent, settings.get("meter"))
        self._agent, self._loads = agent, loads
        self._valve_session, self._cdu_session = valve, cdu
        self._loss_detector = HeatLossDetector()
        self.supply_check = SupplyCheck()
        self.inlet_trend = InletTrend()
        self._supply_at = self._flow_at = -1
        self._polled_at = 0
        self._known_pct = self._least_pct = 0.0

    def has_new_reading(self, now: int) -> bool:
        """Return whether there is a new supply reading. Without a flow sensor poll more often."""
        age = self._supply.age(now)
        read_at = -1 if age is None else now - age
        self._poll_more_often(read_at, now)
        if read_at == self._supply_at:
            return False
        self._supply_at = read_at
        return True

    def _poll_more_often(self, read_at: int, now: int) -> None:
        """Read the supply twice a cycle without a flow reading, to detect its rise sooner."""
        if (
            not self._has_flow(now)
            and now - read_at >= _HALF_CYCLE_US
            and now - self._polled_at >= _HALF_CYCLE_US
        ):
            self._polled_at = now
            self._cdu_session.poll_early()

    def _has_flow(self, now: int) -> bool:
        return value_or_none(self.fws_flow, now) is not None

    def flow_stopped(self, now: int) -> bool:
        """Check the facility flow: say whether two readings have just shown no flow."""
        sensor = self.fws_flow
        age = None if sensor is None else sensor.age(now)
        if sensor is None or age is None or now - age == self._flow_at:
            return False
        self._flow_at = now - age
        before = self.headroom.no_flow_count
        self.headroom.add_fws_flow(sensor.value(now), self._open_pct())
        if self.headroom.no_flow_count == 1 and before == 0:
            self._valve_session.poll_early()  # read again: one reading must not reduce the power
        return self.headroom.no_flow_count >= 2 and before < 2

    def _open_pct(self) -> "float | None":
        """Return the opening of the valve: a position above its command can be a false one."""
        valve = self._agent.supply_loop.valve
        position, command_pct = valve.position(), valve.command_pct
        if position is None or command_pct is None:
            return position
        return min(position, command_pct)

    def was_valve_closed(self) -> bool:
        """Return whether the valve has closed since the supply was known; called once a cycle."""
        position = self._agent.supply_loop.valve.position()
        if position is None:
            return False
        if self.headroom.supply_c is not None:
            self._known_pct = self._least_pct = position
        self._least_pct = min(self._least_pct, position)
        return self._least_pct < self._known_pct - _CLOSED_PCT

    def _have_fans_reserve(self) -> bool:
        """Return whether the fans of the own cooler run well below full speed."""
        fans = self._agent.arbiters.get(FANS)
        output_pct = None if fans is None or fans.decision is None else fans.decision.output
        return output_pct is not None and output_pct < _RESERVE_PCT

    def measure(self, now: int) -> None:
        """Pass the present readings on."""
        loop, return_c = self._agent.supply_loop, value_or_none(self._return, now)
        supply_c = self.supply_check.step(
            self._supply.value(now), return_c, value_or_none(self._flow, now), self.load_w(now), now
        )
        inlet_c = None if self.headroom.is_still else value_or_none(self._fws_supply, now)
        self.inlet_trend.add(inlet_c, supply_c, now, self._have_fans_reserve())
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
        """Return whether the supply shows, without a flow reading, that the water has stopped."""
        if self._has_flow(now) and not self.headroom.is_flow_false:
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
            self._cdu_session.poll_early()  # read again: one reading must not reduce the power
        return result == CONFIRMED

    def valve_saturated(self) -> bool:
        """Return whether the valve is open to its limit, or cannot reject more heat."""
        loop = self._agent.supply_loop
        position = loop.valve.position()
        if loop.valve.is_limited and position is not None:
            return True
        if position is None:
            return False
        threshold_pct: float = loop.config.max_pct - _SATURATED_PCT
        return position >= threshold_pct

    def rejectable_w(self) -> "int | None":
        """Return the heat that can be rejected at the present valve position, W.

        With a warmer supply more heat can be rejected, but the loads can use less. The result is
        the point where both are equal.
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
                    if load.is_on
                ]
            )
            best_w = max(best_w or 0, min(heat_w, drawn_w))
            if heat_w >= drawn_w:
                break
        return best_w

    def load_w(self, now: int) -> int:
        """Return the power of all loads in W: measured, otherwise the sum of the reports."""
        if self._meter is not None:
            milli = self._meter.milli(now)
            if milli is not None:
                return milli // 1000
        return sum([load.power_w for load in self._loads])

    def is_load_measured(self, now: int) -> bool:
        """Return whether `load_w` is measured: else it has the limit of a load without a report."""
        if self._meter is not None and self._meter.milli(now) is not None:
            return True
        return all(load.is_measured for load in self._loads if load.is_on)
