# SPDX-License-Identifier: Apache-2.0
"""Lateness of a 10 Hz tick for several ways of waiting.

    python benchmarks/runtime/tick_lateness.py [SECONDS] [WAY ...]

Not a test: the figures depend on the machine and on its load. Each way watches one idle pipe, as
the runtime watches its ports, and sleeps until the next multiple of 100 ms. The output is the
lateness in microseconds (median, 99th percentile, worst) and the CPU time a tick.

The last way, `shell`, is the real CPython runtime with an agent that only measures time.
"""

import ctypes
import gc
import os
import select
import selectors
import sys
import time
from collections.abc import Callable

from agent.runtime import cpython
from protocols.time_units import NEVER

PERIOD = 100_000  # us: 10 Hz
CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
PR_SET_TIMERSLACK = 29
SPIN_US = 300  # us before the deadline at which `spin` stops sleeping

NEAR_US = 2_000  # us before the deadline at which `two-selects` wakes for the second step

Wait = Callable[[int], None]


def now_us() -> int:
    """Return the monotonic time in microseconds."""
    return time.monotonic_ns() // 1000


def quiet_pipe() -> int:
    """Return a descriptor that never becomes readable."""
    reader, _writer = os.pipe()
    return reader


def slack(nanoseconds: int) -> None:
    """Set the timer slack of this thread (Linux: default 50 us; 0 restores it)."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0)


def by_selector(kind: "type[selectors.SelectSelector | selectors.EpollSelector]") -> Wait:
    """Return a wait by one of the selectors of the standard library."""
    selector = kind()
    selector.register(quiet_pipe(), selectors.EVENT_READ)

    def wait(deadline: int) -> None:
        selector.select((deadline - now_us()) / 1e6)

    return wait


def by_select() -> Wait:
    """Return a wait by select(2) with the default slack."""
    slack(0)
    return by_selector(selectors.SelectSelector)


def by_select_slack() -> Wait:
    """Return a wait by select(2) with a timer slack of 1 ns."""
    slack(1)
    return by_selector(selectors.SelectSelector)


def by_epoll() -> Wait:
    """Return a wait by epoll; its timeout is in whole milliseconds, rounded up."""
    slack(0)
    return by_selector(selectors.EpollSelector)


def by_two_selects() -> Wait:
    """Return a wait by select(2) in two steps; the kernel can be late by 0.1 % of a timeout."""
    sleep = by_select()

    def wait(deadline: int) -> None:
        left = deadline - now_us()
        if left > NEAR_US:
            sleep(deadline - NEAR_US)
        sleep(max(deadline, now_us()))

    return wait


class Timespec(ctypes.Structure):
    """struct itimerspec of C, flat."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


def by_timerfd() -> Wait:
    """Return a wait by an absolute timerfd in an epoll set (through libc; os has it from 3.13)."""
    slack(0)
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK)
    poll = select.epoll()
    poll.register(quiet_pipe(), select.EPOLLIN)
    poll.register(timer, select.EPOLLIN)

    def wait(deadline: int) -> None:
        at = Timespec(0, 0, deadline // 1_000_000, deadline % 1_000_000 * 1000)
        libc.timerfd_settime(timer, TFD_TIMER_ABSTIME, ctypes.byref(at), None)
        poll.poll(-1)
        os.read(timer, 8)

    return wait


def by_spin() -> Wait:
    """Return a wait by select(2) that ends early and then spins."""
    sleep = by_select_slack()

    def wait(deadline: int) -> None:
        sleep(max(deadline - SPIN_US, now_us()))
        while now_us() < deadline:
            pass

    return wait


WAYS = {
    "select": by_select,
    "select+slack": by_select_slack,
    "two-selects": by_two_selects,
    "epoll": by_epoll,
    "timerfd": by_timerfd,
    "spin": by_spin,
}


def measure(wait: Wait, seconds: float) -> "list[int]":
    """Wait for one deadline after the other; return the lateness of each wake-up, us."""
    late = []
    deadline = now_us() // PERIOD * PERIOD + PERIOD
    for _ in range(int(seconds * 10)):
        wait(deadline)
        while now_us() < deadline:  # an early wake-up: the runtime would wait again
            wait(deadline)
        late.append(now_us() - deadline)
        deadline += PERIOD
    return late


class Metronome:
    """An agent with a deadline every 100 ms that records its lateness."""

    def __init__(self, ticks: int) -> None:
        """Plan `ticks` wake-ups."""
        self.lateness_us: list[int] = []
        self.ticks_left = ticks
        self.next = now_us() // PERIOD * PERIOD + PERIOD

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Ignore the data."""

    def event(self, port: int, kind: str, now: int) -> None:
        """Ignore the event."""

    def wake(self, now: int) -> None:
        """Record the lateness."""
        self.lateness_us.append(now - self.next)
        self.next += PERIOD
        self.ticks_left -= 1

    def deadline(self) -> int:
        """Return the next tick."""
        return self.next if self.ticks_left else NEVER

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Return no action."""
        return []


def measure_shell(seconds: float) -> "list[int]":
    """Run the real runtime with a metronome as the agent."""
    slack(0)
    agent = Metronome(int(seconds * 10))
    cpython.run(agent, until=lambda: not agent.ticks_left)
    return agent.lateness_us


def show(name: str, late: "list[int]", cpu_s: float) -> None:
    """Print one line of the table."""
    late.sort()
    count = len(late)
    middle, maximum = late[count // 2], late[min(count - 1, count * 99 // 100)]
    figures = f"median {middle}  p99 {maximum}  worst {late[-1]} us late"
    print(f"{name:13} n={count}  {figures},  {cpu_s / count * 1e6:.0f} us CPU a tick", flush=True)


def main(seconds: float, names: "list[str]") -> None:
    """Measure all ways, or the selected ones."""
    gc.freeze()
    for name in names or [*WAYS, "shell"]:
        before = time.process_time()
        late = measure_shell(seconds) if name == "shell" else measure(WAYS[name](), seconds)
        show(name, late, time.process_time() - before)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, sys.argv[2:])
