# SPDX-License-Identifier: Apache-2.0
"""State of one pump drive for the protection: does it turn, is it silent, is its shaft blocked?

Reads the drive itself, so a pressure gauge cannot hide a pump that stands. Does not command the
drive. A blocked pump is marked `stalled`: the loops then use the other pump.
"""

from agent.safety.raw_point import RawPoint
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.pump import PumpActuator

_STILL_PCT, _TURNS_PCT = 2.0, 10.0
_SILENT_POLLS = 2
_STALL_TIME = 150 * MILLISECOND
_START_TIME = 6 * SECOND
_RETRY_TIME = 300 * SECOND


class DriveWatch:
    """Watches `pump`. `speed_pct`: None if unknown. `is_still`, `is_silent`: it gives no flow."""

    def __init__(self, pump: "PumpActuator") -> None:
        self.pump = pump
        feedback = pump.session.profile.pump["feedback"]
        self._speed = RawPoint(pump.session, feedback, -110.0, 160.0)
        self.speed_pct: float | None = None
        self.is_still = self.is_silent = False
        self._has_turned = False
        self._still_since: int | None = None
        self._stalled_at = 0

    def update(self, now: int) -> bool:
        """Read the drive. Return True if its shaft is found blocked now."""
        pump = self.pump
        session = pump.session
        self.is_silent = session.lost or max(session.device.failures) >= _SILENT_POLLS
        self.speed_pct = None if self.is_silent else self._speed.value(now)
        tripped = not self.is_silent and pump.tripped()
        self.is_still = tripped or (self.speed_pct is not None and self.speed_pct < _STILL_PCT)
        return self._check_stall(tripped, now)

    def _check_stall(self, tripped: bool, now: int) -> bool:
        pump, speed = self.pump, self.speed_pct
        if pump.stalled:
            turns = speed is not None and speed > _TURNS_PCT
            pump.stalled = not turns and now - self._stalled_at < _RETRY_TIME
            return False
        if tripped or speed is None or not pump.running:
            self._has_turned, self._still_since = False, None
            return False
        if speed >= _STILL_PCT:
            self._has_turned = self._has_turned or speed > _TURNS_PCT
            self._still_since = None
            return False
        if self._still_since is None:
            self._still_since = self._speed.read_at
        limit = _STALL_TIME if self._has_turned else _START_TIME
        if self._speed.read_at - self._still_since < limit:
            return False
        pump.stalled, self._stalled_at = True, now
        self._has_turned, self._still_since = False, None
        return True
