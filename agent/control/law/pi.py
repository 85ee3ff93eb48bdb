# SPDX-License-Identifier: Apache-2.0
"""A PI controller with anti-windup, a rate limit and bumpless transfer.

Not a loop: it knows no sensor and no actuator. Source of the form: Åström and Hägglund, "Advanced
PID Control" (ISA, 2006), sections 3.4 and 3.5: positional form with conditional integration, which
prevents windup of the integral when a limit or the rate holds the output.

Percent in and out; only + - * / on floats, so that every interpreter gives the same answer.
"""


class PiController:
    """Output = gain * error + integral, within [low, high], moving at most `rate` a second.

    `gain` in percent per unit of error, `integral_s` in seconds, `rate` in percent per second.
    """

    def __init__(
        self, gain: float, integral_s: float, low: float, high: float, rate: float
    ) -> None:
        self.set_tuning(gain, integral_s, low, high, rate)
        self.output = low
        self._integral = low

    def step(self, error: float, dt: float) -> float:
        """Advance by `dt` seconds with `error` (positive asks for more output)."""
        proportional = self.gain * error
        integral = self._integral + proportional * dt / self.integral_s
        demand = proportional + integral
        limited = self._limit(demand, dt)
        # Integrate only when the output follows, or when the error leads back from the limit.
        if limited == demand or (demand > limited) != (error > 0):
            self._integral = max(self.low, min(self.high, integral))
        self.output = limited
        return limited

    def _limit(self, demand: float, dt: float) -> float:
        max_step = self.rate * dt
        demand = max(self.output - max_step, min(self.output + max_step, demand))
        return max(self.low, min(self.high, demand))

    def set_tuning(
        self, gain: float, integral_s: float, low: float, high: float, rate: float
    ) -> None:
        """Take other settings; call `track` next, so that the output does not jump."""
        self.gain = gain
        self.integral_s = integral_s
        self.low = low
        self.high = high
        self.rate = rate

    def track(self, output: float, error: float = 0.0) -> None:
        """Take over from `output` with bumpless transfer: the next step starts from there."""
        self.output = output
        self._integral = max(self.low, min(self.high, output - self.gain * error))
