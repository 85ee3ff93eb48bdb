# SPDX-License-Identifier: Apache-2.0
"""The law of the pumps: differential pressure, flow or temperature difference, by their speed.

Not a loop. Whatever is held, the error is first turned into percent of speed, by the affinity laws:
with the flow going with n and dP with n^2, an error e of a set-point s is worth n e / s of flow,
n e / 2 s of dP, and (with the heat given) n e / s of temperature difference, the other way round.
So one PI with one pair of settings holds them all at any speed (gain scheduling). The difference of
temperature comes with the coolant's way round, so that it is held with a slower pair.

Bumpless: `track` takes over from a speed; the integral then carries what is left of the error.
"""

from agent.control.law.pi import PiController

DP, FLOW, DELTA_T = "dp", "flow", "delta_t"
_TUNING = {DP: (45 / 100, 4.0), FLOW: (45 / 100, 4.0), DELTA_T: (15 / 100, 20.0)}


class PumpFlowControl:
    """Speed of the pumps, percent. `mode` is what is held: `DP`, `FLOW` or `DELTA_T`."""

    def __init__(self, low: float, high: float, rate: float) -> None:
        self.mode = DP
        gain, integral_s = _TUNING[DP]
        self._pi = PiController(gain, integral_s, low, high, rate)
        self._tracking = True

    @property
    def output(self) -> float:
        """The speed asked for last, percent."""
        return self._pi.output

    def set_mode(self, mode: str) -> None:
        """Hold something else from now on, with bumpless transfer."""
        if mode != self.mode:
            self.mode = mode
            pi = self._pi
            gain, integral_s = _TUNING[mode]
            pi.set_tuning(gain, integral_s, pi.low, pi.high, pi.rate)
            self._tracking = True

    def set_limits(self, low: float, high: float, rate: float) -> None:
        """Take other limits of the speed, with bumpless transfer."""
        pi = self._pi
        pi.set_tuning(pi.gain, pi.integral_s, low, high, rate)
        self._tracking = True

    def track(self, speed: float) -> None:
        """Take over from `speed` with bumpless transfer."""
        self._pi.track(speed)
        self._tracking = True

    def step(self, setpoint: float, measured: float, dt: float) -> float:
        """Advance by `dt` seconds, set-point and reading in the unit of the mode."""
        pi = self._pi
        speed_error = pi.output * (setpoint - measured) / setpoint if setpoint > 0 else 0.0
        if self.mode == DP:
            speed_error = 0.5 * speed_error
        elif self.mode == DELTA_T:
            speed_error = -speed_error
        if self._tracking:
            self._tracking = False
            pi.track(pi.output, speed_error)
        return pi.step(speed_error, dt)
