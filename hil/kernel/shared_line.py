# SPDX-License-Identifier: Apache-2.0
"""One RS-485 line with several masters: each receives all frames of others; frames can collide.

Does not emulate a device; see `hil.devices`. A frame takes the time of its characters. Two frames
at the same time destroy each other: all receivers get changed bytes at their ends. A frame arrives
as one chunk when its last character has arrived. The receiver or the driver of a
master can fail, or its driver holds the line: then each frame is destroyed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hil.kernel.serial_line import DeviceLine, LinePeer, Replies
from hil.kernel.world import World

_DEVICE = -1
_DAMAGE = 0x5A


@dataclass
class Transmission:
    """One frame on the line; `source` is a master's number, or -1 for the devices."""

    source: int
    data: bytes
    start: int
    end: int
    collided: bool = False


@dataclass
class Master:
    """The port of one master on the line."""

    to_agent: Callable[[bytes], None]
    rank: int
    receiver_failed: bool = False
    driver_failed: bool = False
    is_stuck: bool = False
    busy_until: int = 0


class SharedLine(DeviceLine):
    """A half-duplex line with `device` (all devices) and masters; `char_us` for a character.

    `collisions` counts destroyed frames.
    """

    def __init__(self, world: World, device: LinePeer, char_us: int) -> None:
        super().__init__(world, device, char_us)
        self._on_line: list[Transmission] = []
        self.masters: list[Master] = []
        self.collisions = 0
        self._observe: Callable[[int, bytes, int], None] = _observe_nothing
        self._schedule_wake()

    def add_master(self, to_agent: Callable[[bytes], None], rank: int) -> "MasterPort":
        """Add a master; return its side of the line."""
        self.masters.append(Master(to_agent, rank))
        return MasterPort(self, len(self.masters) - 1)

    @property
    def is_held(self) -> bool:
        """Whether the driver of a master holds the line."""
        return any(master.is_stuck for master in self.masters)

    def hold(self, number: int, is_stuck: bool) -> None:
        """Let the driver of a master hold the line, or release it.

        It also destroys what is on the line now.
        """
        self.masters[number].is_stuck = is_stuck
        if is_stuck:
            for other in self._on_line:
                other.collided = other.collided or other.end > self._world.now

    def fail_receiver(self, number: int, is_failed: bool) -> None:
        """Let the receiver of a master fail, or restore it."""
        self.masters[number].receiver_failed = is_failed

    def fail_driver(self, number: int, is_failed: bool) -> None:
        """Let the driver of a master fail (it sends nothing), or restore it."""
        self.masters[number].driver_failed = is_failed

    def set_observer(self, observe: Callable[[int, bytes, int], None]) -> None:
        """Call `observe(master, frame, time)` for each frame of a master without a collision."""
        self._observe = observe

    def send(self, number: int, data: bytes) -> None:
        """Let a master send `data`, behind what it sends now."""
        master = self.masters[number]
        if master.driver_failed or not data:
            return
        start = max(self._world.now, master.busy_until)
        master.busy_until = start + len(data) * self._char_us
        self._world.schedule(start, self._begin, number, data)

    def _begin(self, source: int, data: bytes) -> None:
        now = self._world.now
        self._on_line = [other for other in self._on_line if other.end > now]
        new = Transmission(source, data, now, now + len(data) * self._char_us)
        new.collided = self.is_held
        for other in self._on_line:
            if other.source != source:
                other.collided = new.collided = True
        self._on_line.append(new)
        self._world.schedule(new.end, self._end, new)

    def _end(self, done: Transmission) -> None:
        data = done.data
        if done.collided:
            self.collisions += 1
            data = bytes(byte ^ _DAMAGE for byte in data)
        if done.source != _DEVICE:
            if not done.collided:
                self._observe(done.source, data, self._world.now)
            self._send(self._device.receive(data, self._world.now))
            self._schedule_wake()
        for number, master in enumerate(self.masters):
            if number != done.source and not master.receiver_failed:
                self._world.schedule(self._world.now, master.to_agent, data, rank=master.rank)

    def _send(self, replies: Replies) -> None:
        for delay, data in replies:
            if data:
                self._world.schedule(self._world.now + delay, self._begin, _DEVICE, data)


class MasterPort:
    """The side of one master; has the interface that an endpoint of a serial port expects."""

    def __init__(self, line: SharedLine, number: int) -> None:
        self._line = line
        self._number = number

    def write(self, data: bytes) -> None:
        """Send the bytes of the master."""
        self._line.send(self._number, data)

    def set_chunk(self, size: int) -> None:
        """Ignore the chunk: a frame arrives whole."""


def _observe_nothing(start: int, data: bytes, end: int) -> None:
    """Do nothing. mypyc cannot compile a lambda with `*_` here."""
