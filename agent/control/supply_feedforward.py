# SPDX-License-Identifier: Apache-2.0
"""Supply temperature loop with a model of the exchanger: `SupplyLoop` with feedforward control.

Does not contain the control law; see `agent.control.law.feedforward`. Without a supply reading, it
requests the fail-safe position, as `SupplyLoop` does. If another input of the model is missing
(return temperature, facility water temperature, flow), the PI controller continues from the present
position. Each change of the mode is bumpless.

The loop sends a new position after a change of `_RESOLUTION_PCT`, or `_REVERSAL_PCT` if the
direction changes, because travel and reversals cause wear of a valve.
"""

from agent.control.supply_loop import SupplyLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.arbiter import Arbiter
    from agent.control.law.cooling import ControlReadings, CoolingControl
    from agent.control.valve import ValveActuator
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView

_RESOLUTION_PCT = 0.5
_REVERSAL_PCT = 1.0


class SupplyLoopFf(SupplyLoop):
    """`cooling` has the control law. The owner fills `readings`."""

    def __init__(
        self,
        config: "LoopConfig",
        sensor: "SensorView",
        valve: "ValveActuator",
        arbiter: "Arbiter",
        cooling: "CoolingControl",
        readings: "ControlReadings",
    ) -> None:
        super().__init__(config, sensor, valve, arbiter)
        self.cooling = cooling
        self.readings = readings
        self._command_pct: float | None = None
        self._rising = True
        self._pi_active = False

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the set-point and the limits, with bumpless transfer."""
        super().set_tuning(config)
        self.cooling.set_target(config.setpoint)
        self.cooling.feedforward.set_limits(config.min_pct, config.max_pct, config.rate_pct_per_s)

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the valve position."""
        cooling, readings = self.cooling, self.readings
        self.setpoint = cooling.setpoint_c
        inputs_valid = readings.supply_c is not None and readings.return_c is not None
        inputs_valid = (
            inputs_valid and readings.fws_supply_c is not None and readings.flow_lpm is not None
        )
        if self._is_claimed() or readings.supply_c is None or not inputs_valid:
            super().step(now, dt)
            self._pi_active = True
            self._command_pct = None
            return
        if self.at_fail_safe or self._pi_active:
            cooling.track_valve(self._present_output())
            self.at_fail_safe = self._pi_active = False
        cooling.step_valve(readings, dt)
        self._pi.track(cooling.valve_pct, readings.supply_c - self.setpoint)
        self._request_valve(cooling.valve_pct)

    def _request_valve(self, valve_pct: float) -> None:
        command_pct = self._command_pct
        if command_pct is not None and valve_pct not in (self.config.min_pct, self.config.max_pct):
            rising = valve_pct > command_pct
            min_change = _RESOLUTION_PCT if rising == self._rising else _REVERSAL_PCT
            if -min_change < valve_pct - command_pct < min_change:
                valve_pct = command_pct
            else:
                self._rising = rising
        moved = self._move(valve_pct)
        if moved is not None and moved != valve_pct:
            self.cooling.limit_valve(moved)
        self._command_pct = moved
