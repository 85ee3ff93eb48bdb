# SPDX-License-Identifier: Apache-2.0
"""Drift allowance of the oscillator: the part of the error bound that grows in holdover.

Does not correct the time; see `agent.clock.temperature_model`.

The learned frequency has an uncertainty, and the frequency changes with temperature. With a
temperature sensor the change is known to 0.5 K. It is integrated over time, so that warm and cold
hours can cancel, as they do in the oscillator. Without a sensor the temperature is assumed to
change by at most `_SLEW_CENTI_C_PER_MIN` and `_RANGE_CENTI_C`, which fits a closed cabinet in a
cooled hall.

err(t) = skew * t + temperature coefficient * (temperature integral), like the root dispersion of
chrony; t is the time since the last good sample. Frequencies are parts per billion, temperatures
hundredths of a degree Celsius.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.temperature_model import TempcoModel

_SLEW_CENTI_C_PER_MIN = 20
_RANGE_CENTI_C = 500
_SENSOR_CENTI_C = 10
"""Largest difference between the oscillator and the sensor over a minute or two."""
_SENSOR_FAR_CENTI_C = 50
_FAR = 600 * SECOND
_SENSOR_AGE = 300 * SECOND
_PPB_US_PER_NS = 1_000_000


class TemperatureIntegral:
    """Temperature at the time when a rate was learned.

    reference   mean temperature of that time, hundredths of a degree Celsius; None without a sensor
    at   time of the last sample, monotonic µs
    integral, gaps   `Holdover.temperature_integral` and `Holdover.gaps` at that time
    """

    __slots__ = ("at", "gaps", "integral", "reference")

    def __init__(self, at: int, integral: int, reference: "int | None", gaps: int) -> None:
        self.at = at
        self.integral = integral
        self.reference = reference
        self.gaps = gaps


class Holdover:
    """Allowance for an oscillator with a temperature coefficient of `tempco_ppb` (ppb per kelvin).

    `drift_ppb`: largest frequency error. The allowance never exceeds twice that.
    """

    def __init__(self, drift_ppb: int, tempco_ppb: int) -> None:
        self.drift_ppb = drift_ppb
        self.tempco_ppb = tempco_ppb
        self.tempco_model: TempcoModel | None = None
        self._centi_c: int | None = None
        self._sensed_at = 0
        self._integral = 0
        self.gaps = 0
        """Number of interruptions of the sensor."""

    def use_model(self, model: "TempcoModel") -> None:
        """Correct the time with `model` from now on."""
        self.tempco_model = model

    def add_temperature(self, centi_c: int, now: int) -> None:
        """Add the temperature near the oscillator, hundredths of a degree Celsius."""
        if self._centi_c is not None:
            self._integral += self._centi_c * (now - self._sensed_at)
            if now - self._sensed_at > _SENSOR_AGE:
                self.gaps += 1
        self._centi_c = centi_c
        self._sensed_at = now

    def current_temperature(self, now: int) -> "int | None":
        """Return the present temperature, None without a sensor or after an interruption."""
        return self._centi_c if now - self._sensed_at <= _SENSOR_AGE else None

    def temperature_integral(self, now: int) -> int:
        """Return the integral of the temperature, hundredths of a degree Celsius times µs."""
        return self._integral + (self._centi_c or 0) * (now - self._sensed_at)

    def temperature_excess(self, learned: "TemperatureIntegral", now: int) -> "int | None":
        """Return the integrated excess over the reference. None: the sensor had a gap."""
        if (
            learned.reference is None
            or self.gaps != learned.gaps
            or self.current_temperature(now) is None
        ):
            return None
        return (
            self.temperature_integral(now)
            - learned.integral
            - learned.reference * (now - learned.at)
        )

    def temp_drift_ns(self, learned: "TemperatureIntegral", now: int) -> int:
        """Return the time error due to temperature since the rate was learned, ns.

        0 without a sensor, or while the temperature coefficient is unknown.
        """
        model = self.tempco_model
        excess = self.temperature_excess(learned, now) if model is not None else None
        if model is None or model.slope is None or excess is None:
            return 0
        return model.slope * excess // 100_000_000_000

    def temp_allowance_ns(self, learned: "TemperatureIntegral", now: int) -> int:
        """Return the largest time error due to temperature since the rate was learned, ns."""
        elapsed = max(0, now - learned.at)
        excess = self.temperature_excess(learned, now)
        if excess is None:
            assumed = elapsed * _SLEW_CENTI_C_PER_MIN // (60 * SECOND) + 1
            excess = min(assumed, _RANGE_CENTI_C) * elapsed
        else:
            sensor_error = _SENSOR_CENTI_C if elapsed < _FAR else _SENSOR_FAR_CENTI_C
            excess = abs(excess) + sensor_error * elapsed
        limit = 2 * self.drift_ppb * elapsed // _PPB_US_PER_NS
        return min(self.tempco_ppb * excess // (100 * _PPB_US_PER_NS), limit)
