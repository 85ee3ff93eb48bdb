# SPDX-License-Identifier: Apache-2.0
"""A Modbus TCP host: several servers at one address, several clients at a time.

It does no I/O: each call returns the outputs in order as (connection, delay in µs, bytes). None
instead of bytes closes the connection. PDU classes and MBAP header come from pymodbus. The server
of pymodbus is not used: it does not close a connection with a wrong protocol id, it cannot limit
the number of clients, and it cannot keep one server silent.

A real host processes the requests of one connection in order. `TcpDeviceLink` keeps that order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from hil.devices.base import NEVER, FaultTarget, TcpReplies
from hil.devices.modbus.requests import ModbusRequest, decode_request, execute_request
from hil.devices.modbus.server import ModbusServer

NO_TARGET = 0x0B
"""Exception "gateway target device failed to respond", section 7 of the protocol."""

_HEADER, _MAX_LENGTH = 6, 254  # MBAP header up to the length field; largest unit and PDU
_MAX_CACHE, _MAX_PENDING = 512, 64
_DEFAULT_UNITS = (0, 255)


class ModbusTcpHost(FaultTarget):
    """The host. Faults:

    down               connections are closed at the next wake (the deadline is then 0), new ones
                       immediately
    silent             accepts bytes and does not reply
    unknown_unit_code  exception code for unknown units (of a gateway); 0: no reply
    Counters: `request_count`, `unknown_unit_count` (requests to unknown units), `protocol_errors`
    (connections closed after an invalid header), `refused_connections` (more than `max_clients`),
    `replaced_connections` (closed for a new one).
    """

    FAULTS: ClassVar = frozenset(("down", "silent", "unknown_unit_code"))

    def __init__(
        self,
        servers: Sequence[ModbusServer],
        max_clients: int = 8,
        idle_us: int = 0,
        unknown_unit_code: int = NO_TARGET,
        gives_way: bool = False,
    ) -> None:
        """Units 0 and 255 mean the first server. A client without data for `idle_us` is closed.

        With `gives_way`, a client above `max_clients` takes the place of the one without data for
        the longest time (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 4.2.2), as many
        devices do. Without it, the new client is refused.
        """
        self.servers = {server.unit: server for server in servers}
        if len(self.servers) != len(servers) or not servers:
            raise ValueError("a host needs one server or more, each with its own unit id")
        self._default_server = servers[0]
        self.max_clients = max_clients
        self.idle_us = idle_us
        self.unknown_unit_code = unknown_unit_code
        self.gives_way = gives_way
        self.down = False
        self.silent = False
        self.request_count = self.unknown_unit_count = self.protocol_errors = 0
        self.refused_connections = self.replaced_connections = 0
        self._framer = FramerSocket(DecodePDU(True))
        self._buffers: dict[int, bytes] = {}
        self._last_received: dict[int, int] = {}
        self._cache: dict[bytes, ModbusRequest] = {}
        self._real_units: dict[int, Callable[[bytes], None]] = {}
        self._pending: dict[bytes, int] = {}

    # Real devices.

    def attach_real(self, unit: int, send: Callable[[bytes], None]) -> None:
        """Hand a unit to a real host: `send` gets every request to it, byte for byte."""
        self._real_units[unit] = send

    def restore_emulated(self, unit: int) -> None:
        """Let the emulated server of a unit reply again."""
        self._real_units.pop(unit, None)

    def forward_reply(self, frame: bytes) -> TcpReplies:
        """Return a real host's frame as output to the client with the same transaction id."""
        conn = self._pending.pop(frame[:2], None)
        return [] if conn is None or conn not in self._buffers else [(conn, 0, frame)]

    # Connections.

    def opened(self, conn: int, now: int) -> TcpReplies:
        """A client has connected."""
        if self.down:
            return [(conn, 0, None)]
        out: TcpReplies = []
        if len(self._buffers) >= self.max_clients:
            if not self.gives_way:
                self.refused_connections += 1
                return [(conn, 0, None)]
            silent = min(self._last_received, key=self._last_received.__getitem__)
            self.replaced_connections += 1
            out = [*self.closed(silent, now), (silent, 0, None)]
        self._buffers[conn] = b""
        self._last_received[conn] = now
        return out

    def closed(self, conn: int, now: int) -> TcpReplies:
        """A client has disconnected."""
        self._buffers.pop(conn, None)
        self._last_received.pop(conn, None)
        return []

    def receive(self, conn: int, data: bytes, now: int) -> TcpReplies:
        """Process bytes of a client; an invalid header closes its connection."""
        if self.down or conn not in self._buffers:
            return [*self._close_all(), (conn, 0, None)]
        self._last_received[conn] = now
        buffer = self._buffers[conn] + data
        out: TcpReplies = []
        while len(buffer) >= _HEADER:
            length = int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\0\0" or not 2 <= length <= _MAX_LENGTH:
                self.protocol_errors += 1
                self.closed(conn, now)
                return [*out, (conn, 0, None)]
            end = _HEADER + length
            if len(buffer) < end:
                break
            out += self._serve(conn, buffer[:end], now)
            buffer = buffer[end:]
        self._buffers[conn] = buffer
        return out

    def wake(self, now: int) -> TcpReplies:
        """Wake the servers; close idle clients, or all clients if the host is down."""
        for server in self.servers.values():
            if server.deadline() <= now:
                server.wake(now)
        if self.down:
            return self._close_all()
        idle = [
            c
            for c, last in self._last_received.items()
            if self.idle_us and last + self.idle_us <= now
        ]
        for conn in idle:
            self.closed(conn, now)
        return [(conn, 0, None) for conn in idle]

    def deadline(self) -> int:
        """Return the earliest deadline; 0 if the host is down and must close connections."""
        if self.down and self._buffers:
            return 0
        due = min(server.deadline() for server in self.servers.values())
        if self.idle_us and self._last_received:
            due = min(due, min(self._last_received.values()) + self.idle_us)
        return min(due, NEVER)

    def _close_all(self) -> TcpReplies:
        out: TcpReplies = [(conn, 0, None) for conn in self._buffers] if self.down else []
        if self.down:
            self._buffers.clear()
            self._last_received.clear()
        return out

    # Requests.

    def _serve(self, conn: int, frame: bytes, now: int) -> TcpReplies:
        unit = frame[6]
        send_real = self._real_units.get(unit) if self._real_units else None
        if send_real is not None and not self.silent:
            if len(self._pending) >= _MAX_PENDING:
                self._pending.clear()
            self._pending[frame[:2]] = conn
            send_real(frame)
            return []
        request = self._decode_cached(frame[6:])
        if self.silent or not frame[7:]:
            return []
        server = request.server
        if server is None:
            return self._reply_unknown_unit(conn, frame, request)
        if server.dead or now < server.silent_until:
            return []
        self.request_count += 1
        server.begin_request(now)
        pdu = execute_request(request, server, now, _payload)
        reply_unit = unit if server.reply_unit is None else server.reply_unit
        reply = self._framer.encode(pdu, reply_unit, int.from_bytes(frame[:2], "big"))
        if (
            server.noise
            or server.corrupted_replies
            or server.truncated_replies
            or server.duplicated_replies
        ):
            reply = server.apply_reply_faults(reply)
        return [(conn, server.turnaround_us + server.extra_delay_us, reply)]

    def _decode_cached(self, body: bytes) -> ModbusRequest:
        """Return the request in unit and PDU, from the cache or decoded."""
        request = self._cache.get(body)
        if request is None:
            unit = body[0]
            server = self._default_server if unit in _DEFAULT_UNITS else self.servers.get(unit)
            request = decode_request(body[1:], unit, server)
            if len(self._cache) >= _MAX_CACHE:
                self._cache.clear()
            self._cache[body] = request
        return request

    def _reply_unknown_unit(self, conn: int, frame: bytes, request: ModbusRequest) -> TcpReplies:
        self.unknown_unit_count += 1
        if not self.unknown_unit_code:
            return []
        pdu = ExceptionResponse(request.function, self.unknown_unit_code)
        reply = self._framer.encode(_payload(pdu), frame[6], int.from_bytes(frame[:2], "big"))
        return [(conn, 0, reply)]


def _payload(pdu: ModbusPDU) -> bytes:
    return bytes((pdu.function_code,)) + pdu.encode()
