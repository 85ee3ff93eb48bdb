# SPDX-License-Identifier: Apache-2.0
"""The serial line of a receiver with a vendor dialect: variable speed, USB adapter, pulses.

Does not emulate the receiver; see `hil.devices.gnss.receiver`. The line always uses the present
speed of the receiver, because a command can change it. If the port at the other end has another
speed, both sides receive invalid bytes. A USB adapter delivers at multiples of its interval, one
chunk at most. If the line is too slow, it delays bytes up to the receiver's buffer size and then
loses whole epochs.
"""

from collections.abc import Callable

from hil.devices.gnss.receiver import GnssReceiver
from hil.kernel.serial_line import Replies, SerialLine
from hil.kernel.world import World

_SECOND = 1_000_000
_BITS_PER_CHAR = 10
_BUFFER_US = 4 * _SECOND
"""Longest delay in the buffer. At 9600 baud an ATGM332D was 3.5 s late (satpulse#467)."""

JITTER_US = 1.0
"""Jitter of an edge's time stamp, µs: kernel PPS has about 1 µs (gpsd-time-service-howto)."""


def char_us(baud: int) -> int:
    """Return the time of one character, µs, rounded up."""
    return -(-_BITS_PER_CHAR * _SECOND // baud)


class ReceiverLine(SerialLine):
    """The line of `receiver`; `port_baud` returns the other end's speed (None: always equal).

    `rank`: order of its events among events at one time.

    Counter: `lost_epochs` (epochs lost because the buffer was full).
    """

    def __init__(
        self,
        world: World,
        receiver: GnssReceiver,
        to_agent: Callable[[bytes], None],
        rank: int,
        port_baud: Callable[[], int | None],
    ) -> None:
        self.lost_epochs = 0
        self._receiver = receiver
        self._port_baud = port_baud
        self._usb_us = receiver.dialect.usb_us
        super().__init__(
            world, receiver, char_us(receiver.baud(0)), to_agent, rank, receiver.dialect.chunk
        )

    def write(self, data: bytes) -> None:
        """Send the agent's bytes; at a different speed they are garbled."""
        baud, port = self._receiver.baud(self._world.now), self._port_baud()
        self._char_us = char_us(port or baud)
        super().write(data if port in (None, baud) else garble(data, port or baud, baud))

    def _send(self, replies: Replies) -> None:
        now = self._world.now
        baud, port = self._receiver.baud(now), self._port_baud()
        self._char_us = char_us(baud)
        for delay, data in replies:
            at = max(now + delay, self._in_busy_until)
            if at - now > _BUFFER_US:
                self.lost_epochs += 1
                continue
            baud_differs = port is not None and port != baud
            self._in_busy_until = at + len(data) * self._char_us
            self._schedule_chunks(
                garble(data, baud, port or baud) if baud_differs else data, at, len(data)
            )

    def _schedule_chunks(self, data: bytes, at: int, sent_characters: int) -> None:
        """Deliver in chunks, each after its last byte and at the end of an adapter interval.

        Garbled data has another length than `sent_characters`, and takes the same time.
        """
        size = self.chunk
        for i in range(0, len(data), size):
            part = data[i : i + size]
            end = at + (i + len(part)) * sent_characters * self._char_us // max(1, len(data))
            if self._usb_us:
                end = -(-end // self._usb_us) * self._usb_us
            self._world.schedule(end, self._to_agent, part, rank=self._rank)


def garble(data: bytes, sent_baud: int, received_baud: int) -> bytes:
    """Return the bytes received at another speed: other values, and another number of bytes.

    The values are arbitrary, but always the same for the same data.
    """
    count = max(1, len(data) * received_baud // sent_baud) if data else 0
    return bytes([(data[i * len(data) // count] * 37 + 85 * i) & 0xFF for i in range(count)])


class PulseOutput:
    """Passes the receiver's pulses to `on_pulse` while it has a fix, with jitter.

    `on_pulse` gets the time of the edge: now in virtual time, slightly in the past in real time.
    """

    def __init__(
        self, world: World, receiver: GnssReceiver, on_pulse: Callable[[int], None], rank: int
    ) -> None:
        self._world = world
        self._receiver = receiver
        self._on_pulse = on_pulse
        self._rank = rank
        self._rng = world.random("pulse")
        world.schedule(world.now, self._schedule_next)

    def _schedule_next(self) -> None:
        """Schedule the next edge."""
        edge = self._receiver.next_pulse(self._world.now)
        jitter = round(self._rng.gauss(0.0, JITTER_US))
        self._world.schedule(edge + jitter, self._emit, edge + jitter, rank=self._rank)

    def _emit(self, at: int) -> None:
        if self._receiver.pulsing:
            self._on_pulse(at)
        self._world.schedule(self._world.now + _SECOND // 2, self._schedule_next)
