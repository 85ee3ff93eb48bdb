"""Supervision of a master: it has to speak again before a time is over."""

from __future__ import annotations

from hil.devices.base import NEVER


class Watchdog:
    """`lost` comes when nobody fed it for `period_us`; a period of 0 turns it off."""

    def __init__(self, period_us: int, now: int = 0) -> None:
        self.period_us = period_us
        self.lost = False
        self._last = now

    def feed(self, now: int) -> bool:
        """The master spoke; true when that ends a loss."""
        self._last = now
        ended, self.lost = self.lost, False
        return ended

    def expire(self, now: int) -> bool:
        """Look at the clock; true when the loss begins now."""
        if self.lost or now < self.deadline():
            return False
        self.lost = True
        return True

    def deadline(self) -> int:
        """When the loss begins, or NEVER."""
        return NEVER if self.lost or self.period_us <= 0 else self._last + self.period_us
