# SPDX-License-Identifier: Apache-2.0
"""The law of the fans: the slow actuator gives the fast one its middle back (mid-ranging control).

The valve holds the supply within seconds; the fans of the dry cooler or tower take minutes. They
hold the facility water where the valve would rest at its middle: as little fan as the heat allows,
with stroke left for the next step of the load. (Allison and Isaksson, Design and performance of
mid-ranging controllers, J. Process Control 8, 1998.) The valve's own opening would be a poor thing
to hold, since it is steep near its end; so its middle is turned into the temperature that belongs
to it, by the exchanger's table. PI on that temperature; the optimiser's estimate is a feed-forward,
of which changes go through.
"""

from agent.control.law.pi import PiController

_GAIN = 8.0
_INTEGRAL_S = 400.0


class FanControl:
    """Speed of the fans, percent, from `low` to `high`, moving at most `rate` percent a second."""

    def __init__(self, low: float, high: float, rate: float) -> None:
        self._pi = PiController(_GAIN, _INTEGRAL_S, low, high, rate)
        self._estimate: float | None = None
        self._error = 0.0

    def set_feedforward(self, estimate: float) -> None:
        """Take the optimiser's estimate of the speed that is needed, percent."""
        pi = self._pi
        if self._estimate is not None:
            speed = pi.output + estimate - self._estimate
            pi.track(
                pi.low if speed < pi.low else pi.high if speed > pi.high else speed, self._error
            )
        self._estimate = estimate

    def track(self, speed: float) -> None:
        """Take over from `speed`."""
        self._pi.track(speed, self._error)

    def step(self, error_k: float, dt: float) -> float:
        """Advance by `dt` seconds; `error_k` is how much too warm the facility water is."""
        self._error = error_k
        return self._pi.step(error_k, dt)
