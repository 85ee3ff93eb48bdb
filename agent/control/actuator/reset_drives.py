# SPDX-License-Identifier: Apache-2.0
"""Automatic reset of tripped drives, with a limit per hour.

The first reset follows `_RESET_DELAY_US` after the trip. If the drive stays tripped, each further
delay is `_LONGER` times as long: a brown-out can last for a minute. A drive that has not replied
since its trip, or since its last reset, gets none: on a slow line the reset could be lost, and
would still count. While all drives are tripped, each gets a reset after `_LAST_US` in any case:
nothing else moves the coolant, and without a meter of the mains a long brown-out looks like a
drive that fails.

Low mains explain a trip: its resets have a limit of their own, `_BY_MAINS` times as high, and they
do not count any more when the drives have run for `_PROVEN_US`. So dips in a thunderstorm do not
stop the pumps for an hour. While the mains are low a reset has no effect: it waits for them. Their
meter can be false, so one reset follows after `_LOW_US`, and then each `_LAST_US`; they do not
count.

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
_BY_MAINS, _NEAR_US = 4, 3 * SECOND
"""A trip up to `_NEAR_US` after low mains is explained by them."""
_PROVEN_US, _LOW_US, _LAST_US = 60 * SECOND, 120 * SECOND, 300 * SECOND


class DriveReset:
    """Resets `drives`, one at a time, at most `max_per_hour` times an hour in total, and more often
    if `alarms` show that the mains were low, or while all are tripped. 0: none.
    """

    def __init__(
        self, drives: "list[PumpActuator]", max_per_hour: int, alarms: "AlarmList"
    ) -> None:
        self.drives = drives
        self._max_per_hour = max_per_hour
        self._alarms = alarms
        self._is_low = False
        self._mains_low_at = -_HOUR_US
        self._last_tripped_at = 0
        self._own: list[int] = []
        self._by_mains: list[int] = []
        self._tripped_at: list[int | None] = [None] * len(drives)
        self._delays = [_RESET_DELAY_US] * len(drives)

    def step(self, now: int, locked: "list[str]") -> int:
        """Reset at most one drive. Return its index or -1. The caller sends it no request in this
        cycle. `locked`: names of drives in local mode; they get no reset.
        """
        tripped = [drive.tripped() for drive in self.drives]
        self._update_mains(now)
        if True in tripped:
            self._last_tripped_at = now
        elif now - self._last_tripped_at >= _PROVEN_US:
            self._by_mains.clear()
        for i, drive in enumerate(self.drives):
            tripped_at = self._tripped_at[i]
            if not tripped[i] or drive.session.name in locked:
                self._tripped_at[i], self._delays[i] = None, _RESET_DELAY_US
            elif tripped_at is None or drive.session.write_unverified:
                self._tripped_at[i] = now  # a drive that takes no writes would use up the resets
            elif drive.session.answered_at > tripped_at and self._is_due(
                i, tripped_at, now, False not in tripped
            ):
                self._tripped_at[i] = now
                self._delays[i] = _LAST_US if self._is_low else self._delays[i] * _LONGER
                drive.reset()
                return i
        return -1

    def _update_mains(self, now: int) -> None:
        """Note whether the mains are low, and begin the delays again when they return."""
        was_low = self._is_low
        self._is_low = bool(self._alarms.active) and _MAINS_LOW in self._alarms.codes()
        if self._is_low:
            self._mains_low_at = now
        elif was_low:  # resets without effect show nothing about the drives
            self._delays = [_RESET_DELAY_US] * len(self.drives)

    def _is_due(self, i: int, tripped_at: int, now: int, are_all_tripped: bool) -> bool:
        """Return whether drive `i` gets a reset, and count it."""
        if not self._max_per_hour:
            return False
        waited_us = now - tripped_at
        if self._is_low:
            return waited_us >= max(_LOW_US, self._delays[i])
        if waited_us >= self._delays[i] and self._count(tripped_at, now):
            return True
        return are_all_tripped and waited_us >= _LAST_US

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
