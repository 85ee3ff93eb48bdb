"""The world's time: a heap of events in integer microseconds, and one seeded source of chance.

Not a shell: it decides the order of what happens, not how fast. In virtual time a shell pops one
event after the other; in real time a shell waits for the clock on the wall before each. Equal
times are served by rank (ports in the order of their numbers, what is not a port first), then in
the order of asking, so that a run with the same seed is the same run.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

WORLD_RANK = -1
"""Rank of what is no port of the agent: devices, faults, the plant."""

HeapEvent = tuple[int, int, int, Callable[..., None], tuple[Any, ...]]


class World:
    """Monotonic time `now` in microseconds, events to come, and the true UTC.

    `start_utc` is UTC at the world's time 0, microseconds since 1970. `drift_ppb` is how much
    faster true time runs than the controller's oscillator, in parts per billion.
    """

    def __init__(self, seed: int, start_utc: int, drift_ppb: int = 0) -> None:
        self.now = 0
        self.seed = seed
        self.heap: list[HeapEvent] = []
        self._start_utc = start_utc
        self._drift_ppb = drift_ppb
        self._order = 0

    def random(self, purpose: str) -> random.Random:
        """Make a source of chance for one purpose, so that adding another changes no run."""
        return random.Random(f"{self.seed}/{purpose}")

    def utc(self, now: int) -> int:
        """True UTC at the world's time `now`, microseconds since 1970."""
        return self._start_utc + now + now * self._drift_ppb // 1_000_000_000

    def mono(self, utc: int) -> int:
        """First moment of the world's time at which true UTC is at least `utc`."""
        guess = (utc - self._start_utc) * 1_000_000_000 // (1_000_000_000 + self._drift_ppb)
        while self.utc(guess) < utc:
            guess += 1
        return guess

    def schedule(
        self, due: int, callback: Callable[..., None], *args: Any, rank: int = WORLD_RANK
    ) -> None:
        """Call `call(*args)` at `due` (now, if that is past)."""
        self._order += 1
        heapq.heappush(self.heap, (max(due, self.now), rank, self._order, callback, args))
