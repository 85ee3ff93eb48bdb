# SPDX-License-Identifier: Apache-2.0
"""Automatic reset of tripped drives: `_RESET_DELAY_US` after the trip, with a limit per hour.

A drive that has not replied since its trip, or since its last reset, gets none: on a slow line the
reset could be lost, and would still count.

Does not select the running pumps; see `agent.control.pump_group`.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.pump import PumpActuator

_RESET_DELAY_US = 5 * SECOND
_HOUR_US = 3600 * SECOND


class DriveReset:
    """Resets `drives`, one at a time, at most `max_per_hour` times an hour in total."""

    def __init__(self, drives: "list[PumpActuator]", max_per_hour: int) -> None:
        self.drives = drives
        self._max_per_hour = max_per_hour
        self._reset_times: list[int] = []
        self._tripped_at: list[int | None] = [None] * len(drives)

    def step(self, now: int, locked: "list[str]") -> int:
        """Reset at most one drive. Return its index or -1. The caller sends it no request in this
        cycle. `locked`: names of drives in local mode; they get no reset.
        """
        self._reset_times = [
            tripped_at for tripped_at in self._reset_times if now - tripped_at < _HOUR_US
        ]
        for i, drive in enumerate(self.drives):
            tripped_at = self._tripped_at[i]
            if not drive.tripped() or drive.session.name in locked:
                self._tripped_at[i] = None
            elif tripped_at is None or drive.session.write_unverified:
                self._tripped_at[i] = now  # a drive that takes no writes would use up the resets
            elif (
                now - tripped_at >= _RESET_DELAY_US
                and drive.session.answered_at > tripped_at
                and len(self._reset_times) < self._max_per_hour
            ):
                self._reset_times.append(now)
                self._tripped_at[i] = now
                drive.reset()
                return i
        return -1
