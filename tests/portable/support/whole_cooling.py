# SPDX-License-Identifier: Apache-2.0
"""All control laws of a unit and its pumps in one step, as the tests of the laws use them.

In a unit the loops and `PumpGroup` step the laws one by one.
"""

from agent.control.law.cooling import CoolingControl
from agent.control.law.pump_speed import DELTA_T, DP, PumpSpeedControl

_SETPOINT_PCT_S = 1 / 5


class WholeCooling(CoolingControl):
    """`CoolingControl` with a pump law; `settings` also has `pumps` {mode, setpoint, min_pct,
    max_pct, rate_pct_per_s}. Output: `pump_pct`.
    """

    def __init__(self, settings):
        CoolingControl.__init__(self, settings)
        pumps = settings["pumps"]
        self.pump_speed = PumpSpeedControl(
            pumps["min_pct"], pumps["max_pct"], pumps["rate_pct_per_s"]
        )
        self.pump_speed.set_mode(pumps["mode"])
        self.pump_setpoint = pumps["setpoint"]
        self.pump_pct = 0.0

    def track(self, valve_pct, pump_pct, fan_pct=0.0):
        """Continue from the present outputs, with bumpless transfer."""
        self.track_valve(valve_pct)
        self.pump_pct = pump_pct
        self.pump_speed.track(pump_pct)
        self.track_fans(fan_pct)

    def step(self, readings, now, dt):
        """Step all laws by `dt` seconds to `now`, monotonic microseconds."""
        self.optimise(readings, now)
        self.ramp_setpoint(now, dt)
        self.step_valve(readings, dt)
        self.step_pumps(readings, dt)
        self.step_fans(readings, dt)

    def step_pumps(self, readings, dt):
        """Step the pump law."""
        controller = self.pump_speed
        target = self.optimal_pump_pct
        if target is not None:
            max_step = _SETPOINT_PCT_S * dt
            difference = target - controller.output
            self.pump_pct = controller.output + max(-max_step, min(difference, max_step))
            controller.track(self.pump_pct)
            return
        measured = readings.dp_kpa if controller.mode == DP else readings.flow_lpm
        if controller.mode == DELTA_T:
            return_c, supply_c = readings.return_c, readings.supply_c
            measured = None if return_c is None or supply_c is None else return_c - supply_c
        if measured is None:
            controller.track(self.pump_pct)
            return
        self.pump_pct = controller.step(self.pump_setpoint, measured, dt)
