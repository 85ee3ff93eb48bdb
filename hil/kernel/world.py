# SPDX-License-Identifier: Apache-2.0
"""Time on the bench: a queue of events in integer microseconds, and one seeded random source.

Does not control the speed; see `hil.shells`. It decides the order of events. In virtual time a
shell processes one event after the other. In real time a shell waits for the wall-clock time of
each event. Events with equal times are sorted by rank: first the events without a port, then the
ports by number. Events with equal rank keep the order in which they were scheduled. So two runs
with the same seed are equal.
"""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

WORLD_RANK = -1
"""Rank of events without an agent port: devices, faults, the plant."""

HeapEvent = tuple[int, int, int, Callable[..., None], tuple[Any, ...]]


class World:
    """Monotonic time `now` in microseconds, the scheduled events and the true UTC.

    `start_utc` is the UTC at time 0, in microseconds since 1970. `drift_ppb` is the rate of true
    time relative to the controller's oscillator, in parts per billion (positive: true time is
    faster).
    """

    def __init__(self, seed: int, start_utc: int, drift_ppb: int = 0) -> None:
        self.now = 0
        self.seed = seed
        self.heap: list[HeapEvent] = []
        self._start_utc = start_utc
        self._drift_ppb = drift_ppb
        self._order = 0

    def random(self, purpose: str) -> random.Random:
        """Make a random source for one purpose; a new purpose does not change the other sources."""
        return random.Random(f"{self.seed}/{purpose}")

    def utc(self, now: int) -> int:
        """Return the true UTC at bench time `now`, in microseconds since 1970."""
        return self._start_utc + now + now * self._drift_ppb // 1_000_000_000

    def mono(self, utc: int) -> int:
        """Return the first bench time at which the true UTC is at least `utc`, in microseconds."""
        candidate = (utc - self._start_utc) * 1_000_000_000 // (1_000_000_000 + self._drift_ppb)
        while self.utc(candidate) < utc:
            candidate += 1
        return candidate

    def schedule(
        self, due: int, callback: Callable[..., None], *args: Any, rank: int = WORLD_RANK
    ) -> None:
        """Call `callback(*args)` at `due`, or now if `due` has passed."""
        self._order = order = self._order + 1
        heappush(self.heap, (due if due > self.now else self.now, rank, order, callback, args))

    def pop_event(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """Remove the next event, set `now` to its time, and return its callback and arguments."""
        self.now, _, _, callback, args = heappop(self.heap)
        return callback, args

    def advance_to(self, now: int) -> None:
        """Set the time to `now`, if it is later than the present time."""
        if now > self.now:
            self.now = now
