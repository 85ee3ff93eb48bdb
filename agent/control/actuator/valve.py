# SPDX-License-Identifier: Apache-2.0
"""Control valve: position in percent of stroke to register writes.

Does not control temperature; see `agent.control.supply_loop`. The profile names the points of
set-point and feedback, and its ramp limits the set-point. A change below `_DEADBAND` is not sent,
except at the ends of the stroke, because travel and reversals cause wear. Changes are compared in
register counts, so that floats of 32 and of 64 bits give the same result.

A valve that is mounted in reverse (`ValveSign`) gets the opposite set-point, and
its position is read in the same way. So all users see the true opening.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.core.context import SessionView

_LOW_PCT = 30.0
_FACTOR, _LEAST_SHARE = 3.0, 1 / 10
_NEAR, _FAR = 4 / 10, 16 / 10
_NORMAL, _ROSE = 1 / 2, 3 / 2
_PROVE_S = 3.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds
_DEADBAND = 0.5
"""Percent of stroke. Typical resolution of an electric actuator; an assumption."""


class ValveActuator:
    """The valve of one device session. `is_reversed`: it opens when its actuator closes."""

    def __init__(self, session: "SessionView") -> None:
        self.session = session
        role = session.profile.valve
        self._setpoint = session.device.point_index(role["setpoint"])
        self._position = session.device.point_index(role["feedback"])
        self._deadband_raw = session.device.to_count(self._setpoint, _DEADBAND)
        self._command_raw = 0
        self.command_pct: float | None = None
        self.is_reversed = False

    def reverse(self) -> None:
        """Change the direction: the flow has shown that the other one is right."""
        self.is_reversed = not self.is_reversed
        self.command_pct = None

    def request(self, percent: float) -> None:
        """Request a position of 0 to 100 percent. Called once a cycle."""
        percent, raw = self.session.ramp_limited(self._setpoint, self._turn(percent))
        percent = self._turn(percent)
        within_deadband = (
            self.command_pct is not None and abs(raw - self._command_raw) < self._deadband_raw
        )
        if within_deadband and raw != self._command_raw and 0 < percent < 100:
            return
        self.command_pct, self._command_raw = percent, raw
        self.session.request_outputs([(self._setpoint, raw)])

    def withhold(self) -> None:
        """Send nothing until the next `request`, because of a lock-out."""
        self.command_pct = None
        self.session.withhold_outputs()

    def position(self) -> "float | None":
        """Return the reported position, percent; None if it is lost or out of range."""
        good = self.session.device.readings[self._position].quality == "good"
        if not good or self.session.lost:
            return None
        return self._turn(self.session.device.value(self._position))

    def _turn(self, percent: float) -> float:
        return 100.0 - percent if self.is_reversed else percent


class ValveSign:
    """Is the valve mounted in reverse? The facility flow shows it while it should be nearly shut.

    The position cannot show it, because the feedback belongs to the actuator. Below `_LOW_PCT`, a
    flow that is far above that of the position, and near that of the opposite position, has no
    other cause: a leak through the seat or a low pressure gives less. A valve that should be open
    and has no flow is no proof: the pump of the facility may stand. A flow that has not risen since
    it last belonged to the position is no proof either: the meter may be stuck. Call `step` once a
    cycle.
    """

    def __init__(self) -> None:
        self._opposite_s = self._normal_lpm = 0.0

    def step(
        self,
        position_pct: "float | None",
        fws_lpm: "float | None",
        exchanger: "Exchanger",
        dt: float,
    ) -> bool:
        """Return True once if the flow belongs to the opposite position: the direction is wrong."""
        if position_pct is None or fws_lpm is None:
            self._opposite_s = 0.0
            return False
        factor = exchanger.valve_flow_factor
        expected = exchanger.flow_at(position_pct) / factor
        if _NORMAL * fws_lpm < expected < fws_lpm / _NORMAL:
            self._normal_lpm = fws_lpm
        if position_pct > _LOW_PCT:
            self._opposite_s = 0.0
            return False
        opposite = exchanger.flow_at(100.0 - position_pct) / factor
        least = _FACTOR * expected + _LEAST_SHARE * exchanger.flows[-1]
        is_opposite = fws_lpm > least and _NEAR * opposite < fws_lpm < _FAR * opposite
        is_opposite = is_opposite and fws_lpm > _ROSE * self._normal_lpm
        self._opposite_s = self._opposite_s + dt if is_opposite else 0.0
        if self._opposite_s < _PROVE_S:
            return False
        self._opposite_s = 0.0
        return True
