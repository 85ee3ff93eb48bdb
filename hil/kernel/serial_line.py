"""Lines between the agent's ports and the devices: bytes take the time the wire gives them.

Not a device and not a protocol: a line knows a character's time and how large a chunk a UART or a
USB adapter hands over at once. A chunk is delivered when its last byte has arrived. The same lines
serve virtual time and real time; only the far end differs (`to_agent`).
"""

from collections.abc import Callable
from typing import Protocol

from hil.kernel.world import World

NEVER = 1 << 62
Replies = list[tuple[int, bytes]]


class LinePeer(Protocol):
    """What an emulated device on a serial line looks like."""

    def receive(self, data: bytes, now: int) -> Replies:
        """Take bytes; return replies as (delay in microseconds, bytes)."""

    def wake(self, now: int) -> Replies:
        """Take the passing of the deadline; return what the device sends by itself."""

    def deadline(self) -> int:
        """Give the time at which the device wants to be woken."""


class SerialLine:
    """A full-duplex line: `char_us` microseconds a character, chunks of at most `chunk` bytes."""

    def __init__(
        self,
        world: World,
        device: LinePeer,
        char_us: int,
        to_agent: Callable[[bytes], None],
        rank: int,
        chunk: int = 512,
    ) -> None:
        self._world = world
        self._device = device
        self._char_us = char_us
        self._to_agent = to_agent
        self._rank = rank
        self.chunk = chunk
        self._out_busy_until = 0
        self._in_busy_until = 0
        self._wake_due = NEVER
        self._schedule_wake()

    def write(self, data: bytes) -> None:
        """Send the agent's bytes to the device."""
        start = max(self._world.now, self._out_busy_until)
        self._out_busy_until = start + len(data) * self._char_us
        self._world.schedule(self._out_busy_until, self._arrive, data)

    def inject(self, data: bytes) -> None:
        """Put bytes of somebody else (a real device) on the line, after what is on it."""
        self._send([(0, data)])

    def _arrive(self, data: bytes) -> None:
        self._send(self._device.receive(data, self._world.now))
        self._schedule_wake()

    def _wake(self, due: int) -> None:
        if due == self._wake_due:
            self._wake_due = NEVER
            self._send(self._device.wake(self._world.now))
            self._schedule_wake()

    def _schedule_wake(self) -> None:
        due = self._device.deadline()
        if due < self._wake_due:
            self._wake_due = due
            self._world.schedule(due, self._wake, due)

    def _send(self, replies: Replies) -> None:
        now = self._world.now
        for delay, data in replies:
            at = max(now + delay, self._in_busy_until)
            for i in range(0, len(data), self.chunk):
                part = data[i : i + self.chunk]
                at += len(part) * self._char_us
                self._world.schedule(at, self._to_agent, part, rank=self._rank)
            self._in_busy_until = at
