# SPDX-License-Identifier: Apache-2.0
"""Checks of the valve and of the facility water behind it: position, flow, temperature.

Does not move the valve and does not control; see `agent.control.component`. Each cycle, `step`
compares:

    finding                                                      alarm
    the valve does not move to its command (`ValveStill`)        valve_feedback
    its position is far from its command for a long time         valve_feedback
    it is mounted in reverse (`ValveSign`,                       valve_feedback
    `ValveHeatSign`): it is turned
    facility flow far below that of the position                 facility_flow
    facility water too warm for the set-point and its target     facility_warm
    facility water has become colder than the dew point          facility_cold

The flow of a position is the learned one (`agent.control.watch.valve_curve`). The curve follows a
lack of water within a minute. So the factors of the time before are kept for the comparison.
While `ValveActuator.is_limited` is set, the power limits of the loads use the heat that can be
rejected (`agent.power.measurement`).
"""

from agent.control.actuator.valve import ValveSign, ValveStill
from agent.control.actuator.valve_heat import ValveHeatSign
from agent.core.alarm_record import DEGRADED, NORMAL, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.actuator.valve import ValveActuator
    from agent.control.law.cooling import ControlReadings, CoolingControl
    from agent.core.alarm_record import Condition

VALVE_FEEDBACK = AlarmRecord(
    "valve_feedback", DEGRADED, "the valve is not where it was told to be", "", True
)
STUCK_TEXT = "the valve stands and does not follow its command"
REVERSED_TEXT = "the valve opens when its actuator closes; it gets the opposite position"
FACILITY_FLOW = AlarmRecord(
    "facility_flow", DEGRADED, "facility flow is far below that of the valve position", "", True
)
FACILITY_WARM = AlarmRecord(
    "facility_warm", DEGRADED, "facility water is too warm for the supply set-point", "", True
)
FACILITY_COLD = AlarmRecord(
    "facility_cold", NORMAL, "facility water has become colder than the dew point", "", True
)

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_LOW, _BACK = 6 / 10, 75 / 100
_MOVED_PCT = 1.0
"""Movement that shows that a feedback is not dead. The noise of a transmitter is less."""
_LOW_S, _LEARNED_S, _SHUT_S = 4.5, 120.0, 119.5
_LEAST_PCT = 15.0
_WARM_S, _WARM_K, _WARM_END_K = 4.5, 1.0, 2.0
_RESERVE_PCT = 90.0
_COLD_K, _COLD_END_K, _FALL_K = 2.0, 1.0, 3.0
_USUAL_S, _UNKNOWN_S = 3600.0, 9.5


