# SPDX-License-Identifier: Apache-2.0
"""When a board may write its flash: between two ticks, and while no byte is expected.

An erase stops the interrupts of an RP2 for 45 ms (400 ms at most by the data sheet of the flash).
So it delays a tick, and a line loses what its FIFO of 32 bytes does not take. The store of a board
asks here before each slice of its work (drivers/ports/micropython/slot_store.py).

A gap is open if the next tick and the next whole second (the pulse of a receiver) are far enough
away, no request is on a field bus, and the receiver is silent and stays so: its last two bursts
tell when the next one begins. While a slice waits, polls are held back for `_HOLD_US`, then they
are free for `_FREE_US`. Writes and stops are never held back. A slice that waits for `_LONGEST_US`
needs no idle line any more: a record must become durable on a line that is never idle. After twice
this time it does not wait for the tick either.

A slice without an erase waits only for a time in which it ends before the tick.

Does not measure the flash: a slower one than `need` says still delays a tick.
"""

from agent.port_numbers import RECEIVER
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ERASE_US = 40 * MILLISECOND
"""A shorter slice has no erase and needs no idle line: FIFOs and buffers take the bytes."""
_HOLD_US, _FREE_US = 150 * MILLISECOND, 150 * MILLISECOND
_STEP_US = 10 * MILLISECOND
_LONGEST_US = 2 * SECOND
_STOPPED_US = 200 * MILLISECOND
"""If a tick is later than this, the agent has ended; its records must not wait."""
_SILENT_US = 20 * MILLISECOND
"""A burst of a receiver has ended after this time without a byte."""
_JITTER_US = 10 * MILLISECOND
_LONGEST_BURST_US = 2 * SECOND


class FlashGap:
    """The gaps of `agent`, whose inputs it follows from now on. Times are monotonic µs."""

    def __init__(self, agent: "Any") -> None:
        self._agent = agent
        self._since = -1
        self._free_from = 0
        self._byte_at = self._burst_at = -_LONGEST_BURST_US
        self._period = 0
        agent.add_port_listener(self)

    def on_receive(self, port: int, _data: bytes, now: int) -> None:
        """Follow the bursts of the receiver."""
        if port != RECEIVER:
            return
        if now - self._byte_at > _SILENT_US:
            self._period = now - self._burst_at
            self._burst_at = now
        self._byte_at = now

    def on_outbox(self, _actions: "Any") -> None:
        """Ignore outputs."""

    def is_open(self, now: int, need: int) -> bool:
        """Return whether a slice of `need` µs can begin."""
        due = self._agent.ticks.due
        if now - due > _STOPPED_US:
            return True
        if need < _ERASE_US:
            return bool(due - now >= min(need, self._agent.ticks.period // 2))
        if self._since < 0:
            self._since = now
        waited, end = now - self._since, now + need
        if waited < _LONGEST_US and now >= self._free_from:
            self._hold_polls(now)
        if due < end and waited < 2 * _LONGEST_US:
            return False
        if waited < _LONGEST_US:
            if not (self._is_second_far(now, end) and self._is_silent(now, end)):
                return False
            for bus in self._agent.fieldbus.buses:
                if not bus.is_at_rest(now):
                    return False
        self._since = -1
        self._free_from = now + need + _FREE_US
        return True

    def _hold_polls(self, now: int) -> None:
        """Hold polls back for a moment; it is called in each step of the loop."""
        if now - max(self._since, self._free_from) > _HOLD_US:
            self._free_from = now + _FREE_US
            return
        for bus in self._agent.fieldbus.buses:
            bus.hold_polls(now + _STEP_US)

    def _is_second_far(self, now: int, end: int) -> bool:
        """Return whether no second of UTC begins before `end`."""
        offset = self._agent.clock.offset
        return offset is None or (now + offset) // SECOND == (end + offset) // SECOND

    def _is_silent(self, now: int, end: int) -> bool:
        """Return whether the receiver is silent, and its next burst is after `end`."""
        if now - self._byte_at < _SILENT_US:
            return False
        if self._period > _LONGEST_BURST_US:
            return True
        to_next = self._burst_at + self._period - _JITTER_US
        return not now < to_next + 2 * _JITTER_US or to_next >= end
