"""A reading in thousandths of its unit, for decisions in whole numbers."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView


class ScaledSensor:
    """One point of one device as thousandths of its unit, while it is good and fresh."""

    def __init__(self, session: "SessionView", point: str, stale_us: int) -> None:
        index = session.device.point_index(point)
        self._reading = session.device.readings[index]
        self._point = session.profile.points[index]
        self._stale_us = stale_us

    def milli(self, now: int) -> "int | None":
        """Give the value, or None; whole numbers only, the same on every interpreter."""
        reading = self._reading
        if reading.quality != "good" or now - reading.read_at > self._stale_us:
            return None
        return reading.raw * self._point.num * 1000 // self._point.den
