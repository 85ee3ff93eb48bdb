"""A pump on a variable-speed drive as an actuator: run, stop, percent of speed, trip.

Not a loop. The profile says which point is the reference, which the feedback, what must be written
to run and to stop, and which bit means tripped. Reference and command go out in one request; where
the drive has them apart, the reference goes first to run and last to stop. So the drive never runs
at a reference it was not given, and a stop waits for nothing. A reference moves no faster than the
profile's ramp; a stop is not slowed.

A drive starts on the change from its stop to its run command. One that shows neither (it was just
powered) is given the stop command first; so is one that was told to run and stands still (the run
command was the first it heard after its power came back, or its start was inhibited).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus.device_session import Station

_DEADBAND = 0.1
_STILL_AFTER = 5
"""Requests, one a cycle, after which a drive that was told to run should turn."""


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
        self._reset = [(device.index(name), raw) for name, raw in role.get("reset", ())]
        self._least = device.raw(self._setpoint, _DEADBAND)
        self._asked = 0
        self.running = False
        self.asked: float | None = None
        self._still = 0

    def ask(self, percent: float) -> None:
        """Run at `percent` of full speed; 0 stops. Called once a cycle."""
        run = percent > 0
        if run and (self._stands_still() or not self._armed()):
            self.asked = None
            self.station.want(self._stop + [(self._setpoint, 0)], stop=True)
            return
        raw = 0
        if run:
            percent, raw = self.station.paced(self._setpoint, percent)
        # Compared in counts, so that floats of 32 and of 64 bits decide alike.
        small = self.asked is not None and abs(raw - self._asked) < self._least
        if small and run == self.running:
            return
        self.asked, self._asked, self.running = percent, raw, run
        reference = (self._setpoint, raw)
        pairs = [reference] + self._run if run else self._stop + [reference]
        self.station.want(pairs, stop=not run)

    def reset(self) -> None:
        """Reset a trip, where the profile says how; the next `ask` gives the stop command first."""
        if self._reset:
            self.asked, self.running = None, False
            self.station.want(self._reset + [(self._setpoint, 0)], stop=True)

    def _armed(self) -> bool:
        readback = self.station.device.readback
        return readback(self._run) is not False or readback(self._stop) is not False

    def _stands_still(self) -> bool:
        """Say whether the drive has not turned for too many requests; then begin to count anew."""
        told = self.running and self.asked is not None
        self._still = self._still + 1 if told and self.speed() == 0 and not self.tripped() else 0
        if self._still < _STILL_AFTER:
            return False
        self._still = 0
        return True

    def speed(self) -> "float | None":
        """Give the speed the drive reports, percent, or None when it is lost or out of range."""
        good = self.station.device.readings[self._speed].quality == "good"
        return self.station.device.value(self._speed) if good and not self.station.lost else None

    def tripped(self) -> bool:
        """Say whether the drive reports a trip."""
        return self.station.device.bit(self._trip)

    def available(self) -> bool:
        """Say whether the drive answers and has not tripped."""
        return not self.station.lost and not self.tripped()
