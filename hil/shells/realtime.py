"""The real-time shell: the world's events at their time on the wall, real descriptors in between.

Not a driver of the agent: that runs as a process of its own and sees only ports. The world's time
is the machine's monotonic clock, counted from the moment the shell was made. What is due is done;
then the shell sleeps until the next event or until a descriptor has something to say.
"""

import contextlib
import heapq
import os
import selectors
import time
from collections.abc import Callable

from hil.kernel.world import World

_LONGEST_SLEEP_S = 0.2


def monotonic_us() -> int:
    """The machine's monotonic clock, which the agent's process reads too, in microseconds."""
    return time.monotonic_ns() // 1000


class RealTimeShell:
    """Runs `world` against the clock on the wall. `base` is the monotonic time of the world's 0."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.base = monotonic_us()
        self.stopped = False
        self._run_over = False
        self._selector = selectors.DefaultSelector()
        self._pipe, self._bell = os.pipe()
        for end in (self._pipe, self._bell):
            os.set_blocking(end, False)
        self.on_bell: Callable[[], None] | None = None
        self.watch(self._pipe, self._rung)

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call `call()` whenever `descriptor` is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def forget(self, descriptor: int) -> None:
        """Stop watching."""
        self._selector.unregister(descriptor)

    def stop(self) -> None:
        """End `run` soon; safe to call from a signal handler."""
        self.stopped = True
        if self._bell >= 0:  # not closed: the signal may come while the bench is put away
            self.ring()

    def stop_run(self) -> None:
        """End the present `run` soon, as if its time had come; in the thread that runs it."""
        self._run_over = True

    def ring(self) -> None:
        """Let `on_bell` be called soon, in the thread that runs the shell; for any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._bell, b"!")

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe, 4096)
        if self.on_bell is not None and not self.stopped:
            self.on_bell()

    def now(self) -> int:
        """The world's time."""
        return monotonic_us() - self.base

    def run(self, until: int | None = None) -> None:
        """Go on until the world's time `until`, or until `stop`."""
        self._run_over = False
        while not self.stopped and not self._run_over:
            now = self.now()
            if until is not None and now >= until:
                self.world.now = max(self.world.now, now)  # who adds to it must get on
                return
            self._do_what_is_due(now)
            self._sleep(until)

    def _do_what_is_due(self, now: int) -> None:
        heap, world = self.world.heap, self.world
        while heap and heap[0][0] <= now:
            _, _, _, call, args = heapq.heappop(heap)
            world.now = max(world.now, self.now())
            call(*args)

    def _sleep(self, until: int | None) -> None:
        due = self.world.heap[0][0] if self.world.heap else self.now() + 1_000_000
        if until is not None:
            due = min(due, until)
        pause = min(_LONGEST_SLEEP_S, max(0.0, (due - self.now()) / 1e6))
        for key, _ in self._selector.select(pause):
            self.world.now = max(self.world.now, self.now())
            key.data()

    def close(self) -> None:
        """Close what the shell itself has opened."""
        self._selector.close()
        os.close(self._pipe)
        bell, self._bell = self._bell, -1
        os.close(bell)
