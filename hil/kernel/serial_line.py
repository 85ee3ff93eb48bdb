# SPDX-License-Identifier: Apache-2.0
"""Serial lines between the agent's ports and the devices, with the transmission time of each byte.

Does not emulate a device or a protocol; see `hil.devices`. A line knows the time of one character.
It also knows the largest chunk that a UART or a USB adapter delivers. It delivers a chunk when the
last byte of the chunk has arrived. Replies keep the order of their requests: a slow one holds the
later ones back, as behind a gateway. On a real RS-485 line the other units would reply. The same
class serves virtual time and real time; only the callback `to_agent` differs.
"""

from collections.abc import Callable
from typing import Protocol

from hil.kernel.world import World

NEVER = 1 << 62
Replies = list[tuple[int, bytes]]


class LinePeer(Protocol):
    """Interface of an emulated device on a serial line."""

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes; return replies as (delay in microseconds, bytes)."""

    def wake(self, now: int) -> Replies:
        """Process the passed deadline; return the bytes that the device sends on its own."""

    def deadline(self) -> int:
        """Return the time of the next `wake` call, in microseconds."""


class _FilteredPeer:
    """A device whose replies pass through a function."""

    def __init__(self, device: LinePeer, convert: Callable[[Replies], Replies]) -> None:
        self._device = device
        self._convert = convert

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes; return the converted replies."""
        return self._convert(self._device.receive(data, now))

    def wake(self, now: int) -> Replies:
        """Process the passed deadline; return the converted replies."""
        return self._convert(self._device.wake(now))

    def deadline(self) -> int:
        """Return the deadline of the device."""
        return self._device.deadline()


class DeviceLine:
    """A line with one emulated end: wakes `device` at its deadlines and sends what it then gives.

    A subclass implements `_send`, and calls `_schedule_wake` at its end of `__init__` and after
    each call of the device.
    """

    def __init__(self, world: World, device: LinePeer, char_us: int) -> None:
        self._world = world
        self._device = device
        self._char_us = char_us
        self._wake_due = NEVER

    def _send(self, replies: Replies) -> None:
        """Send what the device gave, as (delay in microseconds, bytes)."""
        raise NotImplementedError

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


class SerialLine(DeviceLine):
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
        super().__init__(world, device, char_us)
        self._to_agent = to_agent
        self._rank = rank
        self.chunk = chunk
        self._out_busy_until = 0
        self._in_busy_until = 0
        self._schedule_wake()

    def write(self, data: bytes) -> None:
        """Send the agent's bytes to the device."""
        world = self._world
        start = world.now
        if start < self._out_busy_until:
            start = self._out_busy_until
        self._out_busy_until = end = start + len(data) * self._char_us
        world.schedule(end, self._arrive, data)

    def set_chunk(self, size: int) -> None:
        """Set the largest chunk to `size` bytes."""
        self.chunk = size

    def convert_replies(self, convert: Callable[[Replies], Replies]) -> None:
        """Pass all replies of the device through `convert`, for example to discard some."""
        self._device = _FilteredPeer(self._device, convert)

    def inject(self, data: bytes) -> None:
        """Queue bytes of another sender (a real device) behind the bytes already on the line."""
        self._send([(0, data)])

    def _arrive(self, data: bytes) -> None:
        replies = self._device.receive(data, self._world.now)
        if replies:
            self._send(replies)
        self._schedule_wake()

    def _send(self, replies: Replies) -> None:
        world, chunk = self._world, self.chunk
        for delay, data in replies:
            at = world.now + delay
            if at < self._in_busy_until:
                at = self._in_busy_until
            size = len(data)
            if size <= chunk:  # the usual case
                if size:
                    at += size * self._char_us
                    world.schedule(at, self._to_agent, data, rank=self._rank)
                self._in_busy_until = at
                continue
            for i in range(0, size, chunk):
                part = data[i : i + chunk]
                at += len(part) * self._char_us
                world.schedule(at, self._to_agent, part, rank=self._rank)
            self._in_busy_until = at
