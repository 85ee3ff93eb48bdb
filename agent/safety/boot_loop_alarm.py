# SPDX-License-Identifier: Apache-2.0
"""Alarm of a unit that runs in a boot loop; loaded only there. See `agent.runtime.boot_loop`."""

from agent.core.alarm_record import DEGRADED, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.alarm_record import Condition

BOOT_LOOP = AlarmRecord(
    "boot_loop", DEGRADED, "started too often in 10 min: only the protection runs", "", True
)


class BootLoopAlarm:
    """A provider of conditions of the supervisor."""

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the alarm: it ends with the process that a person starts."""
        return [(BOOT_LOOP, "", BOOT_LOOP.text)]
