# SPDX-License-Identifier: Apache-2.0
"""A reading for the protection, with its own age and plausible range.

Independent of the sensors of the loops (`agent.fieldbus.sensor`, `agent.control.sensors`): no
validation, no offset and no model changes it. A sentinel of the device is no value.
"""

from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView

_STALE_US = 2500 * MILLISECOND
_SENTINELS = (0x7FFF, -0x8000, 0x8000, 0xFFFF)


class RawPoint:
    """A point of a device, plausible from `low` to `high`."""

    def __init__(self, session: "SessionView", point: str, low: float, high: float) -> None:
        index = session.device.point_index(point)
        self._reading = session.device.readings[index]
        self._point = session.profile.points[index]
        self._low, self._high = low, high

    @property
    def read_at(self) -> int:
        """Time of the reading, µs."""
        return self._reading.read_at

    def value(self, now: int, stale_us: int = _STALE_US) -> "float | None":
        """Return the value; None if it is old, a sentinel or not plausible."""
        reading = self._reading
        if reading.quality != "good" or now - reading.read_at > stale_us:
            return None
        if reading.raw in _SENTINELS:
            return None
        value = reading.raw * self._point.numerator / self._point.denominator
        return value if self._low <= value <= self._high else None


def find_point(session: "SessionView", point: str, low: float, high: float) -> "RawPoint | None":
    """Return a point of `session`; None if its profile does not have it."""
    return RawPoint(session, point, low, high) if session.profile.has_point(point) else None


def read(point: "RawPoint | None", now: int) -> "float | None":
    """Return the value of a point that can be absent."""
    return None if point is None else point.value(now)
