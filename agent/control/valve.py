# SPDX-License-Identifier: Apache-2.0
"""A control valve as an actuator: percent of stroke to register writes.

Not a loop. The profile says which point is the set-point and which the feedback. Requests smaller
than `_DEADBAND` are not sent, except at the ends of the stroke: a valve wears by travel and by
reversals. It is compared in counts, so that floats of 32 and of 64 bits decide alike. A set-point
moves no faster than the profile's ramp.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import SessionView

_DEADBAND = 0.5
"""Percent of stroke: about what an electric actuator resolves (assumed, to be set by profile)."""


class ValveActuator:
    """The valve behind `session`."""

    def __init__(self, session: "SessionView") -> None:
        self.session = session
        role = session.profile.valve
        self._setpoint = session.device.point_index(role["setpoint"])
        self._position = session.device.point_index(role["feedback"])
        self._deadband_raw = session.device.to_count(self._setpoint, _DEADBAND)
        self._command_raw = 0
        self.command_pct: float | None = None

    def request(self, percent: float) -> None:
        """Ask for an opening of 0 to 100 percent. Called once a cycle."""
        percent, raw = self.session.ramp_limited(self._setpoint, percent)
        within_deadband = (
            self.command_pct is not None and abs(raw - self._command_raw) < self._deadband_raw
        )
        if within_deadband and raw != self._command_raw and 0 < percent < 100:
            return
        self.command_pct, self._command_raw = percent, raw
        self.session.request_outputs([(self._setpoint, raw)])

    def position(self) -> "float | None":
        """Give the opening the valve reports, percent, or None when it is lost or out of range."""
        good = self.session.device.readings[self._position].quality == "good"
        return self.session.device.value(self._position) if good and not self.session.lost else None
