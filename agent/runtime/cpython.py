# SPDX-License-Identifier: Apache-2.0
"""Runtime on CPython: real ports and real time; see `run`.

Does not contain the I/O loop; see `agent.runtime.io_loop`.

    run              steps the loop until `until()`, SIGTERM or SIGINT; then writes the rest of the
                     outbox and closes the ports
    check_addresses  reports wrong addresses before the start, so that no half-started agent is left

The wait uses select(2), in two steps. Its timeout has a resolution of µs, that of epoll ms. But the
kernel can return late by 0.1 % (fs/select.c, select_estimate_accuracy): 100 us on a 10 Hz tick. So
the first step ends NEAR before the deadline, and the second step waits only the rest. A wait of up
to FAR, for example the idle time between two frames, is one step; this saves a wake-up.
Measured on an idle machine with two cores, median of lateness: epoll 760 us, one select 270,
timerfd 160, two selects 120 (see benchmarks/runtime/tick_lateness.py). The garbage collector
ignores the objects of the start-up.
"""

import gc
import os
import selectors
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from agent.runtime.cpython_port_check import check_addresses
from agent.runtime.io_loop import RESTART, IoLoop
from drivers.ports import datagram
from drivers.ports.cpython import chrony, local, pps, serial, store, tcp, watchdog
from drivers.ports.cpython.clock import SuspendWatch, monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from agent.runtime.loop_interfaces import AgentInterface
    from drivers.ports.base import Opener

__all__ = ["OPENERS", "SelectPoller", "check_addresses", "monotonic", "print_line", "run"]

NEAR = 2_000  # us before the deadline at which the first step of a wait ends
FAR = 20_000  # longest wait in one step, us: 0.1 % of it is below the resolution
OPENERS: "dict[str, Opener]" = {
    "serial": serial.open_port,
    "tcp": tcp.open_port,
    "rtu+tcp": tcp.open_port,
    "rtu+udp": tcp.open_port,
    "ascii": serial.open_port,
    "ascii+tcp": tcp.open_port,
    "tls": tcp.open_port,
    "store": store.open_port,
    "pps": pps.open_port,
    "chrony": chrony.open_port,
    "ntp": tcp.open_port,
    "udp": datagram.open_port,
    "watchdog": watchdog.open_port,
    "local": local.open_port,
}


class HostSuspendedError(Exception):
    """The host was suspended: the monotonic clock stood still, so no time of the agent is true."""


class SelectPoller:
    """Clock and wait of the platform; see `loop_interfaces.PollerInterface`.

    `suspend_watch`: after a suspension a wait raises `HostSuspendedError`; None: it does not.
    """

    def __init__(self, suspend_watch: SuspendWatch | None = None) -> None:
        """Create the set of watched ports and the pipe that ends a wait."""
        self._suspend_watch = suspend_watch
        self._selector = selectors.SelectSelector()
        self._keys: dict[int, int] = {}
        self._wake_lock = threading.Lock()
        self._wake_out, self._wake_in = os.pipe()
        for end in (self._wake_out, self._wake_in):
            os.set_blocking(end, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)

    def clock(self) -> int:
        """Return monotonic µs."""
        return monotonic()

    def watch(self, number: int, pollable: object, write: bool) -> None:
        """Watch a descriptor under its port number."""
        descriptor = int(str(pollable))  # every port of this platform has a descriptor
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        self._selector.register(descriptor, events, number)
        self._keys[number] = descriptor

    def unwatch(self, number: int) -> None:
        """Stop watching a port."""
        self._selector.unregister(self._keys.pop(number))

    def wait(self, deadline: int) -> "list[int]":
        """Return the ready ports; none if the deadline (µs) passed or `wake` was called."""
        remaining = deadline - self.clock()
        if remaining > FAR:
            ready = self._selector.select((remaining - NEAR) / 1e6)
            if ready:
                return self._numbers(ready)
            remaining = deadline - self.clock()
        return self._numbers(self._selector.select(max(remaining, 0) / 1e6))

    def _numbers(self, ready: "list[tuple[selectors.SelectorKey, int]]") -> "list[int]":
        """Return the port numbers; empty the pipe if it is ready."""
        if self._suspend_watch is not None and self._suspend_watch.was_suspended():
            raise HostSuspendedError
        numbers = []
        for key, _ in ready:
            if key.data is None:
                os.read(self._wake_out, 4096)
            else:
                numbers.append(key.data)
        return numbers

    def wake(self) -> None:
        """End a wait. Any thread can call this, also after `close`."""
        with self._wake_lock:
            if self._wake_in < 0:
                return
            with suppress(BlockingIOError):  # the pipe is full: the wait ends anyway
                os.write(self._wake_in, b"\0")

    def signal_pipe(self) -> int:
        """Return the descriptor for `signal.set_wakeup_fd`."""
        return self._wake_in

    def close(self) -> None:
        """Close the descriptors."""
        self._selector.close()
        with self._wake_lock:
            os.close(self._wake_in)
            os.close(self._wake_out)
            self._wake_in = -1


def print_line(line: str) -> None:
    """Print a line on stderr."""
    with suppress(OSError):  # stderr is closed: no reason to stop cooling
        print(line, file=sys.stderr, flush=True)


def run(
    agent: "AgentInterface",
    until: "Callable[[], bool] | None" = None,
    openers: "dict[str, Opener] | None" = None,
    out: "Callable[[str], None]" = print_line,
    console: int = -1,
    watches_host: bool = False,
) -> int:
    """Run `agent` over real ports. Return 0 after `until()`, else the number of the signal.

    Returns RESTART or LEAVE_BOOT_LOOP if the agent requests a restart. `watches_host`: returns
    RESTART after the host was suspended, before the agent gets any input.

    `until` is called at least every 250 ms. `openers` (kind of address -> opener) replaces OPENERS.
    `out` prints one line for each change of a port's state, and the writes of the agent to its port
    number `console`. Signals are handled only in the main thread.
    """
    poller = SelectPoller(SuspendWatch() if watches_host else None)
    try:
        with _collect_signals(poller) as signals:
            io_loop = IoLoop(agent, OPENERS if openers is None else openers, poller, out, console)
            gc.collect()
            gc.freeze()
            try:
                io_loop.run(lambda: bool(signals) or (until is not None and until()))
            except HostSuspendedError:
                out("the host was suspended: the agent starts again")
                return RESTART
            finally:
                gc.unfreeze()
        if signals:
            return signals[0]
        return io_loop.result()
    finally:
        poller.close()


@contextmanager
def _collect_signals(poller: SelectPoller) -> "Iterator[list[int]]":
    """Collect SIGTERM and SIGINT. Each ends a wait; none ends the process."""
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def record_signal(number: int, _frame: "FrameType | None") -> None:
        """Store a signal."""
        signals.append(number)

    old_handlers = [
        (number, signal.signal(number, record_signal)) for number in (signal.SIGTERM, signal.SIGINT)
    ]
    pipe = signal.set_wakeup_fd(poller.signal_pipe(), warn_on_full_buffer=False)
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(pipe)
        for number, handler in old_handlers:
            signal.signal(number, handler)
