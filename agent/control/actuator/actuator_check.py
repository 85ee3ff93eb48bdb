# SPDX-License-Identifier: Apache-2.0
"""Checks of the drives: local mode, and a speed that is not the commanded one.

Does not check the valve; see `agent.control.actuator.valve_check`. A drive in local mode follows
its own panel: it is locked out, gets no writes, and another drive runs.

A drive that reports a speed more than `_APART_PCT` from its command for `_APART_S` is at a limit
(current, heat, reduced mode), ignores the command, or shows a false speed. The alarm moves nothing:
flow and dP show what the coolant does. A drive that is lost, tripped or blocked has its own alarm.
"""

from agent.core.actuator import EXACT, LOCKOUT
from agent.core.alarm_record import DEGRADED, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.pump import PumpActuator
    from agent.core.alarm_record import Condition

HAND = AlarmRecord("hand", DEGRADED, "somebody has the drive in hand:", "device", True)
DRIVE_SPEED = AlarmRecord(
    "drive_speed", DEGRADED, "drive does not turn at its commanded speed:", "device", True
)
_REMOTE_BIT = "Remote"
# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_APART_PCT, _APART_S = 10.0, 59.5
"""A ramp of 60 s for the whole range, long for a pump, has ended by then."""


def lock_local_drives(arbiter: "Arbiter", drives: "list[PumpActuator]") -> "list[Condition]":
    """Lock out the drives in local mode; all of them stop if no other one is left."""
    conditions: list[Condition] = []
    for drive in drives:
        session = drive.session
        if not session.profile.has_bit(_REMOTE_BIT) or session.lost:
            continue
        bit = session.profile.bits[session.profile.bit_index(_REMOTE_BIT)]
        is_known = session.device.register_value(bit) is not None
        if is_known and not session.device.is_bit_on(_REMOTE_BIT):
            arbiter.lock_out(session.name)
            conditions.append((HAND, session.name, HAND.text + session.name))
    if len(arbiter.locked) == len(drives):
        arbiter.claim(LOCKOUT, "hand", EXACT, 0.0, "all drives in local mode")
    return conditions


class DriveSpeedCheck:
    """Compares speed and command of `drives`. Call `step` once a cycle."""

    def __init__(self, drives: "list[PumpActuator]") -> None:
        self._drives = drives
        self._apart_s = [0.0] * len(drives)

    def step(self, dt: float) -> "list[Condition]":
        """Return the active conditions."""
        conditions: list[Condition] = []
        for i, drive in enumerate(self._drives):
            speed, command_pct = drive.speed(), drive.command_pct
            is_compared = speed is not None and command_pct is not None and drive.available()
            away_pct = (speed or 0.0) - (command_pct or 0.0)
            is_apart = is_compared and not -_APART_PCT <= away_pct <= _APART_PCT
            self._apart_s[i] = self._apart_s[i] + dt if is_apart else 0.0
            if self._apart_s[i] >= _APART_S:
                name = drive.session.name
                conditions.append((DRIVE_SPEED, name, DRIVE_SPEED.text + name))
        return conditions
