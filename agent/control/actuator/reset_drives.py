# SPDX-License-Identifier: Apache-2.0
"""Automatic reset of tripped drives, with a limit per hour.

The first reset follows `_RESET_DELAY_US` after the trip. If the drive stays tripped, each further
delay is `_LONGER` times as long: a brown-out can last for a minute. A drive that has not replied
since its trip, or since its last reset, gets none: on a slow line the reset could be lost, and
would still count.

Low mains explain a trip: its resets have a limit of their own, `_BY_MAINS` times as high, so that
dips in a thunderstorm do not stop the pumps for an hour. While the mains are low a reset has no
effect: it waits for them, at most `_LONGEST_WAIT_US`, because their meter can be false.

Does not select the running pumps; see `agent.control.pump_group`.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.pump import PumpActuator
    from agent.core.alarm_list import AlarmList

_RESET_DELAY_US, _LONGER = 5 * SECOND, 4
_HOUR_US = 3600 * SECOND
_MAINS_LOW = "mains_low"
_BY_MAINS, _NEAR_US, _LONGEST_WAIT_US = 4, 3 * SECOND, 30 * SECOND
"""A trip up to `_NEAR_US` after low mains is explained by them."""


class DriveReset:
    """Resets `drives`, one at a time, at most `max_per_hour` times an hour in total, and more often
    if `alarms` show that the mains were low.
    """

    def __init__(
        self, drives: "list[PumpActuator]", max_per_hour: int, alarms: "AlarmList"
    ) -> None:
        self.drives = drives
        self._max_per_hour = max_per_hour
        self._alarms = alarms
        self._mains_low_at = -_HOUR_US
        self._own: list[int] = []
        self._by_mains: list[int] = []
        self._tripped_at: list[int | None] = [None] * len(drives)
        self._delays = [_RESET_DELAY_US] * len(drives)

    def step(self, now: int, locked: "list[str]") -> int:
        """Reset at most one drive. Return its index or -1. The caller sends it no request in this
        cycle. `locked`: names of drives in local mode; they get no reset.
        """
        if self._alarms.active and _MAINS_LOW in self._alarms.codes():
            self._mains_low_at = now
        for i, drive in enumerate(self.drives):
            tripped_at = self._tripped_at[i]
            wait_us = self._delays[i] if now > self._mains_low_at else _LONGEST_WAIT_US
            if not drive.tripped() or drive.session.name in locked:
                self._tripped_at[i], self._delays[i] = None, _RESET_DELAY_US
            elif tripped_at is None or drive.session.write_unverified:
                self._tripped_at[i] = now  # a drive that takes no writes would use up the resets
            elif (
                now - tripped_at >= wait_us
                and drive.session.answered_at > tripped_at
                and self._count(tripped_at, now)
            ):
                self._tripped_at[i] = now
                self._delays[i] *= _LONGER
                drive.reset()
                return i
        return -1

    def _count(self, tripped_at: int, now: int) -> bool:
        """Count a reset. Return whether one was left in the last hour."""
        times, limit = self._own, self._max_per_hour
        if tripped_at - self._mains_low_at < _NEAR_US:
            times, limit = self._by_mains, _BY_MAINS * limit
        while times and now - times[0] >= _HOUR_US:
            times.pop(0)
        if len(times) >= limit:
            return False
        times.append(now)
        return True
