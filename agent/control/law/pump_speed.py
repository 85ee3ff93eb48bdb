# SPDX-License-Identifier: Apache-2.0
"""Control law of the pumps: dP, flow or temperature difference by the pump speed.

Does not write drives; see `agent.control.pump_group`. The affinity laws convert the error to
percent of speed. Flow is proportional to n, dP to n^2. So an error e of a set-point s is n e / s
for flow and n e / 2 s for dP. For a temperature difference at constant heat it is -n e / s. Thus
one PI controller with one tuning is valid at any speed (gain scheduling). The temperature
difference follows only after one circulation of the coolant, so it has a slower tuning.

`track` continues from a speed with bumpless transfer.
"""

from agent.control.law.pi import PiController

DP, FLOW, DELTA_T = "dp", "flow", "delta_t"
_TUNING = {DP: (45 / 100, 4.0), FLOW: (45 / 100, 4.0), DELTA_T: (15 / 100, 20.0)}
"""Mode: its gain, and its integral time in s."""


class PumpSpeedControl:
    """Pump speed in percent. `mode` selects the controlled value: `DP`, `FLOW` or `DELTA_T`."""

    def __init__(self, low: float, high: float, rate: float) -> None:
        self.mode = DP
        gain, integral_s = _TUNING[DP]
        self._pi = PiController(gain, integral_s, low, high, rate)
        self._must_track = True

    @property
    def output(self) -> float:
        """The last requested speed, percent."""
        return self._pi.output

    def set_mode(self, mode: str) -> None:
        """Set the controlled value, with bumpless transfer."""
        if mode != self.mode:
            self.mode = mode
            pi = self._pi
            gain, integral_s = _TUNING[mode]
            pi.set_tuning(gain, integral_s, pi.low, pi.high, pi.rate)
            self._must_track = True

    def set_limits(self, low: float, high: float, rate: float) -> None:
        """Set the limits of the speed, percent and percent per second, with bumpless transfer."""
        pi = self._pi
        pi.set_tuning(pi.gain, pi.integral_s, low, high, rate)
        self._must_track = True

    def track(self, speed: float) -> None:
        """Continue from `speed`, percent, with bumpless transfer."""
        self._pi.track(speed)
        self._must_track = True

    def step(self, setpoint: float, measured: float, dt: float) -> float:
        """Advance by `dt` seconds. Set-point and reading are in the unit of the mode."""
        pi = self._pi
        flow_error = pi.output * (setpoint - measured) / setpoint if setpoint > 0 else 0.0
        if self.mode == DP:
            speed_error = 0.5 * flow_error
        elif self.mode == DELTA_T:
            speed_error = -flow_error
        else:
            speed_error = flow_error
        if self._must_track:
            self._must_track = False
            pi.track(pi.output, speed_error)
        return pi.step(speed_error, dt)