class ValveCheck:
    """Checks `valve`; `settings` is the section `cooling`."""

    def __init__(self, valve: "ValveActuator", settings: "dict[str, Any]") -> None:
        self.valve = valve
        self.is_flow_low = self.is_warm = self.is_cold = False
        self._apart_pct: float = settings["valve_apart_pct"]
        self._apart_limit_s: float = settings["valve_apart_s"]
        self._sign, self._still = ValveSign(), ValveStill()
        self._heat_sign = ValveHeatSign()
        self._apart_s = self._low_s = self._warm_s = self._unknown_s = 0.0
        self._shut_s = 0.0
        self._kept_factor: float | None = None
        self._usual_c: float | None = None
        self._dead_pct: float | None = None

    def step(
        self, cooling: "CoolingControl | None", readings: "ControlReadings", dt: float
    ) -> "list[Condition]":
        """Check the readings of a cycle. Return the active conditions."""
        valve = self.valve
        position = valve.position()
        is_stuck = self._still.step(position, valve.command_pct, self._apart_pct, dt)
        if cooling is not None:
            self._check_direction(cooling, readings, position, is_stuck, dt)
            self._check_flow(cooling, position, readings.fws_flow_lpm, dt)
            self._check_temperature(cooling, readings.fws_shown_c, dt)
        valve.set_limited(is_stuck or self.is_flow_low)
        return self._position_conditions(position, is_stuck, dt) + self._facility_conditions()

    def _check_direction(
        self,
        cooling: "CoolingControl",
        readings: "ControlReadings",
        position: "float | None",
        is_stuck: bool,
        dt: float,
    ) -> None:
        """Turn a valve that is mounted in reverse.

        A feedback that stands can be dead: flow and heat then show what the command does, once. The
        valve itself follows later, and would seem to be in reverse again.
        """
        valve, dead_pct = self.valve, self._dead_pct
        moved_pct = 0.0 if position is None or dead_pct is None else position - dead_pct
        if not -_MOVED_PCT < moved_pct < _MOVED_PCT:
            self._dead_pct = None
        shown = valve.command_pct if is_stuck else position
        by_flow = self._sign.step(shown, readings.fws_proof_lpm, cooling.exchanger, dt)
        by_heat = self._heat_sign.step(shown, valve.command_pct, readings, cooling.exchanger, dt)
        if (by_flow or by_heat) and self._dead_pct is None:
            valve.reverse()
            cooling.feedforward.valve_curve.forget_last()
            self._dead_pct = valve.position() if is_stuck else None  # the feedback turns too

    def _position_conditions(
        self, position: "float | None", is_stuck: bool, dt: float
    ) -> "list[Condition]":
        command_pct = self.valve.command_pct
        is_known = position is not None and command_pct is not None
        away_pct = (position or 0.0) - (command_pct or 0.0)
        if is_known and -self._apart_pct < away_pct < self._apart_pct:
            self._apart_s = 0.0
        elif is_known:
            self._apart_s += dt
        elif self._apart_s < self._apart_limit_s:
            self._apart_s = 0.0
        if self.valve.is_reversed:
            return [(VALVE_FEEDBACK, "", REVERSED_TEXT)]
        if is_stuck:
            return [(VALVE_FEEDBACK, "", STUCK_TEXT)]
        if self._apart_s >= self._apart_limit_s:
            return [(VALVE_FEEDBACK, "", VALVE_FEEDBACK.text)]
        return []

    def _facility_conditions(self) -> "list[Condition]":
        found = (
            (self.is_flow_low, FACILITY_FLOW),
            (self.is_warm, FACILITY_WARM),
            (self.is_cold, FACILITY_COLD),
        )
        return [(record, "", record.text) for is_active, record in found if is_active]

    def _check_flow(
        self,
        cooling: "CoolingControl",
        position: "float | None",
        lpm: "float | None",
        dt: float,
    ) -> None:
        """Compare the flow with the learned flow of the position.

        A loop that is content with a nearly shut valve for `_SHUT_S` does not lack water.
        """
        if position is None or lpm is None:
            return
        self._shut_s = self._shut_s + dt if position < _LEAST_PCT else 0.0
        if 0.0 < self._shut_s < _SHUT_S:
            return
        exchanger, curve = cooling.exchanger, cooling.feedforward.valve_curve
        model_lpm = exchanger.flow_at(position)
        factor = exchanger.valve_flow_factor
        if self._kept_factor is not None and factor > 0.0:
            model_lpm = model_lpm * self._kept_factor / factor
        is_low = lpm < (_BACK if self.is_flow_low else _LOW) * model_lpm
        is_low = is_low and (self.is_flow_low or curve.learned_s >= _LEARNED_S)
        is_low = is_low and self._shut_s == 0.0
        if not is_low:
            self.is_flow_low, self._kept_factor, self._low_s = False, None, 0.0
            return
        if self._kept_factor is None:
            self._kept_factor = factor
        self._low_s += dt
        self.is_flow_low = self._low_s >= _LOW_S

    def _check_temperature(
        self, cooling: "CoolingControl", fws_supply_c: "float | None", dt: float
    ) -> None:
        """Compare the facility water with the set-point and with the dew point. Water that is
        unknown for `_UNKNOWN_S` is neither too warm nor too cold: its sensor has an alarm.
        """
        self._unknown_s = self._unknown_s + dt if fws_supply_c is None else 0.0
        if self._unknown_s >= _UNKNOWN_S:
            self.is_warm, self.is_cold, self._warm_s = False, False, 0.0
        if fws_supply_c is None:
            return
        # A dry cooler can keep the water 1 to 2 K below the set-point to save fan power. The valve
        # then has reserve, and nothing is wrong.
        command_pct = self.valve.command_pct
        has_reserve = command_pct is not None and command_pct < _RESERVE_PCT
        margin_k = _WARM_END_K if self.is_warm and not has_reserve else _WARM_K
        # A set-point on its way from the coldest supply, which hot loads need, back to its target
        # asks nothing of the facility: no plan of the site promises water for it.
        warm_c = max(cooling.setpoint_c, cooling.target_c) - margin_k
        self._warm_s = self._warm_s + dt if fws_supply_c > warm_c else 0.0
        self.is_warm = self._warm_s >= _WARM_S
        usual_c = self._usual_c
        if usual_c is None:
            # Water that is too warm at the start is not the usual one.
            usual_c = None if self._warm_s else fws_supply_c
        elif not self.is_cold:
            usual_c += dt / _USUAL_S * (fws_supply_c - usual_c)
        self._usual_c = usual_c
        limit = cooling.dew_limit
        if usual_c is None or limit is None or limit.guard_c is None:
            self.is_cold = False
            return
        below_c = limit.guard_c - (_COLD_END_K if self.is_cold else _COLD_K)
        self.is_cold = fws_supply_c < below_c and fws_supply_c < usual_c - _FALL_K
