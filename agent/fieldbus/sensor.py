"""A reading the loops may use: a value with its quality and its age.

Not the register decoder (that is `drivers.device.device`): here a decoded point gets a verdict. A
reading is `good` only when its device answered lately and the value is plausible; otherwise it is
`bad` (the device says so, or the value is outside the plausible range), `stale` (older than
allowed) or `none` (never read). What is not good has no value: a loop cannot use it by accident.
"""

from protocols.rounding import round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView


class PointSensor:
    """One point of one device. `stale_us` is the age at which it stops being good."""

    def __init__(self, session: "SessionView", point: str, stale_us: int) -> None:
        self.name = point
        self.source = session.name + "." + point
        self._device = session.device
        self._index = session.device.point_index(point)
        self._stale_us = stale_us

    def quality(self, now: int) -> str:
        """Say good, bad, stale or none."""
        reading = self._device.readings[self._index]
        if reading.quality != "good":
            return reading.quality
        return "good" if now - reading.read_at <= self._stale_us else "stale"

    def value(self, now: int) -> "float | None":
        """Give the value in the point's unit, or None when it is not good."""
        return self._device.value(self._index) if self.quality(now) == "good" else None

    def age(self, now: int) -> "int | None":
        """Microseconds since it was last read, or None."""
        reading = self._device.readings[self._index]
        return None if reading.quality == "none" else now - reading.read_at


def sensor_if_present(session: "SessionView", point: str, stale_us: int) -> "PointSensor | None":
    """Give the sensor of a point that the device may not have."""
    return PointSensor(session, point, stale_us) if session.profile.has_point(point) else None


def value_or_none(sensor: "PointSensor | None", now: int) -> "float | None":
    """Give the value of a sensor that may not be there; None then, or when it is not good."""
    return None if sensor is None else sensor.value(now)


def centi_or_none(sensor: "PointSensor | None", now: int) -> "int | None":
    """Give the same in hundredths of the unit, to the nearest."""
    value = value_or_none(sensor, now)
    return None if value is None else round_half_away(value * 100)


class DifferenceSensor:
    """One sensor minus another; as good as the worse of the two."""

    def __init__(self, upper: PointSensor, lower: PointSensor) -> None:
        self.name = upper.name + " - " + lower.name
        self._upper = upper
        self._lower = lower

    def quality(self, now: int) -> str:
        """Say good, bad, stale or none."""
        upper = self._upper.quality(now)
        return self._lower.quality(now) if upper == "good" else upper

    def value(self, now: int) -> "float | None":
        """Give the difference, or None when it is not good."""
        upper, lower = self._upper.value(now), self._lower.value(now)
        return None if upper is None or lower is None else upper - lower


def pressure_sensor(session: "SessionView", stale_us: int) -> "PointSensor | DifferenceSensor":
    """Find the differential pressure: the device's own, or supply minus return."""
    if session.profile.has_point("DeltaPressurekPa"):
        return PointSensor(session, "DeltaPressurekPa", stale_us)
    return DifferenceSensor(
        PointSensor(session, "SupplyPressurekPa", stale_us),
        PointSensor(session, "ReturnPressurekPa", stale_us),
    )
