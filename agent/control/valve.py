"""A control valve as an actuator: percent of stroke to register writes.

Not a loop. The profile says which point is the set-point and which the feedback. Requests smaller
than `_DEADBAND` are not sent, except at the ends of the stroke: a valve wears by travel and by
reversals. It is compared in counts, so that floats of 32 and of 64 bits decide alike. A set-point
moves no faster than the profile's ramp.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus.device_session import Station

_DEADBAND = 0.5
"""Percent of stroke: about what an electric actuator resolves (assumed, to be set by profile)."""


class Valve:
    """The valve behind `station`."""

    def __init__(self, station: "Station") -> None:
        self.station = station
        role = station.profile.valve
        self._setpoint = station.device.index(role["setpoint"])
        self._position = station.device.index(role["feedback"])
        self._least = station.device.raw(self._setpoint, _DEADBAND)
        self._asked = 0
        self.asked: float | None = None

    def ask(self, percent: float) -> None:
        """Ask for an opening of 0 to 100 percent. Called once a cycle."""
        percent, raw = self.station.paced(self._setpoint, percent)
        small = self.asked is not None and abs(raw - self._asked) < self._least
        if small and raw != self._asked and 0 < percent < 100:
            return
        self.asked, self._asked = percent, raw
        self.station.want([(self._setpoint, raw)])

    def position(self) -> "float | None":
        """Give the opening the valve reports, percent, or None when it is lost or out of range."""
        good = self.station.device.readings[self._position].quality == "good"
        return self.station.device.value(self._position) if good and not self.station.lost else None
