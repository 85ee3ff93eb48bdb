# SPDX-License-Identifier: Apache-2.0
"""Control law of the fans: they move the valve back to its mid-range position (mid-ranging
control).

Does not write drives; see `agent.control.fan_group`. The valve controls the supply within seconds;
the fans of the dry cooler or tower need minutes. The fans control the facility water to the
temperature at which the valve is at its mid-range position. So they run as slowly as the heat
permits, and the valve has stroke for the next load step. (Allison and Isaksson, Design and
performance of mid-ranging controllers, J. Process Control 8, 1998.)

The valve position itself is not a good controlled variable, because its characteristic is steep
near the end. The exchanger table converts the mid-range position to a temperature. A PI controller
works on this temperature. The estimate of the optimiser is the feedforward: only its changes count.
"""

from agent.control.law.pi import PiController

_GAIN = 8.0
_INTEGRAL_S = 400.0


class FanControl:
    """Fan speed in percent, from `low` to `high`. `rate`: largest change per second."""

    def __init__(self, low: float, high: float, rate: float) -> None:
        self._pi = PiController(_GAIN, _INTEGRAL_S, low, high, rate)
        self._estimate: float | None = None
        self._error = 0.0
        self._has_new_speed = False

    def set_feedforward(self, estimate: float) -> None:
        """Set the fan speed that the optimiser estimates, percent."""
        pi = self._pi
        if self._estimate is not None:
            speed = pi.output + estimate - self._estimate
            pi.track(
                pi.low if speed < pi.low else pi.high if speed > pi.high else speed, self._error
            )
        self._estimate = estimate

    def track(self, speed: float) -> None:
        """Continue from `speed`, percent, with bumpless transfer.

        The last error can be old: there is none after a start. If the water of the next step is
        colder, that error counts. Warmer water makes the fans faster immediately.
        """
        self._pi.track(speed, self._error)
        self._has_new_speed = True

    def step(self, error_k: float, dt: float) -> float:
        """Advance by `dt` seconds. `error_k`: facility water temperature minus its target, K."""
        if self._has_new_speed and error_k < self._error:
            self._pi.track(self._pi.output, error_k)
        self._has_new_speed = False
        self._error = error_k
        return self._pi.step(error_k, dt)
