"""One RS-485 line with emulated Modbus RTU slaves on it.

Frames are taken apart and put together by pymodbus (its CRC, its PDU classes, its framer), never by
code of ours, so that a mistake in the agent's frames cannot hide behind the same mistake here.

What pymodbus' own server does not do is done here: it shares the line. Requests to units that are
not emulated, and replies of real devices to them, are recognised and passed over; garbage before a
frame is skipped; a frame may come in pieces. Any unit may be handed to a real port while the rest
goes on. Decoded requests are kept (a master repeats itself), and so is the last reply to each, for
as long as the slave's tables stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from hil.devices.base import MILLISECOND, NEVER, Device, Replies
from hil.devices.modbus.frames import Frames
from hil.devices.modbus.requests import Request, answer, decode, obey
from hil.devices.modbus.server import Slave

_CACHE_MOST = 512


class ModbusLine:
    """The emulated half of a multidrop RTU line; a `Device`.

    Faults: `silent` (nothing on the line answers, as with a cut cable), `echo` (an adapter that
    hears itself: every request comes back before the reply). Each slave has its own.
    Counters: `heard` (requests to emulated units), `foreign` (frames of others), `garbage` (bytes
    that were part of no frame).
    """

    def __init__(
        self,
        slaves: Sequence[Slave],
        gap_us: int = 50 * MILLISECOND,
        others: Sequence[Device] = (),
    ) -> None:
        """`others` also talk on the line (another master). Bytes that make no frame are dropped
        after a pause of `gap_us`.

        A real slave drops them after 3.5 characters; a pseudo-terminal cannot keep such times.
        """
        self.slaves = {slave.unit: slave for slave in slaves}
        if len(self.slaves) != len(slaves):
            raise ValueError("two slaves have the same unit id")
        self.others = list(others)
        self.silent = False
        self.echo = False
        self.heard = 0
        self.foreign = 0
        self._frames = Frames(gap_us)
        self._framer = FramerRTU(DecodePDU(True))
        self._cache: dict[bytes, Request] = {}
        self._handed: dict[int, Callable[[bytes], None]] = {}

    @property
    def garbage(self) -> int:
        """Bytes that were part of no frame."""
        return self._frames.garbage

    # Real devices.

    def hand(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Give a unit to a real port: `send` gets every request to it, byte for byte.

        The emulated slave of that unit is silent from now on; broadcasts go to both.
        """
        self._handed[unit] = send

    def take_back(self, unit: int) -> None:
        """Let the emulated slave answer again."""
        self._handed.pop(unit, None)

    # The device.

    def receive(self, data: bytes, now: int) -> Replies:
        """Bytes from the master (or from real devices on the same line)."""
        replies: Replies = [(0, data)] if self.echo else []
        if not self._frames.buffer:
            request = self._cache.get(data)
            if request is not None:
                served = self._serve(request, data, now)
                return replies + served if replies else served
        for frame in self._frames.take(data, now):
            replies += self._serve(self._decoded(frame), frame, now)
        return replies

    def wake(self, now: int) -> Replies:
        """Let the slaves' own clocks act, and others talk."""
        for slave in self.slaves.values():
            if slave.deadline() <= now:
                slave.wake(now)
        replies: Replies = []
        for other in self.others:
            if other.deadline() <= now:
                replies += other.wake(now)
        return [] if self.silent else replies

    def deadline(self) -> int:
        """The earliest deadline on the line."""
        due = NEVER
        for slave in self.slaves.values():
            at = slave.deadline()
            if at < due:
                due = at
        for other in self.others:
            due = min(due, other.deadline())
        return due

    # Requests.

    def _decoded(self, frame: bytes) -> Request:
        """The request in a frame, from the cache or decoded."""
        request = self._cache.get(frame)
        if request is None:
            unit = frame[0]
            request = decode(frame[1:-2], unit, self.slaves.get(unit))
            if len(self._cache) >= _CACHE_MOST:
                self._cache.clear()
            self._cache[frame] = request
        return request

    def _serve(self, request: Request, frame: bytes, now: int) -> Replies:
        """Carry a request out; its reply with the slave's delay, or nothing."""
        slave = request.slave
        if self.silent or (self._handed and self._hand_over(request.unit, frame)):
            return []
        if slave is None:
            self._pass(request, now)
            return []
        if slave.dead or now < slave.silent_until:
            return []
        self.heard += 1
        slave.requests += 1
        slave.heard(now)
        reply = answer(request, slave, now, self._framer.buildFrame)
        if slave.noise or slave.corrupt or slave.cut or slave.twice or slave.reply_unit is not None:
            if slave.reply_unit is not None:
                reply = self._framer.encode(reply[1:-2], slave.reply_unit, 0)
            reply = slave.spoiled(reply)
        return [(slave.turnaround_us + slave.extra_delay_us, reply)]

    def _hand_over(self, unit: int, frame: bytes) -> bool:
        """Pass a frame on to a real port; true when the emulated slave has no part in it."""
        if unit == 0:
            for send in set(self._handed.values()):
                send(frame)
            return False
        forward = self._handed.get(unit)
        if forward is None:
            return False
        forward(frame)
        return True

    def _pass(self, request: Request, now: int) -> None:
        """A broadcast is obeyed by all without a reply; the rest is not for us."""
        if request.unit != 0:
            self.foreign += 1
            return
        for unit, slave in self.slaves.items():
            if unit not in self._handed and not slave.dead and now >= slave.silent_until:
                slave.heard(now)
                obey(request, slave, now)
