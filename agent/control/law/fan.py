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

`WetPads` is the adiabatic cooling before the fans. The cooler switches it; the unit only follows.
"""

from agent.control.law.pi import PiController

_GAIN = 8.0
_INTEGRAL_S = 400.0
_START_K, _SHARE = 4.0, 25 / 100
"""Cooling of the air by the pads before it is known; share of an estimate in the next value."""
_MAX_K = 25.0
_HYSTERESIS_K = 1.0
_WET_K = 1.5
"""Cooling of the air by the pads from which they count as wet."""


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

    def track(self, speed: float, error_k: "float | None" = None) -> None:
        """Continue from `speed`, percent, with bumpless transfer. `error_k`: the present error, K.

        The last error can be old: there is none after a start. If the water of the next step is
        colder, that error counts. Warmer water makes the fans faster immediately.
        """
        self._error = self._error if error_k is None else error_k
        self._pi.track(speed, self._error)
        self._has_new_speed = True

    def step(self, error_k: float, dt: float) -> float:
        """Advance by `dt` seconds. `error_k`: facility water temperature minus its target, K."""
        if self._has_new_speed and error_k < self._error:
            self._pi.track(self._pi.output, error_k)
        self._has_new_speed = False
        self._error = error_k
        return self._pi.step(error_k, dt)


class WetPads:
    """Water on the pads of the cooler, or in the tower: `is_wet`, and the cooling of the air.

    `start_above_c`: air temperature at which the cooler wets its pads by its own thermostat; None:
    it has no pads.
    """

    def __init__(self, start_above_c: "float | None") -> None:
        self.is_wet = False
        self._start_above_c = start_above_c
        self._last_k = _START_K

    @property
    def cooling_k(self) -> float:
        """Return the last cooling of the air by the pads, K; 0 while they are dry."""
        return self._last_k if self.is_wet else 0.0

    def follow(self, air_c: "float | None", inlet_c: "float | None") -> bool:
        """Find out if the pads are wet: by their effect if it is measured (`inlet_c`), else by the
        thermostat. Return whether this has changed.
        """
        start_above_c, was_wet = self._start_above_c, self.is_wet
        if start_above_c is None or air_c is None:
            return False
        if inlet_c is not None:
            self.is_wet = air_c - inlet_c > _WET_K
        else:
            self.is_wet = air_c > (start_above_c - _HYSTERESIS_K if was_wet else start_above_c)
        return self.is_wet != was_wet

    def inlet_c(self, air_c: "float | None", inlet_c: "float | None") -> "float | None":
        """Return the inlet air of the cooler, °C; None: unknown.

        Its sensor counts with dry pads, too: exhaust air can come back into the cooler. Without it
        wet pads cool the outdoor air as before, or as much as the heat of the cooler shows
        (`estimate`). The outdoor air itself would make the optimiser expect an inlet that is 10 K
        too warm.
        """
        if inlet_c is not None:
            if air_c is not None and self.is_wet:
                self._last_k = air_c - inlet_c
            return inlet_c
        return None if air_c is None else air_c - self.cooling_k

    def estimate(self, cooling_k: float) -> None:
        """Move the cooling by the pads towards what the heat of the cooler shows, K."""
        cooling_k = 0.0 if cooling_k < 0.0 else min(cooling_k, _MAX_K)
        self._last_k += _SHARE * (cooling_k - self._last_k)
