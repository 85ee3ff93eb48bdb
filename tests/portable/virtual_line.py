"""A paced line with well-behaved slaves in virtual time, to measure what a bus makes of the wire.

Not a test and not the bench's line: a few dozen lines that run on both interpreters. Bytes take the
time of the baud rate both ways; a slave answers `turnaround_us` after the last byte.
"""

from protocols.modbus.crc import sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.bus import Bus, Result

NEVER = 1 << 62


class Slave:
    """A unit whose register n holds n; it takes any write."""

    def __init__(self, unit: int, turnaround_us: int = 5_000) -> None:
        self.unit = unit
        self.turnaround_us = turnaround_us
        self.dead = False
        self.holes: list[int] = []
        self.heard = 0

    def answer(self, frame: bytes) -> bytes:
        """The reply to an intact request."""
        self.heard += 1
        head = frame[:2]
        address = frame[2] << 8 | frame[3]
        if frame[1] > 4:
            return sealed(frame[:6])
        count = frame[4] << 8 | frame[5]
        for hole in self.holes:
            if address <= hole < address + count:
                return sealed(bytes((frame[0], frame[1] | 0x80, 2)))
        words = [bytes((n >> 8 & 255, n & 255)) for n in range(address, address + count)]
        return sealed(head + bytes((2 * count,)) + b"".join(words))


class VirtualLine:
    """`bus` and `slaves` on one line. `first_bytes`, if it is a list, takes (when, unit, function)
    of every request.
    """

    def __init__(self, bus: "Bus", slaves: "list[Slave]", baud: int, bits: int = 11) -> None:
        self.bus = bus
        self.slaves = {slave.unit: slave for slave in slaves}
        self.now = 0
        self.chunk = 16
        self.first_bytes: list[tuple[int, int, int]] | None = None
        self._char = bits * 1_000_000 / baud
        self._coming: list[tuple[int, bytes]] = []
        bus.event("opened", 0)

    def run(self, until: int, collect: "Callable[[list[Result], int], None]") -> None:
        """Go on to `until`; `collect` gets the bus's results and may submit more."""
        bus = self.bus
        while True:
            due = bus.deadline()
            at = self._coming[0][0] if self._coming else NEVER
            if min(due, at) > until:
                self.now = until
                return
            if at <= due:
                self.now, data = self._coming.pop(0)
                bus.receive(data, self.now)
            else:
                self.now = max(self.now, due)
                bus.wake(self.now)
            self._carry()
            collect(bus.results(), self.now)
            self._carry()

    def _carry(self) -> None:
        for _, op, frame in self.bus.outbox():
            if op != "write":
                continue
            if self.first_bytes is not None:
                self.first_bytes.append((self.now, frame[0], frame[1]))
            slave = self.slaves.get(frame[0])
            if slave is None or slave.dead:
                continue
            reply = slave.answer(frame)
            begin = self.now + int(len(frame) * self._char + 0.999) + slave.turnaround_us
            for at in range(0, len(reply), self.chunk):
                part = reply[at : at + self.chunk]
                end = begin + int((at + len(part)) * self._char + 0.999)
                self._coming.append((end, part))
