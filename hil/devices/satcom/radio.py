"""The radio side of an emulated modem: is there a satellite, and does a try get through?

Not a device. `bars` (0 to 5, of a time) is the sky's word; whether a session gets through is a
throw of the dice, weighted by the bars, or by `success_pct` whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

_BY_BARS = (0, 55, 80, 90, 95, 97)
"""Success of a session, %, by bars: a plausible slope, 80 % at two bars; not measured."""


class Radio:
    """Faults: `success_pct` (None: by bars), `deaf` (no satellite is heard), `late_pct`.

    `late_pct`: share of the failed sessions that fail after the gateway has taken the message.
    """

    def __init__(self, chance: Random, bars: Callable[[int], int]) -> None:
        self.success_pct: float | None = None
        self.deaf = False
        self.late_pct = 0.0
        self.chance = chance
        self._bars = bars

    def bars(self, now: int) -> int:
        """Give the bars at `now`."""
        return 0 if self.deaf else self._bars(now)

    def through(self, now: int) -> bool:
        """Say whether a try at `now` gets through."""
        bars = self.bars(now)
        share = _BY_BARS[bars] if self.success_pct is None else self.success_pct * (bars > 0)
        return self.chance.random() * 100 < share

    def late(self) -> bool:
        """Say whether a session that failed has failed after the message was taken."""
        return self.late_pct > 0 and self.chance.random() * 100 < self.late_pct

    def seconds(self, least: float, most: float) -> int:
        """Give a time between two numbers of seconds, in microseconds."""
        return int(self.chance.uniform(least, most) * 1_000_000)
