"""Supervision of a master: it has to speak again before a time is over."""

from __future__ import annotations

from hil.devices.base import NEVER


class Watchdog:
    """`expired` comes at `due`, `period_us` after the last feeding; a period of 0 turns it off.

    `due` is NEVER when it is off or lost.
    """

    __slots__ = ("_kicked_at", "_period", "due", "expired")

    def __init__(self, period_us: int, now: int = 0) -> None:
        self.expired = False
        self._kicked_at = now
        self._period = period_us
        self.due = now + period_us if period_us > 0 else NEVER

    @property
    def period_us(self) -> int:
        """How long the master may be silent."""
        return self._period

    def set_period(self, period: int) -> None:
        """Set how long the master may be silent, µs; 0 turns the watchdog off."""
        self._period = period
        self.due = self._kicked_at + period if period > 0 and not self.expired else NEVER

    def kick(self, now: int) -> bool:
        """The master spoke; true when that ends a loss."""
        self._kicked_at = now
        if self._period > 0:
            self.due = now + self._period
        was_expired, self.expired = self.expired, False
        return was_expired

    def check(self, now: int) -> bool:
        """Look at the clock; true when the loss begins now."""
        if now < self.due:
            return False
        self.expired = True
        self.due = NEVER
        return True
