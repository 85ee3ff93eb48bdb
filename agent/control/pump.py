"""A pump on a variable-speed drive as an actuator: run, stop, percent of speed, trip.

Not a loop. The profile says which point is the reference, which the feedback, what must be written
to run and to stop, and which bit means tripped. Reference and command go out in one request, so
that the drive never runs at a reference it was not given.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.station import Station

_DEADBAND = 0.1


class Pump:
    """The pump behind `station`."""

    def __init__(self, station: "Station") -> None:
        self.station = station
        device, role = station.device, station.profile.pump
        self._setpoint = device.index(role["setpoint"])
        self._speed = device.index(role["feedback"])
        self._run = [(device.index(name), raw) for name, raw in role["run"]]
        self._stop = [(device.index(name), raw) for name, raw in role["stop"]]
        self._trip = role["trip"]
        self.running = False
        self.asked: float | None = None

    def ask(self, percent: float) -> None:
        """Run at `percent` of full speed; 0 stops.

        A drive starts on the change from its stop to its run command; one that shows neither (just
        powered) is given the stop command first.
        """
        run = percent > 0
        if run and not self._armed():
            self.asked = None
            self.station.want(self._stop + [(self._setpoint, 0)], stop=True)
            return
        if self.asked is not None and run == self.running and abs(percent - self.asked) < _DEADBAND:
            return
        self.asked, self.running = percent, run
        raw = self.station.device.raw(self._setpoint, percent)
        command = self._run if run else self._stop
        self.station.want(command + [(self._setpoint, raw)], stop=not run)

    def _armed(self) -> bool:
        readback = self.station.device.readback
        return readback(self._run) is not False or readback(self._stop) is not False

    def speed(self) -> "float | None":
        """Give the speed the drive reports, percent, or None."""
        reading = self.station.device.readings[self._speed]
        return self.station.device.value(self._speed) if reading.quality == "good" else None

    def tripped(self) -> bool:
        """Say whether the drive reports a trip."""
        return self.station.device.bit(self._trip)

    def available(self) -> bool:
        """Say whether the drive answers and has not tripped."""
        return not self.station.lost and not self.tripped()
