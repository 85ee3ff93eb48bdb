# SPDX-License-Identifier: Apache-2.0
"""When a board collects garbage: between two ticks, before an allocation must do it.

A collection takes 17 to 24 ms on a small board (RP2040, 200 MHz) and stops everything but
interrupts. If an allocation starts it, it can be in front of a tick. So the poller asks here before
each wait, and the I/O loop before each port. A collection begins only if it ends before the next
tick. It is due in a long wait; and, whatever waits, if the memory would not last until the next
chance: after the next port, or after the tick. If the tick is too near for a collection, and the
memory does not last for a port and the tick, the ports are held back until the tick.

RP2 boards count the allocated bytes (`allocated`). Other boards have no such count that is cheap:
for them it is the time of work since the last collection, and a microsecond of work allocates at
most a byte. A slice of SHA-512 allocates 2.4 bytes in a microsecond; so the short wait after it
counts as work too.
"""

from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_STEP_US = 20 * MILLISECOND
"""Longest work on one port, and the most bytes that it allocates: a line of PIO opens."""
_TICK_US = 20 * MILLISECOND
"""The same of a tick."""
_PERIOD_US = 100 * MILLISECOND
_LEAST_WORK_US = 10 * MILLISECOND
SHORT_US = 5 * MILLISECOND
"""A shorter wait counts as work."""
_FIRST_TOOK_US = 24 * MILLISECOND
"""Assumed time of the first collection."""
NOT, IF_IDLE, NOW, HOLD = 0, 1, 2, 3


class GarbageGap:
    """The collections of one agent. Times are monotonic µs.

    `collect` collects. `free` returns the free bytes. `ticks`: the schedule of ticks of the agent;
    None: each deadline counts as a tick. `allocated` returns the bytes allocated since the last
    collection; None: they are estimated from the time of work.
    """

    def __init__(
        self,
        collect: "Callable[[], object]",
        free: "Callable[[], int]",
        ticks: "Any" = None,
        allocated: "Callable[[], int] | None" = None,
    ) -> None:
        self._collect, self._free, self._ticks = collect, free, ticks
        self._allocated = allocated
        self._took = _FIRST_TOOK_US
        self._begun = self._idle = 0
        self._lasts = free()
        """Bytes, or µs of work, that the free memory lasts for. Work allocates 0.83 bytes in a
        microsecond while a receiver sends (emulated RP2040, 200 MHz)."""

    def due(self, now: int, deadline: int) -> int:
        """Return whether to collect: NOT, IF_IDLE (no port is ready), or NOW.

        HOLD: it must wait for the tick, and so must the ports. `deadline`: the end of the wait that
        begins.
        """
        used = now - self._begun - self._idle if self._allocated is None else self._allocated()
        if used < _LEAST_WORK_US:
            return NOT
        room = self._took + self._took // 4
        rest = (deadline if self._ticks is None else self._ticks.due) - now
        if rest < room:
            if self._ticks is None or rest <= 0 or room > self._ticks.period // 2:
                return NOT
            return HOLD if used + _STEP_US + _TICK_US >= self._lasts else NOT
        if used + _STEP_US + (_TICK_US if rest < room + _STEP_US else 0) >= self._lasts:
            return NOW
        if deadline - now >= room and now - self._begun >= _PERIOD_US:
            return IF_IDLE
        return NOT

    def collect(self, clock: "Callable[[], int]") -> None:
        """Collect."""
        begun = clock()
        self._collect()
        self._lasts = self._free()  # it walks through the heap too
        self._begun, self._idle = clock(), 0
        self._took = self._begun - begun

    def waited(self, microseconds: int) -> None:
        """Count a wait, except a short one: no work was done in it."""
        if microseconds >= SHORT_US:
            self._idle += microseconds
