# SPDX-License-Identifier: Apache-2.0
"""Budget of billed bytes for a day and a contact window, with a reserve for alarms.

Does not store the budget; see `agent.satcom.persistence`.

A day is a UTC day. It begins at 00:00 UTC, but not within 23 hours of the previous one. So a false
UTC cannot release one budget after the other. While UTC is unknown, or in the past, a day begins 24
hours after the previous one. The cost of a datagram is its number of billed bytes: at least
`min_bytes`, in increments.
"""

from protocols.time_units import SECOND

_DAY_US = 86_400 * SECOND
_MIN_DAY_US = 23 * 3_600 * SECOND


class Price:
    """Price of a datagram: size plus `overhead_bytes`, rounded up to `step_bytes`, at least
    `min_bytes`.
    """

    def __init__(self, min_bytes: int, step_bytes: int, overhead_bytes: int) -> None:
        self._min_bytes = min_bytes
        self._step_bytes = step_bytes
        self._overhead_bytes = overhead_bytes

    def billed_bytes(self, size: int) -> int:
        """Return the billed bytes of one datagram."""
        return max(
            self._min_bytes,
            -(-(size + self._overhead_bytes) // self._step_bytes) * self._step_bytes,
        )


class Budget:
    """Spent and available bytes. `day` is the number of the UTC day since 1970, or 0."""

    def __init__(self, day_bytes: int, window_bytes: int, reserve_pct: int) -> None:
        self.limit = day_bytes
        self.day = 0
        self.spent = 0
        self.window_spent = 0
        self.window_limit = window_bytes
        self._alarm_reserve = day_bytes * reserve_pct // 100
        self._day_start: int | None = None
        self._anchored = False
        self._spent_before_utc = 0

    def roll_day(self, utc_us: "int | None", now: int) -> bool:
        """Begin a new day if it is due. Return True if one began."""
        today = None if utc_us is None else utc_us // _DAY_US
        if utc_us is not None and today is not None and not self._anchored:
            self._anchored = True
            self._day_start = now - utc_us % _DAY_US
            if today <= self.day:
                return False
            # bytes sent before UTC was known count for today
            self.restore(today, self._spent_before_utc)
            return True
        if self._day_start is None:
            self._day_start = now
        age = now - self._day_start
        if today is not None and utc_us is not None and today > self.day and age >= _MIN_DAY_US:
            self._day_start = now - utc_us % _DAY_US
            self.restore(today, 0)
            return True
        if age >= _DAY_US + SECOND and (today is None or today <= self.day):
            self._day_start = now
            self.restore(self.day, 0)
            return True
        return False

    def restore(self, day: int, spent: int) -> None:
        """Use a stored day and its spent bytes."""
        self.day = day
        self.spent = spent

    def available(self, alarm: bool) -> int:
        """Return the bytes that can be spent now."""
        remaining = self.limit - self.spent - (0 if alarm else self._alarm_reserve)
        if self.window_limit and not alarm:
            remaining = min(remaining, self.window_limit - self.window_spent)
        return remaining

    def is_alarm_short(self) -> bool:
        """Return whether less than half of the reserve of the alarms is left."""
        return 2 * self.available(True) < self._alarm_reserve

    def max_content(self, alarm: bool, reserved_bytes: int, modem_bytes: int) -> int:
        """Return the largest useful content of a message: one datagram of a modem that sends at
        most `modem_bytes`, within the budget without `reserved_bytes`.
        """
        available = max(0, self.available(alarm) - reserved_bytes)
        return max(64, min(modem_bytes - 4, available, 4_096))

    def spend(self, cost: int) -> None:
        """Subtract bytes from the budget; a negative cost returns them."""
        self.spent = max(0, self.spent + cost)
        if not self._anchored:
            self._spent_before_utc = max(0, self._spent_before_utc + cost)
        self.window_spent = max(0, self.window_spent + cost)

    def spend_received(self, cost: int) -> None:
        """Subtract bytes that came without a session; the alarms keep their reserve."""
        self.spend(min(cost, max(0, self.limit - self._alarm_reserve - self.spent)))

    def new_window(self) -> None:
        """Begin a contact window."""
        self.window_spent = 0
