"""A Modbus TCP host: several slaves behind one address, several clients at a time.

Sans-IO like the broker: every call returns what to do, in order, as (connection, delay in µs,
bytes), where None instead of bytes closes that connection. PDU classes and the MBAP header are
pymodbus'. Its server is not used: it ends a connection that sends a wrong protocol id never, cannot
limit its clients, and keeps no slave silent.

A real host serves requests of one connection in order; whoever carries the bytes keeps that order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from hil.devices.base import NEVER
from hil.devices.modbus.requests import Request, answer, decode
from hil.devices.modbus.server import Slave

Output = list[tuple[int, int, bytes | None]]

NO_TARGET = 0x0B
"""Exception "gateway target device failed to respond", section 7 of the protocol."""

_HEADER, _LENGTH_MOST = 6, 254  # MBAP up to the length; unit and PDU at most
_CACHE_MOST, _ASKED_MOST = 512, 64
_WHOLE_HOST = (0, 255)


class ModbusTcp:
    """The host. Faults, plain attributes that may change at any time:

    down       connections are closed at the next wake (the deadline is then 0), new ones at once
    silent     takes bytes and answers nothing
    unknown    exception code for units that are not there (a gateway); 0 answers nothing
    Counters: `heard`, `foreign` (requests to units that are not there), `bad` (connections closed
    for what they sent), `refused` (connections beyond `clients_most`).
    """

    def __init__(
        self,
        slaves: Sequence[Slave],
        clients_most: int = 8,
        idle_us: int = 0,
        unknown: int = NO_TARGET,
    ) -> None:
        """Units 0 and 255 mean the first slave. A client that is silent for `idle_us` is closed."""
        self.slaves = {slave.unit: slave for slave in slaves}
        if len(self.slaves) != len(slaves) or not slaves:
            raise ValueError("a host has one slave or more, each with a unit id of its own")
        self._first = slaves[0]
        self.clients_most = clients_most
        self.idle_us = idle_us
        self.unknown = unknown
        self.down = False
        self.silent = False
        self.heard = self.foreign = self.bad = self.refused = 0
        self._framer = FramerSocket(DecodePDU(True))
        self._buffers: dict[int, bytes] = {}
        self._last: dict[int, int] = {}
        self._cache: dict[bytes, Request] = {}
        self._handed: dict[int, Callable[[bytes], None]] = {}
        self._asked: dict[bytes, int] = {}

    # Real devices.

    def hand(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Give a unit to a real host: `send` gets every request to it, byte for byte."""
        self._handed[unit] = send

    def take_back(self, unit: int) -> None:
        """Let the emulated slave answer again."""
        self._handed.pop(unit, None)

    def replied(self, frame: bytes) -> Output:
        """A real host's frame: for the client whose transaction it carries."""
        conn = self._asked.pop(frame[:2], None)
        return [] if conn is None or conn not in self._buffers else [(conn, 0, frame)]

    # Connections.

    def opened(self, conn: int, now: int) -> Output:
        """A client connected."""
        if self.down:
            return [(conn, 0, None)]
        if len(self._buffers) >= self.clients_most:
            self.refused += 1
            return [(conn, 0, None)]
        self._buffers[conn] = b""
        self._last[conn] = now
        return []

    def closed(self, conn: int, now: int) -> Output:
        """A client is gone."""
        self._buffers.pop(conn, None)
        self._last.pop(conn, None)
        return []

    def receive(self, conn: int, data: bytes, now: int) -> Output:
        """Bytes of a client; a header that makes no sense ends its connection."""
        if self.down or conn not in self._buffers:
            return [*self._fall(), (conn, 0, None)]
        self._last[conn] = now
        buffer = self._buffers[conn] + data
        out: Output = []
        while len(buffer) >= _HEADER:
            length = int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\0\0" or not 2 <= length <= _LENGTH_MOST:
                self.bad += 1
                self.closed(conn, now)
                return [*out, (conn, 0, None)]
            end = _HEADER + length
            if len(buffer) < end:
                break
            out += self._serve(conn, buffer[:end], now)
            buffer = buffer[end:]
        self._buffers[conn] = buffer
        return out

    def wake(self, now: int) -> Output:
        """Let the slaves' clocks act; close who was silent for too long, or all when down."""
        for slave in self.slaves.values():
            if slave.deadline() <= now:
                slave.wake(now)
        if self.down:
            return self._fall()
        idle = [c for c, last in self._last.items() if self.idle_us and last + self.idle_us <= now]
        for conn in idle:
            self.closed(conn, now)
        return [(conn, 0, None) for conn in idle]

    def deadline(self) -> int:
        """The earliest deadline; 0 when going down has work left."""
        if self.down and self._buffers:
            return 0
        due = min(slave.deadline() for slave in self.slaves.values())
        if self.idle_us and self._last:
            due = min(due, min(self._last.values()) + self.idle_us)
        return min(due, NEVER)

    def _fall(self) -> Output:
        out: Output = [(conn, 0, None) for conn in self._buffers] if self.down else []
        if self.down:
            self._buffers.clear()
            self._last.clear()
        return out

    # Requests.

    def _serve(self, conn: int, frame: bytes, now: int) -> Output:
        unit = frame[6]
        forward = self._handed.get(unit) if self._handed else None
        if forward is not None and not self.silent:
            if len(self._asked) >= _ASKED_MOST:
                self._asked.clear()
            self._asked[frame[:2]] = conn
            forward(frame)
            return []
        request = self._decoded(frame[6:])
        if self.silent or not frame[7:]:
            return []
        slave = request.slave
        if slave is None:
            return self._missing(conn, frame, request)
        if slave.dead or now < slave.silent_until:
            return []
        self.heard += 1
        slave.requests += 1
        slave.heard(now)
        pdu = answer(request, slave, now, _payload)
        shown = unit if slave.reply_unit is None else slave.reply_unit
        reply = self._framer.encode(pdu, shown, int.from_bytes(frame[:2], "big"))
        if slave.noise or slave.corrupt or slave.cut or slave.twice:
            reply = slave.spoiled(reply)
        return [(conn, slave.turnaround_us + slave.extra_delay_us, reply)]

    def _decoded(self, body: bytes) -> Request:
        """The request in unit and PDU, from the cache or decoded."""
        request = self._cache.get(body)
        if request is None:
            unit = body[0]
            slave = self._first if unit in _WHOLE_HOST else self.slaves.get(unit)
            request = decode(body[1:], unit, slave)
            if len(self._cache) >= _CACHE_MOST:
                self._cache.clear()
            self._cache[body] = request
        return request

    def _missing(self, conn: int, frame: bytes, request: Request) -> Output:
        self.foreign += 1
        if not self.unknown:
            return []
        pdu = ExceptionResponse(request.function, self.unknown)
        reply = self._framer.encode(_payload(pdu), frame[6], int.from_bytes(frame[:2], "big"))
        return [(conn, 0, reply)]


def _payload(pdu: ModbusPDU) -> bytes:
    return bytes((pdu.function_code,)) + pdu.encode()
