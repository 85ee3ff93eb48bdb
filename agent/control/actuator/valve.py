# SPDX-License-Identifier: Apache-2.0
"""Control valve: position in percent of stroke to register writes.

Does not control temperature; see `agent.control.loop.supply_loop`. The profile names the points of
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
_LEAST_SHARE = 1 / 10
_NEAR, _FAR = 4 / 10, 16 / 10
_NORMAL, _ROSE = 1 / 2, 3 / 2
_MOVED_PCT, _CHANGED, _CLOSE, _LEAST = 8.0, 13 / 10, 75 / 100, 4 / 100
_STILL_PCT, _REST_S, _CHANGE_CYCLES = 1 / 10, 9.5, 3
_PROVE_S = 3.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds
_TRIAL_S, _OPEN_PCT, _NO_FLOW = 299.5, 50.0, 1 / 10
_STANDS_PCT, _STUCK_S, _AWAY_PCT = 4 / 10, 7.5, 5.0
"""An actuator with a stroke time of 4 minutes moves 3 % in this time."""
_DEADBAND = 0.5
"""Percent of stroke. Typical resolution of an electric actuator; an assumption."""


class ValveActuator:
    """The valve of one device session.

    `is_reversed`: it opens when its actuator closes. `is_limited`: it is blocked, or too little
    water flows through it, so it cannot reject more heat.
    """

    def __init__(self, session: "SessionView") -> None:
        self.session = session
        role = session.profile.valve
        self._setpoint = session.device.point_index(role["setpoint"])
        self._position = session.device.point_index(role["feedback"])
        self._deadband_raw = session.device.to_count(self._setpoint, _DEADBAND)
        self.command_raw = 0
        self.command_pct: float | None = None
        self.is_reversed = self.is_limited = False

    def set_limited(self, is_limited: bool) -> None:
        """Record whether it cannot reject more heat; see `agent.control.actuator.valve_check`."""
        self.is_limited = is_limited

    def reverse(self) -> None:
        """Change the direction: the flow has shown that the other one is right."""
        self.is_reversed = not self.is_reversed
        self.command_pct = None

    def request(self, percent: float) -> None:
        """Request a position of 0 to 100 percent. Called once a cycle."""
        percent, raw = self.session.ramp_limited(self._setpoint, self._turn(percent))
        percent = self._turn(percent)
        within_deadband = (
            self.command_pct is not None and abs(raw - self.command_raw) < self._deadband_raw
        )
        if within_deadband and raw != self.command_raw and 0 < percent < 100:
            return
        self.command_pct, self.command_raw = percent, raw
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


class ValveStill:
    """Does the valve stand, although its command is more than `_AWAY_PCT` or `band` percent away?

    The smaller of both counts. A slow actuator moves; a blocked one, or one that ignores its
    commands, does not. Only a reading shows that it moves again. A valve with stiction is found by
    `agent.control.watch.stiction`: it moves before its command is so far away.
    """

    def __init__(self) -> None:
        self._still_pct: float | None = None
        self._still_s = 0.0

    def step(
        self, position: "float | None", command_pct: "float | None", band: float, dt: float
    ) -> bool:
        """Return whether the valve is blocked; called once a cycle."""
        last, self._still_pct = self._still_pct, position
        if position is None or command_pct is None or last is None:
            if self._still_s < _STUCK_S:
                self._still_s = 0.0
            return self._still_s >= _STUCK_S
        if not -_STANDS_PCT < position - last < _STANDS_PCT:
            self._still_s = 0.0
            return False
        self._still_pct = last
        band = band if band < _AWAY_PCT else _AWAY_PCT
        is_away = not -band < command_pct - position < band
        self._still_s = self._still_s + dt if is_away else 0.0
        return self._still_s >= _STUCK_S


class ValveSign:
    """Is the valve mounted in reverse? The facility flow shows it while it should be nearly shut.

    The position cannot show it, because the feedback belongs to the actuator. Below `_LOW_PCT`, a
    flow that is far above that of the position, and near that of the opposite position, has no
    other cause: a leak through the seat or a low pressure gives less. A valve that should be open
    and has no flow is no proof: the pump of the facility may stand. A flow that has not risen since
    it last belonged to the position is no proof either: the meter may be stuck.

    The movement shows it at any position: the position moves by `_MOVED_PCT`, the flow changes in
    the other direction, by `_CHANGED` of its value before and by `_LEAST` of the full flow, and
    belongs to the opposite position. A facility that stops or starts again does not do this: after
    it, the flow follows the position.

    A turn is on trial for `_TRIAL_S`: an open valve without flow had one before, so the turn was
    wrong. Call `step` once a cycle.
    """

    def __init__(self) -> None:
        self._opposite_s = self._normal_lpm = self._rest_s = self._trial_s = 0.0
        self._start_pct = self._start_lpm = self._last_pct = 0.0
        self._was_closing: bool | None = False
        self._flows: list[float] = []

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
            self._was_closing = None  # the next movement starts with its first reading
            return False
        factor = exchanger.valve_flow_factor
        expected = exchanger.flow_at(position_pct) / factor
        if _NORMAL * fws_lpm < expected < fws_lpm / _NORMAL:
            self._normal_lpm = fws_lpm
        opposite = exchanger.flow_at(100.0 - position_pct) / factor
        is_opposite = self._moves_opposite(position_pct, fws_lpm, exchanger.flows[-1], dt)
        most_lpm = opposite * max(1.0, factor)  # a valve that is larger than configured
        is_between = _CLOSE * opposite < fws_lpm < most_lpm / _CLOSE
        if fws_lpm < _NORMAL * expected:  # a valve of any size gives more at its position
            is_between = _NEAR * opposite < fws_lpm < exchanger.most_size * opposite
        is_opposite = is_opposite and is_between
        if position_pct <= _LOW_PCT:
            least = exchanger.most_size * expected + _LEAST_SHARE * exchanger.flows[-1]
            is_far = fws_lpm > least and _NEAR * opposite < fws_lpm < _FAR * most_lpm
            is_opposite = is_opposite or (is_far and fws_lpm > _ROSE * self._normal_lpm)
        elif self._trial_s > 0.0 and position_pct >= _OPEN_PCT:
            is_opposite = is_opposite or fws_lpm < _NO_FLOW * expected
        self._trial_s -= dt
        self._opposite_s = self._opposite_s + dt if is_opposite else 0.0
        if self._opposite_s < _PROVE_S:
            return False
        self._opposite_s = 0.0
        self._trial_s = 0.0 if self._trial_s > 0.0 else _TRIAL_S
        self._start_pct, self._start_lpm = position_pct, fws_lpm
        return True

    def _moves_opposite(
        self, position_pct: float, fws_lpm: float, full_lpm: float, dt: float
    ) -> bool:
        """Return whether the flow changes against the direction of a movement."""
        move_pct, self._last_pct = position_pct - self._last_pct, position_pct
        is_closing = move_pct < -_STILL_PCT
        is_moving = is_closing or move_pct > _STILL_PCT
        self._rest_s = 0.0 if is_moving else self._rest_s + dt
        if self._rest_s > _REST_S or (is_moving and is_closing != self._was_closing):
            self._start_pct, self._start_lpm = position_pct, fws_lpm
        if is_moving:
            self._was_closing = is_closing
        flows = self._flows
        flows.append(fws_lpm)
        change = fws_lpm - flows[0]
        if len(flows) > _CHANGE_CYCLES:
            flows.pop(0)
        moved_pct, before = position_pct - self._start_pct, self._start_lpm
        least = _LEAST * full_lpm
        if is_closing:
            is_higher = fws_lpm > _CHANGED * before and fws_lpm > before + least
            return change > 0.0 and moved_pct < -_MOVED_PCT and is_higher
        is_lower = _CHANGED * fws_lpm < before and fws_lpm < before - least
        return is_moving and change < 0.0 and moved_pct > _MOVED_PCT and is_lower
