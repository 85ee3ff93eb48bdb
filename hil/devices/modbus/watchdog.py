# SPDX-License-Identifier: Apache-2.0
"""Communication watchdog: the client must send again before a time limit."""

from __future__ import annotations

from hil.devices.base import NEVER


class Watchdog:
    """The watchdog expires at `due`, `period_us` after the last `kick`; a period of 0 turns it off.

    `due` is NEVER while the watchdog is off or expired.
    """

    __slots__ = ("_kicked_at", "_period", "due", "expired")

    def __init__(self, period_us: int, now: int = 0) -> None:
        self.expired = False
        self._kicked_at = now
        self._period = period_us
        self.due = now + period_us if period_us > 0 else NEVER

    @property
    def period_us(self) -> int:
        """The longest allowed pause of the client, µs."""
        return self._period

    def set_period(self, period: int) -> None:
        """Set the longest allowed pause of the client, µs; 0 turns the watchdog off."""
        self._period = period
        self.due = self._kicked_at + period if period > 0 and not self.expired else NEVER

    def kick(self, now: int) -> bool:
        """Restart the time; return whether this ends a loss of communication."""
        self._kicked_at = now
        if self._period > 0:
            self.due = now + self._period
        was_expired, self.expired = self.expired, False
        return was_expired

    def check(self, now: int) -> bool:
        """Return whether the watchdog expires now."""
        if now < self.due:
            return False
        self.expired = True
        self.due = NEVER
        return True
