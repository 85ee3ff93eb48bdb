# SPDX-License-Identifier: Apache-2.0
"""Pump on a variable-speed drive: run, stop, speed in percent, trip.

Does not control pressure; see `agent.control.loop.pressure_loop`. The profile names the points of
reference and feedback, the values to run and to stop, and the bit of the trip.

Reference and command are in one request. If the drive has separate registers, the reference is
first in a run request and last in a stop request. So the drive never runs at an old reference, and
a stop is not delayed. The ramp of the profile limits the reference, but not a stop.

A drive starts at the change from stop to run. So the stop command is sent first in two cases:

- the drive shows neither command: it was powered on;
- it has the run command but does not turn: its power has returned, or its start was inhibited.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import SessionView

_DEADBAND = 0.1
_STILL_CYCLES = 5
"""Number of requests, one a cycle, after which a drive with a run command must turn."""


class PumpActuator:
    """The pump of one device session. `stalled`: the protection has found its shaft blocked.
    `is_last`: the protection has replaced it, because no coolant flowed: it is the last to lead.
    `is_first`: the time of a blocked shaft is over: it leads, so that it shows whether it turns.

    `role`: the data of the profile, by default those of the pump. Without a feedback point the
    speed is the one that the drive holds as its reference. Without a trip bit it never trips.
    """

    def __init__(self, session: "SessionView", role: "dict[str, Any] | None" = None) -> None:
        self.session = session
        device = session.device
        if role is None:
            role = session.profile.pump
        self._setpoint = device.point_index(role["setpoint"])
        self._speed = device.point_index(role["feedback"])
        self._run = [(device.point_index(name), raw) for name, raw in role["run"]]
        self._stop = [(device.point_index(name), raw) for name, raw in role["stop"]]
        self._trip_bit = role["trip"]
        self._reset = [(device.point_index(name), raw) for name, raw in role.get("reset", ())]
        self._deadband_raw = device.to_count(self._setpoint, _DEADBAND)
        self.command_raw = 0
        self.running = self.stalled = self.is_last = self.is_first = False
        self.command_pct: float | None = None
        self._still_cycles = 0

    def request(self, percent: float) -> None:
        """Request `percent` of full speed, 0 to 100; 0 stops. Called once a cycle."""
        run = percent > 0
        if run and (self._count_still_cycles() or not self._is_armed()):
            self.command_pct = None
            self.session.request_outputs(self._stop + [(self._setpoint, 0)], stop=True)
            return
        raw = 0
        if run:
            percent, raw = self.session.ramp_limited(self._setpoint, percent)
        # Compared in register counts, so that floats of 32 and of 64 bits give the same result.
        within_deadband = (
            self.command_pct is not None and abs(raw - self.command_raw) < self._deadband_raw
        )
        if within_deadband and run == self.running:
            return
        self.command_pct, self.command_raw, self.running = percent, raw, run
        reference = (self._setpoint, raw)
        pairs = [reference] + self._run if run else self._stop + [reference]
        self.session.request_outputs(pairs, stop=not run)

    def withhold(self) -> None:
        """Send nothing until the next `request`, because the drive is in local mode."""
        self.command_pct, self.running = None, False
        self.session.withhold_outputs()

    def reset(self) -> None:
        """Reset a trip if the profile supports it; the next `request` sends a stop first."""
        if self._reset:
            self.command_pct, self.running = None, False
            self.session.request_outputs(self._reset + [(self._setpoint, 0)], stop=True)

    def _is_armed(self) -> bool:
        readback = self.session.device.readback_matches
        return readback(self._run) is not False or readback(self._stop) is not False

    def _count_still_cycles(self) -> bool:
        """Return True if the drive has not turned for `_STILL_CYCLES` requests; then restart the
        count.
        """
        commanded = self.running and self.command_pct is not None
        self._still_cycles = (
            self._still_cycles + 1 if commanded and self.speed() == 0 and not self.tripped() else 0
        )
        if self._still_cycles < _STILL_CYCLES:
            return False
        self._still_cycles = 0
        return True

    def speed(self) -> "float | None":
        """Return the speed that the drive reports, percent; None if it is lost or out of range."""
        good = self.session.device.readings[self._speed].quality == "good"
        return self.session.device.value(self._speed) if good and not self.session.lost else None

    def tripped(self) -> bool:
        """Return True if the drive reports a trip."""
        return self._trip_bit != "" and self.session.device.is_bit_on(self._trip_bit)

    def set_stalled(self, stalled: bool) -> None:
        """Record whether the pump can give flow; a stalled pump is not available."""
        self.stalled = stalled

    def available(self) -> bool:
        """Return True if the drive answers, has not tripped and can turn."""
        return not self.session.lost and not self.tripped() and not self.stalled
