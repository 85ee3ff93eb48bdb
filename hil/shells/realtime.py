# SPDX-License-Identifier: Apache-2.0
"""The real-time shell: runs bench events at their wall-clock time and serves real descriptors.

Does not run the agent: the agent is a separate process that sees only ports. The bench time is the
machine's monotonic clock, counted from the construction of the shell. The shell runs all due
events. Then it sleeps until the next event, or until a descriptor is readable.
"""

import contextlib
import os
import selectors
import time
from collections.abc import Callable

from hil.kernel.world import World

_MAX_SLEEP_S = 0.2


def monotonic_us() -> int:
    """Return the machine's monotonic clock, µs."""
    return time.monotonic_ns() // 1000


def raw_offset_us() -> int:
    """Return the present CLOCK_MONOTONIC_RAW minus `monotonic_us`, µs.

    An agent on CPython reads the raw clock, which no time service adjusts (clock_gettime(2)). An
    agent on MicroPython reads CLOCK_MONOTONIC.
    """
    return (time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - time.monotonic_ns()) // 1000


class RealTimeShell:
    """Runs `world` in real time. `start_us`: monotonic time at bench time 0, microseconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start_us = monotonic_us()
        self.stopped = False
        self.worst_delay_us = 0
        """The longest time between an event's due time and its run, from the start of `run`."""
        self._run_ended = False
        self._selector = selectors.DefaultSelector()
        self._wakeup_read, self._wakeup_write = os.pipe()
        for descriptor in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(descriptor, False)
        self._wakeup_callback: Callable[[], None] | None = None
        self.watch(self._wakeup_read, self._handle_wakeup)

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call `call()` whenever `descriptor` is readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching."""
        self._selector.unregister(descriptor)

    def stop(self) -> None:
        """End `run` soon. A signal handler can call this."""
        self.stopped = True
        if self._wakeup_write >= 0:  # still open: a signal can arrive during `close`
            self.wake_up()

    def stop_run(self) -> None:
        """End the present `run` soon, as at its end time; only from the thread of `run`."""
        self._run_ended = True

    def set_wakeup_callback(self, callback: Callable[[], None]) -> None:
        """Set the callback for `wake_up`."""
        self._wakeup_callback = callback

    def wake_up(self) -> None:
        """Make the thread of `run` call the wake-up callback soon. Any thread can call this."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wakeup_write, b"!")

    def _handle_wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup_read, 4096)
        if self._wakeup_callback is not None and not self.stopped:
            self._wakeup_callback()

    def now(self) -> int:
        """Return the bench time, in microseconds."""
        return monotonic_us() - self.start_us

    def run(self, until: int | None = None) -> None:
        """Run until bench time `until` (None: without end) or until `stop`.

        All events up to `until` run, also when the machine wakes this thread too late.
        """
        self._run_ended = False
        self._run_due_events(self.now())  # those of before this run
        self.worst_delay_us = 0
        while not self.stopped and not self._run_ended:
            now = self.now()
            if until is not None and now >= until:
                self._run_due_events(until)
                self.world.advance_to(self.now())  # new events must not lie in the past
                return
            self._run_due_events(now)
            self._sleep(until)

    def _run_due_events(self, now: int) -> None:
        heap, world = self.world.heap, self.world
        while heap and heap[0][0] <= now:
            due = heap[0][0]
            call, args = world.pop_event()
            started = self.now()
            self.worst_delay_us = max(self.worst_delay_us, started - due)
            world.advance_to(started)
            call(*args)

    def _sleep(self, until: int | None) -> None:
        due = self.world.heap[0][0] if self.world.heap else self.now() + 1_000_000
        if until is not None:
            due = min(due, until)
        pause = min(_MAX_SLEEP_S, max(0.0, (due - self.now()) / 1e6))
        for key, _ in self._selector.select(pause):
            self.world.advance_to(self.now())
            key.data()

    def close(self) -> None:
        """Close the descriptors that the shell has opened."""
        self._selector.close()
        os.close(self._wakeup_read)
        descriptor, self._wakeup_write = self._wakeup_write, -1
        os.close(descriptor)
