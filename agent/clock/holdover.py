"""How far the oscillator may have gone by itself: the part of every bound that grows.

Not a measurement: an allowance. The frequency learned is off by its own uncertainty, and the
oscillator's frequency moves with its temperature. With a temperature sensor the change is known to
half a degree, and summed up over time: warm hours and cold ones may cancel out, as they do in the
oscillator. Without a sensor it is assumed to move no faster than `_SLEW` and no farther than
`_RANGE`, which suits a closed cabinet in a cooled hall.

err(t) = skew * t + temperature coefficient * (degrees times time), as chrony's root dispersion; t
since the last good sample. Frequencies are parts per billion, temperatures hundredths of a degree
Celsius.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.temperature_model import TempcoModel

_SLEW_CENTI_C_PER_MIN = 20
_RANGE_CENTI_C = 500
_SENSOR_CENTI_C = 10
"""What the oscillator's own temperature may differ from the sensor's change, in a minute or two."""
_SENSOR_FAR_CENTI_C = 50
_FAR = 600 * SECOND
_SENSOR_AGE = 300 * SECOND
_PPB_US_PER_NS = 1_000_000


class TemperatureIntegral:
    """How warm it was when a rate was learned, the mean of that time, and the heat until then.

    reference   hundredths of a degree Celsius, None without a sensor
    at, heat, breaks   when its last sample was, and `Holdover`'s figures of that moment
    """

    __slots__ = ("at", "gaps", "integral", "reference")

    def __init__(self, at: int, integral: int, reference: "int | None", gaps: int) -> None:
        self.at = at
        self.integral = integral
        self.reference = reference
        self.gaps = gaps


class Holdover:
    """The allowance for an oscillator with `tempco_ppb` parts per billion a degree.

    `drift_ppb`: how far it may be off at all; no allowance asks for more than twice that.
    """

    def __init__(self, drift_ppb: int, tempco_ppb: int) -> None:
        self.drift_ppb = drift_ppb
        self.tempco_ppb = tempco_ppb
        self.tempco_model: TempcoModel | None = None
        self._centi_c: int | None = None
        self._sensed_at = 0
        self._integral = 0
        self.gaps = 0
        """How often the sensor fell silent."""

    def add_temperature(self, centi_c: int, now: int) -> None:
        """Take the temperature near the oscillator, hundredths of a degree Celsius."""
        if self._centi_c is not None:
            self._integral += self._centi_c * (now - self._sensed_at)
            if now - self._sensed_at > _SENSOR_AGE:
                self.gaps += 1
        self._centi_c = centi_c
        self._sensed_at = now

    def current_temperature(self, now: int) -> "int | None":
        """The temperature of now, None without a sensor or when it is silent."""
        return self._centi_c if now - self._sensed_at <= _SENSOR_AGE else None

    def temperature_integral(self, now: int) -> int:
        """The temperature summed up over time so far, hundredths of a degree times microseconds."""
        return self._integral + (self._centi_c or 0) * (now - self._sensed_at)

    def temperature_excess(self, learned: "TemperatureIntegral", now: int) -> "int | None":
        """Degrees times time since the rate was learned; None when the sensor was ever silent."""
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
        """What temperature has added to the time since the rate was learned, nanoseconds.

        0 without a sensor, or while what a degree does is not known.
        """
        model = self.tempco_model
        excess = self.temperature_excess(learned, now) if model is not None else None
        if model is None or model.slope is None or excess is None:
            return 0
        return model.slope * excess // 100_000_000_000

    def temp_allowance_ns(self, learned: "TemperatureIntegral", now: int) -> int:
        """How far temperature may have moved the time since the rate was learned, nanoseconds."""
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
