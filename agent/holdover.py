"""How far the oscillator may have gone by itself: the part of every bound that grows.

Not a measurement: an allowance. The frequency learned is off by its own uncertainty, and the
oscillator's frequency moves with its temperature. With a temperature sensor the change is known to
half a degree; without one it is assumed to move no faster than `_SLEW` and no farther than
`_RANGE`, which suits a closed cabinet in a cooled hall.

err(t) = (skew + temperature allowance) * t, as chrony's root dispersion; t since the last good
sample. Frequencies are parts per billion, temperatures hundredths of a degree Celsius.
"""

from protocols.timing import SECOND

_SLEW_CENTI_C_PER_MIN = 20
_RANGE_CENTI_C = 500
_SENSOR_CENTI_C = 10
"""What the oscillator's own temperature may differ from the sensor's change, in a minute or two."""
_SENSOR_FAR_CENTI_C = 50
_FAR = 600 * SECOND
_SENSOR_AGE = 300 * SECOND
_PPB = 1_000_000_000


class Holdover:
    """The allowance for an oscillator with `tempco_ppb` parts per billion a degree.

    `drift_ppb`: how far it may be off at all; no allowance asks for more than twice that.
    """

    def __init__(self, drift_ppb: int, tempco_ppb: int) -> None:
        self.drift_ppb = drift_ppb
        self.tempco_ppb = tempco_ppb
        self._centi_c: int | None = None
        self._sensed = 0

    def temperature(self, centi_c: int, now: int) -> None:
        """Take the temperature near the oscillator, hundredths of a degree Celsius."""
        self._centi_c = centi_c
        self._sensed = now

    def sensed(self, now: int) -> "int | None":
        """The temperature of now, None without a sensor or when it is silent."""
        return self._centi_c if now - self._sensed <= _SENSOR_AGE else None

    def wander_ppb(self, reference: "int | None", elapsed: int, now: int) -> int:
        """How far temperature may have moved the frequency in `elapsed` microseconds, ppb.

        `reference`: what was sensed when the frequency was learned.
        """
        sensed = self.sensed(now)
        if sensed is None or reference is None:
            assumed = elapsed * _SLEW_CENTI_C_PER_MIN // (60 * SECOND) + 1
            change = min(assumed, _RANGE_CENTI_C)
        else:
            own = _SENSOR_CENTI_C if elapsed < _FAR else _SENSOR_FAR_CENTI_C
            change = abs(sensed - reference) + own
        return min(self.tempco_ppb * change // 100, 2 * self.drift_ppb)

    def drift_ns(self, reference: "int | None", elapsed: int, now: int) -> int:
        """How far temperature may have moved the time in `elapsed` microseconds, nanoseconds."""
        return self.wander_ppb(reference, elapsed, now) * elapsed // (_PPB // 1000)
