# SPDX-License-Identifier: Apache-2.0
"""IT load of a year as a fraction of the design power: constant, office days, training, inference.

A profile is a function of the second of the year, so that each policy and the bound get the same
load. It starts on a Monday. Does not schedule jobs. The shapes are assumed, near published traces
in their form only:

    constant    1.0
    week        day and week: 0.4 at night and on Saturday and Sunday, up to 1.0 in the afternoon
    training    jobs of 6 to 30 h at 1.0, pauses at 0.3; each half hour a checkpoint of 60 s at 0.5
    inference   a day curve from 0.45 to 0.95 with steps of each minute
    steps       0.3 to 1.0 in random steps of 1 to 4 h
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from math import cos, pi
from random import Random

PROFILES = ("constant", "week", "training", "inference", "steps")
_DAY_S, _YEAR_S = 86_400, 31_536_000
_CHECKPOINT_EVERY_S, _CHECKPOINT_S = 1800, 60


@dataclass(frozen=True)
class YearLoad:
    """A load; `name` is one of `PROFILES`."""

    name: str = "constant"
    seed: int = 1
    _starts: list[int] = field(init=False, repr=False, compare=False)
    _levels: list[float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name not in PROFILES:
            raise ValueError(f"{self.name}: no such load: give {', '.join(PROFILES)}")
        rng = Random(f"{self.seed}/load/{self.name}")
        starts, levels, at = [0], [1.0], 0
        while self.name in ("training", "steps") and at < _YEAR_S:
            if self.name == "training":
                at += 3600 * (rng.randint(6, 30) if levels[-1] == 1.0 else rng.randint(1, 5))
                level = 0.3 if levels[-1] == 1.0 else 1.0
            else:
                at += rng.randint(1, 4) * 3600
                level = rng.randint(30, 100) / 100.0
            starts.append(at)
            levels.append(level)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_levels", levels)

    def at(self, second: float) -> float:
        """Return the fraction of the design power at a second of the year."""
        if self.name == "constant":
            return 1.0
        second %= _YEAR_S
        if self.name in ("training", "steps"):
            level = self._levels[bisect_right(self._starts, second) - 1]
            checkpoint = self.name == "training" and level == 1.0
            return 0.5 if checkpoint and second % _CHECKPOINT_EVERY_S < _CHECKPOINT_S else level
        day, hour = int(second // _DAY_S) % 7, second % _DAY_S / 3600.0
        wave = 0.5 - 0.5 * cos(2.0 * pi * (hour - 3.0) / 24.0)
        if self.name == "week":
            return round(0.4 + 0.6 * (wave if day < 5 else 0.2 * wave), 2)
        jitter = Random(f"{self.seed}/minute/{int(second // 60)}").uniform(-0.05, 0.05)
        return round(min(max(0.45 + 0.5 * wave + jitter, 0.0), 1.0), 2)

    def hour_levels(self, hour: int, parts: int = 12) -> list[float]:
        """Return the load at the middle of `parts` equal parts of an hour."""
        return [self.at(3600.0 * (hour + (i + 0.5) / parts)) for i in range(parts)]
