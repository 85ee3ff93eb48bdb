# SPDX-License-Identifier: Apache-2.0
"""State of one pump drive for the protection: does it turn, is it silent, is its shaft blocked?

Reads the drive itself, so a pressure sensor cannot hide a blocked pump. Does not command the
drive. A blocked pump is marked `stalled`: the loops then use the other pump. It is tried again
after `_RETRY_US`: it becomes the first of the order (`PumpActuator.is_first`). A lag pump at rest
would not show whether its shaft turns, and its alarm would stay.

A pump that turns while no coolant flows is replaced too (`mark_failed`). Its coupling can be
broken, or a valve of the row is shut. It becomes the last pump (`PumpActuator.is_last`), so it
never takes the lead by itself. If its replacement turns and gives no flow either, the pump was not
the cause: it is available again (`clear_failed`). Else it is suspect until it has turned alone, and
coolant has flowed.
"""

from agent.safety.raw_point import RawPoint
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.pump import PumpActuator

_STILL_PCT, _TURNS_PCT = 2.0, 10.0
_LEAST_PCT = 4.0
"""A person can command less. Then the speed does not show whether the shaft turns."""
_SILENT_POLLS = 2
_STALL_US = 150 * MILLISECOND
_STARTS_IN_US = 400 * MILLISECOND
_START_US = 8 * SECOND
"""After 5 s `PumpActuator` stops a drive that stands, and starts it again in the next cycle: its
start was inhibited. This second start has 2 s."""
_RETRY_US = 300 * SECOND
_STEADY_US = 10 * SECOND
_GIVES_PCT, _GIVES_US = 40.0, 5 * SECOND
"""A healthy pump gives flow at this speed, after this time of turning: a ramp to full speed."""


class DriveWatch:
    """Watches `pump`. `speed_pct`: None if unknown. `is_dead`: it should turn and gives no flow,
    has tripped or is silent. A pump at rest is not dead. `silent_at`: since when, µs.
    `is_away`: it has tripped or is silent. `is_suspect`: it turned, and no coolant flowed.
    """

    def __init__(self, pump: "PumpActuator") -> None:
        self.pump = pump
        feedback = pump.session.profile.pump["feedback"]
        self._speed = RawPoint(pump.session, feedback, -110.0, 160.0)
        self.speed_pct: float | None = None
        self.is_dead = self.is_silent = self.is_away = False
        self.silent_at = 0
        self.is_tripped = self.is_suspect = self.is_shown_blocked = False
        self._has_turned = self._has_failed = False
        self._still_since: int | None = None
        self._runs_since: int | None = None
        self._turns_since: int | None = None
        self._stalled_at = 0
        self._alone_since: int | None = None

    def update(self, now: int) -> bool:
        """Read the drive. Return True if its shaft is found blocked now."""
        pump = self.pump
        session = pump.session
        is_silent = session.answered_at > 0 and (
            session.lost or max(session.device.failures) >= _SILENT_POLLS
        )
        if is_silent and not self.is_silent:
            self.silent_at = now
        self.is_silent = is_silent
        self.speed_pct = None if self.is_silent else self._speed.value(now)
        if self.speed_pct is None or self.speed_pct <= _TURNS_PCT:
            self._turns_since = None
        elif self._turns_since is None:
            self._turns_since = now
        is_still = self.speed_pct is not None and self.speed_pct < _STILL_PCT
        if not pump.running:
            self._runs_since = None
        elif self._runs_since is None:
            self._runs_since = now
        self.is_tripped = pump.tripped()  # a drive that is silent stays tripped
        tripped = self.is_tripped and not self.is_silent
        since = self._runs_since
        late = since is not None and self._speed.read_at - since > _STARTS_IN_US
        is_stalled = self._check_stall(tripped, now)
        self.is_away = tripped or self.is_silent
        was_blocked = self.is_shown_blocked and self._turns_since is None
        self.is_shown_blocked = self.is_blocked or was_blocked
        self.is_dead = self.is_away or self.is_blocked or (is_still and late)
        return is_stalled

    @property
    def is_blocked(self) -> bool:
        """Whether its shaft was found blocked."""
        return self.pump.stalled and not self._has_failed

    @property
    def is_spare(self) -> bool:
        """Whether it rests and could run."""
        return not self.is_dead and not self.pump.stalled and self._turns_since is None

    def mark_failed(self, now: int) -> None:
        """Use another pump: this one turns, and no coolant flows (a broken coupling)."""
        since = self._turns_since
        if since is not None and now - since > _STEADY_US and not self.pump.stalled:
            self.pump.set_stalled(True)
            self.pump.is_last = self.is_suspect = True
            self._has_failed, self._stalled_at = True, now

    def gives_nothing(self, now: int) -> bool:
        """Return whether it turns so fast and so long that coolant should flow."""
        speed, since = self.speed_pct, self._turns_since
        turns = speed is not None and speed >= _GIVES_PCT and since is not None
        return turns and not self.pump.stalled and now - (since or 0) >= _GIVES_US

    def clear_failed(self) -> None:
        """Make the pump available again: it was not the cause of the loss."""
        self.is_suspect = False
        if self._has_failed:
            self.pump.set_stalled(False)
            self._has_failed = False

    @property
    def is_turning(self) -> bool:
        """Whether its shaft turns."""
        return self._turns_since is not None

    def prove_flow(self, is_alone: bool, now: int) -> None:
        """End the suspicion after `_STEADY_US` of flow from this pump alone."""
        if not is_alone:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= _STEADY_US:
            self.clear_failed()

    def mark_stalled(self, now: int) -> None:
        """Mark the shaft as blocked; it is tried again after `_RETRY_US`."""
        self.pump.set_stalled(True)
        self._stalled_at = now

    def _check_stall(self, tripped: bool, now: int) -> bool:
        pump, speed = self.pump, self.speed_pct
        if pump.stalled:
            self._has_turned, self._still_since = False, None  # it has `_START_US` again
            turns = speed is not None and speed > _TURNS_PCT and not self._has_failed
            is_stalled = not turns and now - self._stalled_at < _RETRY_US
            pump.set_stalled(is_stalled)
            pump.is_first = not (is_stalled or turns or self._has_failed)
            self._has_failed = self._has_failed and is_stalled
            return False
        is_slow = pump.command_pct is not None and pump.command_pct < _LEAST_PCT
        if tripped or speed is None or not pump.running or is_slow:
            self._has_turned, self._still_since = False, None
            return False
        if speed >= _STILL_PCT:
            self._has_turned = self._has_turned or speed > _TURNS_PCT
            self._still_since = None
            return False
        if self._still_since is None:
            self._still_since = self._speed.read_at
        limit = _STALL_US if self._has_turned else _START_US
        if self._speed.read_at - self._still_since < limit:
            return False
        self.mark_stalled(now)
        return True
