# SPDX-License-Identifier: Apache-2.0
"""Sensors of the loops: the value of a point with its quality and its age.

Does not decode registers; see `drivers.device.device`. A reading is "good" only if it is plausible
and recent. Otherwise it is "bad" (the device has no value, or the value is outside the plausible
range), "stale" (older than permitted) or "none" (never read). A reading that is not good has no
value. Thus a loop cannot use it by mistake.
"""

from protocols.rounding import round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView


class PointSensor:
    """One point of one device; a reading older than `stale_us` is stale."""

    def __init__(self, session: "SessionView", point: str, stale_us: int) -> None:
        self.name = point
        self.source = session.name + "." + point
        self._device = session.device
        self._index = session.device.point_index(point)
        self._stale_us = stale_us

    def quality(self, now: int) -> str:
        """Return "good", "bad", "stale" or "none"."""
        reading = self._device.readings[self._index]
        if reading.quality != "good":
            return reading.quality
        return "good" if now - reading.read_at <= self._stale_us else "stale"

    def value(self, now: int) -> "float | None":
        """Return the value in the unit of the point; None if it is not good."""
        return self._device.value(self._index) if self.quality(now) == "good" else None

    def age(self, now: int) -> "int | None":
        """Return the microseconds since the last reading; None before the first."""
        reading = self._device.readings[self._index]
        return None if reading.quality == "none" else now - reading.read_at


def sensor_if_present(session: "SessionView", point: str, stale_us: int) -> "PointSensor | None":
    """Return the sensor of a point; None if the device does not have the point."""
    return PointSensor(session, point, stale_us) if session.profile.has_point(point) else None


def value_or_none(sensor: "PointSensor | None", now: int) -> "float | None":
    """Return the value of a sensor; None without a sensor or a good value."""
    return None if sensor is None else sensor.value(now)


def centi_or_none(sensor: "PointSensor | None", now: int) -> "int | None":
    """Return the value of a sensor in 1/100 of its unit, rounded; None as `value_or_none`."""
    value = value_or_none(sensor, now)
    return None if value is None else round_half_away(value * 100)


class DifferenceSensor:
    """The difference of two sensors, with the worse of their two qualities."""

    def __init__(self, upper: PointSensor, lower: PointSensor) -> None:
        self.name = upper.name + " - " + lower.name
        self._upper = upper
        self._lower = lower

    def quality(self, now: int) -> str:
        """Return "good", "bad", "stale" or "none"."""
        upper = self._upper.quality(now)
        return self._lower.quality(now) if upper == "good" else upper

    def value(self, now: int) -> "float | None":
        """Return the difference; None if it is not good."""
        upper, lower = self._upper.value(now), self._lower.value(now)
        return None if upper is None or lower is None else upper - lower

    def age(self, now: int) -> "int | None":
        """Return the age of the older reading; None before the first of both."""
        upper, lower = self._upper.age(now), self._lower.age(now)
        return None if upper is None or lower is None else max(upper, lower)


def pressure_sensor(session: "SessionView", stale_us: int) -> "PointSensor | DifferenceSensor":
    """Return the sensor of the differential pressure: its own point, or supply minus return."""
    if session.profile.has_point("DeltaPressurekPa"):
        return PointSensor(session, "DeltaPressurekPa", stale_us)
    return DifferenceSensor(
        PointSensor(session, "SupplyPressurekPa", stale_us),
        PointSensor(session, "ReturnPressurekPa", stale_us),
    )
