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

_MAX_SLEEP_S = 0.2


def monotonic_us() -> int:
    """The machine's monotonic clock, which the agent's process reads too, in microseconds."""
    return time.monotonic_ns() // 1000


class RealTimeShell:
    """Runs `world` against the clock on the wall. `base` is the monotonic time of the world's 0."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.base = monotonic_us()
        self.stopped = False
        self._run_ended = False
        self._selector = selectors.DefaultSelector()
        self._wakeup_read, self._wakeup_write = os.pipe()
        for descriptor in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(descriptor, False)
        self.on_wakeup: Callable[[], None] | None = None
        self.watch(self._wakeup_read, self._handle_wakeup)

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call `call()` whenever `descriptor` is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching."""
        self._selector.unregister(descriptor)

    def stop(self) -> None:
        """End `run` soon; safe to call from a signal handler."""
        self.stopped = True
        if self._wakeup_write >= 0:  # not closed: the signal may come while the bench is put away
            self.wake_up()

    def stop_run(self) -> None:
        """End the present `run` soon, as if its time had come; in the thread that runs it."""
        self._run_ended = True

    def wake_up(self) -> None:
        """Let `on_wakeup` be called soon, in the thread that runs the shell; for any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wakeup_write, b"!")

    def _handle_wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup_read, 4096)
        if self.on_wakeup is not None and not self.stopped:
            self.on_wakeup()

    def now(self) -> int:
        """The world's time."""
        return monotonic_us() - self.base

    def run(self, until: int | None = None) -> None:
        """Go on until the world's time `until`, or until `stop`."""
        self._run_ended = False
        while not self.stopped and not self._run_ended:
            now = self.now()
            if until is not None and now >= until:
                self.world.now = max(self.world.now, now)  # who adds to it must get on
                return
            self._run_due_events(now)
            self._sleep(until)

    def _run_due_events(self, now: int) -> None:
        heap, world = self.world.heap, self.world
        while heap and heap[0][0] <= now:
            _, _, _, call, args = heapq.heappop(heap)
            world.now = max(world.now, self.now())
            call(*args)

    def _sleep(self, until: int | None) -> None:
        due = self.world.heap[0][0] if self.world.heap else self.now() + 1_000_000
        if until is not None:
            due = min(due, until)
        pause = min(_MAX_SLEEP_S, max(0.0, (due - self.now()) / 1e6))
        for key, _ in self._selector.select(pause):
            self.world.now = max(self.world.now, self.now())
            key.data()

    def close(self) -> None:
        """Close what the shell itself has opened."""
        self._selector.close()
        os.close(self._wakeup_read)
        descriptor, self._wakeup_write = self._wakeup_write, -1
        os.close(descriptor)
