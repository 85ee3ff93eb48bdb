# SPDX-License-Identifier: Apache-2.0
"""Real ports for emulated devices: pseudo-terminals for serial lines, TCP sockets for servers.

Does not emulate devices or line timing: a port passes bytes between a descriptor and a line (see
`hil.kernel.serial_line`) or a server. Sockets are bound to loopback, if
the caller names no other host.
"""

import contextlib
import os
import socket
import struct
import tty

from hil.kernel.serial_line import SerialLine
from hil.kernel.tcp_device import TcpDevice, TcpDeviceLink
from hil.shells.realtime import RealTimeShell, raw_offset_us

_READ = 4096
_MAX_CLIENTS = 64


def send_some(sock: socket.socket, data: bytes) -> bytes | None:
    """Send to a non-blocking socket. Return the rest that it did not accept; None: it is broken."""
    try:
        return data[sock.send(data) :]
    except BlockingIOError:
        return data
    except OSError:
        return None


class PtyPort:
    """A pseudo-terminal; a program opens `path` as its serial port."""

    def __init__(self, shell: RealTimeShell) -> None:
        self.line: SerialLine | None = None
        self.disconnected = False
        self.lost_bytes = 0
        self._shell = shell
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        shell.watch(self._master, self._readable)

    def connect(self, line: SerialLine) -> None:
        """Connect `line` to the port."""
        self.line = line

    def set_disconnected(self, is_disconnected: bool) -> None:
        """Disconnect the port from its line, or connect it again."""
        self.disconnected = is_disconnected

    def _readable(self) -> None:
        data = os.read(self._master, _READ)
        if self.line is not None and not self.disconnected:
            self.line.write(data)

    def to_agent(self, data: bytes) -> None:
        """Write bytes of the line to the port; a full port loses them, as a UART does."""
        if self.disconnected:
            return
        try:
            self.lost_bytes += len(data) - os.write(self._master, data)
        except BlockingIOError:
            self.lost_bytes += len(data)

    def close(self) -> None:
        """Close both ends."""
        self._shell.unwatch(self._master)
        os.close(self._master)
        os.close(self._slave)


class PulsePipe:
    """A named pipe for pulses; the agent opens `path` as `pps:PATH` (on CPython).

    Each edge is eight bytes: the time in µs on the clock of an agent on CPython, which is
    CLOCK_MONOTONIC_RAW. Unread edges are dropped.
    """

    def __init__(self, path: str, base: int) -> None:
        """`base` is the monotonic time at bench time 0, µs."""
        self.path = path
        self._base = base
        os.mkfifo(path, 0o600)
        # Open for reading, too: so there is always a writer, and a reader never gets end-of-file.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def write_edge(self, at: int) -> None:
        """Write an edge at bench time `at`; drop an unread edge."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, _READ)
        os.write(self._descriptor, struct.pack(">q", self._base + raw_offset_us() + at))

    def close(self) -> None:
        """Close the pipe; its file is removed with its folder."""
        os.close(self._descriptor)


class _Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unsent = b""


class TcpListener:
    """A listening socket for an emulated server, with `latency_us` each way."""

    def __init__(
        self,
        shell: RealTimeShell,
        server: TcpDevice,
        latency_us: int = 0,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self._shell = shell
        self.device_link = TcpDeviceLink(shell.world, server, latency_us, self._deliver)
        self._clients: dict[int, _Client] = {}
        self._last_conn = 0
        self._down = False
        self._listener = socket.create_server((host, port))
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()
        shell.watch(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # the client is gone already, or the process has no descriptor left
            return
        sock.setblocking(False)
        if self._down or len(self._clients) >= _MAX_CLIENTS:
            sock.close()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._last_conn += 1
        conn = self._last_conn
        self._clients[conn] = _Client(sock)
        self._shell.watch(sock.fileno(), lambda: self._readable(conn))
        self.device_link.opened(conn)

    def _readable(self, conn: int) -> None:
        client = self._clients.get(conn)
        if client is None:
            return
        try:
            data = client.sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            world = self._shell.world
            world.schedule(world.now + self.device_link.latency_us, self._arrive, conn, data)
        else:
            self._drop(conn)

    def _arrive(self, conn: int, data: bytes) -> None:
        if conn in self._clients:
            self.device_link.receive(conn, data)

    def _drop(self, conn: int) -> None:
        client = self._clients.pop(conn, None)
        if client is not None:
            self._shell.unwatch(client.sock.fileno())
            client.sock.close()
            self.device_link.closed(conn)

    def _deliver(self, conn: int, data: bytes | None) -> None:
        client = self._clients.get(conn)
        if client is None:
            return
        if data is None:
            self._drop(conn)
            return
        unsent = send_some(client.sock, client.unsent + data)
        if unsent is None:
            self._drop(conn)
            return
        client.unsent = unsent
        if unsent:
            world = self._shell.world
            world.schedule(world.now + 10_000, self._deliver, conn, b"")

    def set_down(self, down: bool) -> None:
        """Close all connections and refuse new ones while `down` is true."""
        self._down = down
        if down:
            for conn in list(self._clients):
                self._drop(conn)

    def close(self) -> None:
        """Close the listener and all connections."""
        for conn in list(self._clients):
            self._drop(conn)
        self._shell.unwatch(self._listener.fileno())
        self._listener.close()
