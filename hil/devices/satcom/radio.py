# SPDX-License-Identifier: Apache-2.0
"""The radio of an emulated modem: signal bars, and success of each session.

Does not compute the bars (0 to 5); see `constellation`. The success of a session is random. Its
probability depends on the bars, or is `success_pct` at any number of bars above 0.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import ClassVar

from hil.devices.base import FaultTarget

_BY_BARS = (0, 55, 80, 90, 95, 97)
"""Success of a session, %, by bars: a plausible slope with 80 % at two bars; not measured."""


class Radio(FaultTarget):
    """Faults: `success_pct` (None: by bars), `no_signal` (0 bars), `late_failure_pct`.

    `late_failure_pct` is the part of the failed sessions, %, that fail after the gateway has taken
    the message.
    """

    FAULTS: ClassVar = frozenset(("success_pct", "no_signal", "late_failure_pct"))

    def __init__(
        self, rng: Random, bars: Callable[[int], int], success_pct: float | None = None
    ) -> None:
        self.success_pct = success_pct
        self.no_signal = False
        self.late_failure_pct = 0.0
        self.rng = rng
        self._bars = bars

    def bars(self, now: int) -> int:
        """Return the bars at `now`."""
        return 0 if self.no_signal else self._bars(now)

    def try_session(self, now: int) -> bool:
        """Return whether a session at `now` succeeds."""
        bars = self.bars(now)
        success_pct = _BY_BARS[bars] if self.success_pct is None else self.success_pct * (bars > 0)
        return self.rng.random() * 100 < success_pct

    def try_late_failure(self) -> bool:
        """Return whether a failed session has failed after the gateway took the message."""
        return self.late_failure_pct > 0 and self.rng.random() * 100 < self.late_failure_pct

    def random_us(self, min_s: float, max_s: float) -> int:
        """Return a random time between two numbers of seconds, µs."""
        return int(self.rng.uniform(min_s, max_s) * 1_000_000)
