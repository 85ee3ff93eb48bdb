# SPDX-License-Identifier: Apache-2.0
"""A Modbus server on a free port of the loopback, in a thread, with a fake unit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator

from deploy.northbound.access.types import FakeAudit, FakeWriter
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.modbus.requests import ModbusRequests
from deploy.northbound.modbus.roles import find_role
from deploy.northbound.modbus.server import ModbusLimits, ModbusTcpServer
from deploy.northbound.modbus.set_points import ModbusWriteRules, UnitRegisters

FAST = ModbusLimits(requests_per_s=100_000, burst=100_000, total_per_s=1e6)
LOOPBACK = ModbusWriteRules(sources=("127.0.0.0/8",))


class FakeTime:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ModbusRig:
    """A fake unit and its registers. `writer` None: read-only."""

    def __init__(
        self,
        writer: FakeWriter | None = None,
        rules: ModbusWriteRules | None = None,
        **options: object,
    ) -> None:
        self.source, self.audit, self.writer = FakeSource(1), FakeAudit(), writer
        self.time = FakeTime()
        self.registers = UnitRegisters(self.source, self.audit, self.time, writer, rules, **options)
        self.requests = ModbusRequests(self.registers)
        self.server: ModbusTcpServer | None = None
        self.port = 0

    def next_record(self, change: Callable[[FakeSource], None] = FakeSource.step) -> None:
        """Change the unit and read its record."""
        change(self.source)
        self.registers.refresh()

    @contextlib.contextmanager
    def serve(
        self,
        limits: ModbusLimits = FAST,
        tls: ssl.SSLContext | None = None,
        is_permitted: Callable[[str], bool] | None = None,
    ) -> Iterator[int]:
        """Serve in a thread; give the port."""
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        loop = asyncio.new_event_loop()
        self.server = server = ModbusTcpServer(
            self.requests, limits, tls, find_role, is_permitted=is_permitted
        )
        thread = threading.Thread(target=self._run, args=(loop, sock))
        thread.start()
        try:
            yield self.port
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    def _run(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        asyncio.set_event_loop(loop)
        assert self.server is not None
        loop.run_until_complete(self.server.start(sock))
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()


def frame(pdu: bytes, transaction: int = 7, unit: int = 1) -> bytes:
    """Return a request with its header."""
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def ask(sock: socket.socket, pdu: bytes, unit: int = 1) -> bytes:
    """Send a request, return the PDU of the reply; b"" if the server closed."""
    sock.sendall(frame(pdu, unit=unit))
    return read_reply(sock)


def read_reply(sock: socket.socket) -> bytes:
    """Return the PDU of the next reply; b"" if the server closed."""
    header = _receive(sock, 7)
    if len(header) < 7:
        return b""
    transaction, protocol, length, _unit = struct.unpack(">HHHB", header)
    assert (transaction, protocol) == (7, 0)
    return _receive(sock, length - 1)


def _receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while len(data) < count and (part := sock.recv(count - len(data))):
            data += part
    return data


def is_closed(sock: socket.socket) -> bool:
    """Return whether the server closes the connection within 5 s."""
    sock.settimeout(5)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def wait_for(is_true: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait for a fact."""
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)
