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
    from agent.clock.temperature_model import Thermal

_SLEW_CENTI_C_PER_MIN = 20
_RANGE_CENTI_C = 500
_SENSOR_CENTI_C = 10
"""What the oscillator's own temperature may differ from the sensor's change, in a minute or two."""
_SENSOR_FAR_CENTI_C = 50
_FAR = 600 * SECOND
_SENSOR_AGE = 300 * SECOND
_PPB_US_PER_NS = 1_000_000


class Warmth:
    """How warm it was when a rate was learned, the mean of that time, and the heat until then.

    reference   hundredths of a degree Celsius, None without a sensor
    at, heat, breaks   when its last sample was, and `Holdover`'s figures of that moment
    """

    __slots__ = ("at", "breaks", "heat", "reference")

    def __init__(self, at: int, heat: int, reference: "int | None", breaks: int) -> None:
        self.at = at
        self.heat = heat
        self.reference = reference
        self.breaks = breaks


class Holdover:
    """The allowance for an oscillator with `tempco_ppb` parts per billion a degree.

    `drift_ppb`: how far it may be off at all; no allowance asks for more than twice that.
    """

    def __init__(self, drift_ppb: int, tempco_ppb: int) -> None:
        self.drift_ppb = drift_ppb
        self.tempco_ppb = tempco_ppb
        self.thermal: Thermal | None = None
        self._centi_c: int | None = None
        self._sensed = 0
        self._heat = 0
        self.breaks = 0
        """How often the sensor fell silent."""

    def temperature(self, centi_c: int, now: int) -> None:
        """Take the temperature near the oscillator, hundredths of a degree Celsius."""
        if self._centi_c is not None:
            self._heat += self._centi_c * (now - self._sensed)
            if now - self._sensed > _SENSOR_AGE:
                self.breaks += 1
        self._centi_c = centi_c
        self._sensed = now

    def sensed(self, now: int) -> "int | None":
        """The temperature of now, None without a sensor or when it is silent."""
        return self._centi_c if now - self._sensed <= _SENSOR_AGE else None

    def heat(self, now: int) -> int:
        """The temperature summed up over time so far, hundredths of a degree times microseconds."""
        return self._heat + (self._centi_c or 0) * (now - self._sensed)

    def warmth(self, learned: "Warmth", now: int) -> "int | None":
        """Degrees times time since the rate was learned; None when the sensor was ever silent."""
        if learned.reference is None or self.breaks != learned.breaks or self.sensed(now) is None:
            return None
        return self.heat(now) - learned.heat - learned.reference * (now - learned.at)

    def bend_ns(self, learned: "Warmth", now: int) -> int:
        """What temperature has added to the time since the rate was learned, nanoseconds.

        0 without a sensor, or while what a degree does is not known.
        """
        thermal = self.thermal
        warmth = self.warmth(learned, now) if thermal is not None else None
        if thermal is None or thermal.slope is None or warmth is None:
            return 0
        return thermal.slope * warmth // 100_000_000_000

    def drift_ns(self, learned: "Warmth", now: int) -> int:
        """How far temperature may have moved the time since the rate was learned, nanoseconds."""
        elapsed = max(0, now - learned.at)
        warmth = self.warmth(learned, now)
        if warmth is None:
            assumed = elapsed * _SLEW_CENTI_C_PER_MIN // (60 * SECOND) + 1
            warmth = min(assumed, _RANGE_CENTI_C) * elapsed
        else:
            own = _SENSOR_CENTI_C if elapsed < _FAR else _SENSOR_FAR_CENTI_C
            warmth = abs(warmth) + own * elapsed
        most = 2 * self.drift_ppb * elapsed // _PPB_US_PER_NS
        return min(self.tempco_ppb * warmth // (100 * _PPB_US_PER_NS), most)
