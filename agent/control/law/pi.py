# SPDX-License-Identifier: Apache-2.0
"""PI controller with anti-windup, rate limit and bumpless transfer.

Does not read sensors or write actuators. Input: error in any unit; output: percent. Source: Åström
and Hägglund, "Advanced PID Control" (ISA, 2006), sections 3.4 and 3.5. Positional form with
conditional integration, which prevents windup while a limit or the rate holds the output.

Only + - * / on floats, so that every interpreter has the same result.
"""


class PiController:
    """Output = gain * error + integral, from `low` to `high`; it changes by at most `rate` per
    second.

    `gain` in percent per unit of error, `integral_s` in seconds, `rate` in percent per second.
    """

    def __init__(
        self, gain: float, integral_s: float, low: float, high: float, rate: float
    ) -> None:
        self.set_tuning(gain, integral_s, low, high, rate)
        self.output = low
        self._integral = low

    def step(self, error: float, dt: float) -> float:
        """Advance by `dt` seconds. A positive `error` increases the output."""
        proportional = self.gain * error
        integral = self._integral + proportional * dt / self.integral_s
        demand = proportional + integral
        limited = self._limit(demand, dt)
        # Integrate only if the output follows, or if the error moves it away from the limit.
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
        """Set the tuning. The caller must then call `track`; otherwise the output jumps."""
        self.gain = gain
        self.integral_s = integral_s
        self.low = low
        self.high = high
        self.rate = rate

    def track(self, output: float, error: float = 0.0) -> None:
        """Continue from `output`, percent, with bumpless transfer.

        The integral stays within the limits: if `output - gain x error` is beyond them, the output
        moves towards its demand, at most by `rate`.
        """
        self.output = output
        self._integral = max(self.low, min(self.high, output - self.gain * error))
