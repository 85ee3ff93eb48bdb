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
_RETRY_US = 10_000
"""Pause before the next try to send what a client did not accept, µs."""
_STUCK_US = 60_000_000
"""A client that accepts no byte for so long is dropped, µs."""


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
    """One connection. While there are `unsent` bytes, it is not read: as at a real device, its
    requests then wait in the kernel, and a client that never reads costs no memory.

    `has_ended`: it sends no more, but can still wait for replies (half-closed). `stuck_at`: time of
    its last accepted byte.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unsent = b""
        self.stuck_at = 0
        self.is_watched = False
        self.has_ended = False


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
        self._watch(conn)
        self.device_link.opened(conn)

    def _watch(self, conn: int) -> None:
        """Read the client, if it can still send and has accepted all replies."""
        client = self._clients[conn]
        is_wanted = not client.has_ended and not client.unsent
        if is_wanted and not client.is_watched:
            self._shell.watch(client.sock.fileno(), lambda: self._readable(conn))
        elif client.is_watched and not is_wanted:
            self._shell.unwatch(client.sock.fileno())
        client.is_watched = is_wanted

    def _readable(self, conn: int) -> None:
        client = self._clients.get(conn)
        if client is None or not client.is_watched:
            return
        world = self._shell.world
        try:
            data = client.sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(conn)
            return
        if data:
            world.schedule(world.now + self.device_link.latency_us, self._arrive, conn, data)
        else:
            client.has_ended = True
            self._watch(conn)
            world.schedule(world.now + self.device_link.latency_us, self._end, conn)

    def _end(self, conn: int) -> None:
        """Close a half-closed connection after the last reply; its requests have all arrived."""
        client = self._clients.get(conn)
        if client is None:
            return
        due = self.device_link.last_reply_at(conn)
        world = self._shell.world
        if due > world.now or client.unsent:
            world.schedule(max(due, world.now + _RETRY_US), self._end, conn)
        else:
            self._drop(conn)

    def _arrive(self, conn: int, data: bytes) -> None:
        if conn in self._clients:
            self.device_link.receive(conn, data)

    def _drop(self, conn: int) -> None:
        client = self._clients.pop(conn, None)
        if client is not None:
            if client.is_watched:
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
        if client.unsent:
            client.unsent += data
            return
        client.unsent = data
        client.stuck_at = self._shell.world.now
        self._send_rest(conn)

    def _send_rest(self, conn: int) -> None:
        """Send the unsent bytes; try the rest again later. One such event waits for a client."""
        client = self._clients.get(conn)
        if client is None:
            return
        world = self._shell.world
        rest = send_some(client.sock, client.unsent)
        if rest is None:
            self._drop(conn)
            return
        if len(rest) < len(client.unsent):
            client.stuck_at = world.now
        client.unsent = rest
        if rest and world.now - client.stuck_at > _STUCK_US:
            self._drop(conn)
            return
        self._watch(conn)
        if rest:
            world.schedule(world.now + _RETRY_US, self._send_rest, conn)

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
