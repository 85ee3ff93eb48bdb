# SPDX-License-Identifier: Apache-2.0
"""A reading in 1/1000 of its unit, for decisions with integers."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView


class ScaledSensor:
    """A point of a device in 1/1000 of its unit, while its quality is good and it is not stale."""

    def __init__(self, session: "SessionView", point: str, stale_us: int) -> None:
        index = session.device.point_index(point)
        self._reading = session.device.readings[index]
        self._point = session.profile.points[index]
        self._stale_us = stale_us

    def milli(self, now: int) -> "int | None":
        """Return the value as an integer, the same on each interpreter, or None."""
        reading = self._reading
        if reading.quality != "good" or now - reading.read_at > self._stale_us:
            return None
        return reading.raw * self._point.numerator * 1000 // self._point.denominator
