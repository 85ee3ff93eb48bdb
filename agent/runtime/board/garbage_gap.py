# SPDX-License-Identifier: Apache-2.0
"""When a board collects garbage: between two ticks, before an allocation must do it.

A collection takes 17 ms on a small board (RP2040, 200 MHz) and stops everything but interrupts. If
an allocation starts it, it can be in front of a tick. So the poller asks here before each wait. A
collection begins only if it ends before the next tick. It is due in a long wait; and, whatever
waits, after so much work that the memory would not last until after the next tick.

Does not count the allocated bytes, which costs as much as a tenth of a collection: it counts the
time of work since the last collection. The work allocates at most `_BYTES_PER_US`.
"""

from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BYTES_PER_US = 1
"""Measured on an emulated RP2040 at 200 MHz: 0.83 while the receiver sends."""
_PERIOD_US = 100 * MILLISECOND
_LEAST_WORK_US = 10 * MILLISECOND
_FIRST_TOOK_US = 24 * MILLISECOND
"""Assumed time of the first collection."""
NOT, IF_IDLE, NOW = 0, 1, 2


class GarbageGap:
    """The collections of one agent. Times are monotonic µs.

    `collect` collects. `free` returns the free bytes. `ticks`: the schedule of ticks of the agent;
    None: each deadline counts as a tick.
    """

    def __init__(
        self, collect: "Callable[[], object]", free: "Callable[[], int]", ticks: "Any" = None
    ) -> None:
        self._collect, self._free, self._ticks = collect, free, ticks
        self._took = _FIRST_TOOK_US
        self._begun = self._idle = self._budget = 0
        self._measure()

    def due(self, now: int, deadline: int) -> int:
        """Return whether to collect: NOT, IF_IDLE (no port is ready), or NOW.

        `deadline`: the end of the wait that begins.
        """
        work = now - self._begun - self._idle
        if work < _LEAST_WORK_US:
            return NOT
        room = self._took + self._took // 4
        tick = deadline if self._ticks is None else self._ticks.due
        if tick - now < room:
            return NOT
        if work >= self._budget:
            return NOW
        if deadline - now >= room and now - self._begun >= _PERIOD_US:
            return IF_IDLE
        return NOT

    def collect(self, clock: "Callable[[], int]") -> None:
        """Collect."""
        begun = clock()
        self._collect()
        self._took = clock() - begun
        self._measure()
        self._begun, self._idle = clock(), 0

    def waited(self, microseconds: int) -> None:
        """Count a wait: no work was done in it."""
        self._idle += microseconds

    def _measure(self) -> None:
        """Set the work after which a collection cannot wait.

        The work of the time in which none can begin comes on top: before a tick, and the tick.
        """
        budget = self._free() * 7 // 8 // _BYTES_PER_US - self._took * 5 // 2
        self._budget = max(budget, 2 * self._took)
