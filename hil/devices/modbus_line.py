"""One RS-485 line with emulated Modbus RTU slaves on it.

Frames are taken apart and put together by pymodbus (its CRC, its PDU classes, its framer), never by
code of ours, so that a mistake in the agent's frames cannot hide behind the same mistake here.

What pymodbus' own slave framer does not do is done here: it shares the line. Requests to units that
are not emulated, and replies of real devices to them, are recognised and passed over; garbage
before a frame is skipped; a frame may come in pieces. Decoded requests are kept (a master repeats
itself), and so is the last reply to each, for as long as the slave's registers stay as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from hil.devices.base import MILLISECOND, NEVER, Replies
from hil.devices.modbus_slave import ILLEGAL_FUNCTION, ILLEGAL_VALUE, Slave

_FRAME_MOST = 256  # Modbus over serial line V1.02, section 2.3
_FRAME_LEAST = 4
_BUFFER_MOST = 2 * _FRAME_MOST
_CACHE_MOST = 512
_READS = {3: ReadHoldingRegistersResponse, 4: ReadInputRegistersResponse}
_WRITES = (6, 16)
_SIZED = frozenset((1, 2, 3, 4, 5, 6, 15, 16, 22, 23))  # functions whose length is in the frame
_READ_MOST, _WRITE_MOST = 125, 123  # registers a frame


@dataclass(slots=True)
class _Request:
    """A request as decoded once, with the last reply to it."""

    unit: int
    slave: Slave | None
    function: int
    address: int = 0
    count: int = 0
    values: list[int] = field(default_factory=list)
    error: int = 0
    reply_version: int = -1
    reply: bytes = b""


class ModbusLine:
    """The emulated half of a multidrop RTU line; a `Device`.

    Fault: `silent` (nothing on the line answers, as with a cut cable). Each slave has its own.
    Counters: `heard` (requests to emulated units), `foreign` (frames of others), `garbage` (bytes
    that were part of no frame).
    """

    def __init__(self, slaves: Sequence[Slave], gap_us: int = 50 * MILLISECOND) -> None:
        """Bytes that make no frame are dropped after a pause of `gap_us`.

        A real slave drops them after 3.5 characters; a pseudo-terminal cannot keep such times.
        """
        self.slaves = {slave.unit: slave for slave in slaves}
        if len(self.slaves) != len(slaves):
            raise ValueError("two slaves have the same unit id")
        self.gap_us = gap_us
        self.silent = False
        self.heard = 0
        self.foreign = 0
        self.garbage = 0
        self._framer = FramerRTU(DecodePDU(True))
        self._requests = DecodePDU(True)
        self._answers = DecodePDU(False)
        self._cache: dict[bytes, _Request] = {}
        self._buffer = b""
        self._last = -NEVER

    def receive(self, data: bytes, now: int) -> Replies:
        """Bytes from the master (or from real devices on the same line)."""
        if self._buffer:
            if now - self._last > self.gap_us:
                self.garbage += len(self._buffer)
                self._buffer = b""
        else:
            request = self._cache.get(data)
            if request is not None:
                return self._serve(request, now)
        self._last = now
        replies: Replies = []
        for frame in self._frames(data):
            replies += self._serve(self._decoded(frame), now)
        return replies

    def wake(self, now: int) -> Replies:
        """Let the slaves' own clocks act."""
        for slave in self.slaves.values():
            if slave.deadline() <= now:
                slave.wake(now)
        return []

    def deadline(self) -> int:
        """The earliest deadline of the slaves."""
        return min((slave.deadline() for slave in self.slaves.values()), default=NEVER)

    # Framing.

    def _frames(self, data: bytes) -> list[bytes]:
        """Whole frames with a right CRC, in order; what may still become one is kept."""
        self._buffer += data
        frames: list[bytes] = []
        while True:
            found = self._first_frame(self._buffer)
            if found is None:
                break
            start, end = found
            self.garbage += start
            frames.append(self._buffer[start:end])
            self._buffer = self._buffer[end:]
        if len(self._buffer) > _BUFFER_MOST:
            self.garbage += len(self._buffer) - _FRAME_MOST
            self._buffer = self._buffer[-_FRAME_MOST:]
        return frames

    def _first_frame(self, data: bytes) -> tuple[int, int] | None:
        """Where the first frame in `data` starts and ends."""
        if _FRAME_LEAST <= len(data) <= _FRAME_MOST and self._crc_right(data):
            return 0, len(data)
        for start in range(len(data) - _FRAME_LEAST + 1):
            for size in self._sizes(data[start : start + 12]):
                end = start + size
                if end <= len(data) and self._crc_right(data[start:end]):
                    return start, end
        return None

    def _sizes(self, head: bytes) -> list[int]:
        """How long a frame that starts with `head` would be, as a request and as an answer."""
        function = head[1]
        if function & 0x80:
            return [5] if function & 0x7F in _SIZED else []
        if function not in _SIZED:
            return []
        sizes = []
        for decoder in (self._requests, self._answers):
            pdu = decoder.lookupPduClass(head)
            size = pdu.calculateRtuFrameSize(head) if pdu is not None else 0
            if _FRAME_LEAST <= size <= _FRAME_MOST and size not in sizes:
                sizes.append(size)
        return sizes

    @staticmethod
    def _crc_right(frame: bytes) -> bool:
        check = (frame[-2] << 8) | frame[-1]
        return FramerRTU.check_CRC(frame[:-2], check)

    # Requests.

    def _decoded(self, frame: bytes) -> _Request:
        """The request in a frame, from the cache or decoded."""
        request = self._cache.get(frame)
        if request is None:
            request = self._decode(frame)
            if len(self._cache) >= _CACHE_MOST:
                self._cache.clear()
            self._cache[frame] = request
        return request

    def _decode(self, frame: bytes) -> _Request:
        """Take a frame apart; what is wrong with it becomes its exception code."""
        unit, function = frame[0], frame[1]
        slave = self.slaves.get(unit)
        request = _Request(unit, slave, function)
        if slave is None and unit != 0:
            return request
        if slave is not None and function not in slave.functions:
            request.error = ILLEGAL_FUNCTION
        elif function in _READS and not 1 <= int.from_bytes(frame[4:6], "big") <= _READ_MOST:
            request.error = ILLEGAL_VALUE  # pymodbus would refuse to decode it, with a log line
        elif function in _READS or function in _WRITES:
            self._fill(request, self._requests.decode(frame[1:-2]))
        else:
            request.error = ILLEGAL_FUNCTION
        return request

    @staticmethod
    def _fill(request: _Request, pdu: ModbusPDU | None) -> None:
        """Copy address, count and values; check that a multiple write agrees with itself."""
        if pdu is None:
            request.error = ILLEGAL_VALUE
            return
        request.address, request.count = pdu.address, pdu.count
        request.values = list(pdu.registers)
        if isinstance(pdu, WriteMultipleRegistersRequest):
            right = 1 <= pdu.count <= _WRITE_MOST and pdu.byte_count == 2 * pdu.count
            if not right or len(request.values) != pdu.count:
                request.error = ILLEGAL_VALUE

    def _serve(self, request: _Request, now: int) -> Replies:
        """Carry a request out; its reply with the slave's delay, or nothing."""
        slave = request.slave
        if self.silent:
            return []
        if slave is None:
            self._others(request, now)
            return []
        if slave.dead:
            return []
        self.heard += 1
        slave.requests += 1
        slave.heard(now)
        frame = self._answer(request, slave, now)
        if slave.noise or slave.corrupt or slave.reply_unit is not None:
            frame = self._spoil(frame, slave)
        return [(slave.turnaround_us + slave.extra_delay_us, frame)]

    def _others(self, request: _Request, now: int) -> None:
        """A broadcast is obeyed by all without a reply; the rest is not for us."""
        if request.unit != 0:
            self.foreign += 1
        elif request.function in _WRITES and not request.error:
            for slave in self.slaves.values():
                if not slave.dead:
                    slave.heard(now)
                    slave.write(request.address, request.values, now)

    def _answer(self, request: _Request, slave: Slave, now: int) -> bytes:
        """The reply's frame, before faults."""
        error = slave.refuse or request.error
        if error:
            return self._exception(request, error)
        if request.function in _WRITES:
            error = slave.write(request.address, request.values, now)
            if error:
                return self._exception(request, error)
            if not request.reply:
                request.reply = self._framer.buildFrame(self._confirmation(request))
            return request.reply
        slave.refresh(now)
        if request.reply_version == slave.version:
            return request.reply
        values = slave.read(request.address, request.count)
        if isinstance(values, int):
            frame = self._exception(request, values)
        else:
            pdu = _READS[request.function](dev_id=request.unit, registers=values)
            frame = self._framer.buildFrame(pdu)
        request.reply, request.reply_version = frame, slave.version
        return frame

    @staticmethod
    def _confirmation(request: _Request) -> ModbusPDU:
        if request.function == 6:
            return WriteSingleRegisterResponse(
                dev_id=request.unit, address=request.address, registers=request.values
            )
        return WriteMultipleRegistersResponse(
            dev_id=request.unit, address=request.address, count=request.count
        )

    def _exception(self, request: _Request, code: int) -> bytes:
        pdu = ExceptionResponse(request.function, code, device_id=request.unit)
        return self._framer.buildFrame(pdu)

    def _spoil(self, frame: bytes, slave: Slave) -> bytes:
        """Apply the slave's faults to a good reply."""
        if slave.reply_unit is not None:
            frame = self._framer.encode(frame[1:-2], slave.reply_unit, 0)
        if slave.corrupt:
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
            if slave.corrupt > 0:
                slave.corrupt -= 1
        return slave.noise + frame
