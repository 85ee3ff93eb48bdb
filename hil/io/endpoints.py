# SPDX-License-Identifier: Apache-2.0
"""Endpoints of the agent's ports in virtual time.

Does not emulate devices; see `hil.devices`. An endpoint connects a port of the agent to a line or
to a server. It sends the events `opened`, `failed` and `closed` like an operating system. It also
has the faults of a port (unplugged, silent). Events of equal time come in the order of the port
numbers (`rank` of the world).
"""

from collections.abc import Callable
from typing import Protocol

from hil.kernel.tcp_device import TcpDevice, TcpDeviceLink
from hil.kernel.world import World
from hil.shells.virtual import VirtualShell

_CONNECT_TIMEOUT_US = 10_000_000
"""Time-out of a connection without a reply, µs."""
_OPEN_US = 1_000
"""Time to open a port, µs."""


class LinePort(Protocol):
    """What a serial port uses of a line: `hil.kernel.serial_line`, or one side of a shared line."""

    def write(self, data: bytes) -> None:
        """Send the bytes of the controller."""


class SerialEndpoint:
    """A serial port with a line behind it; while `absent`, it cannot be opened."""

    def __init__(self, shell: VirtualShell, port: int) -> None:
        self._shell = shell
        self._port = port
        self.line: LinePort | None = None
        self.absent = False
        self.is_open = False
        self.baud: int | None = None

    def connect(self, line: LinePort) -> None:
        """Connect `line` to the port."""
        self.line = line

    def open(self, address: bytes) -> None:
        """Open the port after `_OPEN_US`."""
        self.set(address.partition(b"?")[2])
        world = self._shell.world
        world.schedule(world.now + _OPEN_US, self._opened, rank=self._port)

    def _opened(self) -> None:
        self.is_open = not self.absent
        self._shell.event(self._port, "failed" if self.absent else "opened")

    def write(self, data: bytes) -> None:
        """Send the bytes on the line."""
        if self.is_open and self.line is not None:
            self.line.write(data)

    def set(self, options: bytes) -> None:
        """Set the options of an address; only the speed has an effect here."""
        for option in options.split(b"&"):
            if option.startswith(b"baud="):
                self.baud = int(option[5:])

    def close(self) -> None:
        """Close the port."""
        self.is_open = False

    def to_agent(self, data: bytes) -> None:
        """Deliver bytes of the line; a closed port loses them."""
        if self.is_open:
            self._shell.deliver(self._port, data)

    def plug(self) -> None:
        """End `unplug`; the agent must open the port again."""
        self.absent = False

    def unplug(self) -> None:
        """Unplug the port: it closes and cannot be opened."""
        self.absent = True
        if self.is_open:
            self.is_open = False
            self._shell.event(self._port, "closed")


class TcpEndpoint:
    """A TCP client port with a server behind a link of `latency_us` each way.

    `down`: connections are closed and refused. `silent`: no data passes and no event is sent. A
    connection from before stays open but dead (half-open), also after the end of the fault.
    `cut_after`: the link is silent after this number of bytes from the agent.
    """

    def __init__(self, shell: VirtualShell, port: int, server: TcpDevice, latency_us: int) -> None:
        self._shell = shell
        self._port = port
        self.device_link = TcpDeviceLink(shell.world, server, latency_us, self._deliver, port)
        self._conn_number = self._attempt_number = self._answered_attempt = 0
        self._is_connected = False
        self.down = False
        self.silent = False
        self.cut_after: int | None = None
        self._dead_conn = 0
        self._accepts_write: Callable[[bytes], bool] | None = None

    def open(self, address: bytes) -> None:
        """Connect: one round trip, then `opened` or `failed`.

        A lost SYN is repeated after 1, 3 and 7 s; the attempt fails after 10 s. A new attempt ends
        the one before.
        """
        self._attempt_number += 1
        now = self._shell.world.now
        self._send_syn(self._attempt_number)
        if self._answered_attempt == self._attempt_number:
            return
        for delay_us in (1_000_000, 3_000_000, 7_000_000):
            self._schedule(now + delay_us, self._send_syn, self._attempt_number)
        self._schedule(now + _CONNECT_TIMEOUT_US, self._fail, self._attempt_number)

    def _schedule(self, at_us: int, call: Callable[[int], None], attempt: int) -> None:
        self._shell.world.schedule(at_us, call, attempt, rank=self._port)

    def _send_syn(self, attempt: int) -> None:
        if (
            attempt == self._attempt_number
            and not self.silent
            and attempt != self._answered_attempt
        ):
            self._answered_attempt = attempt
            now = self._shell.world.now
            self._schedule(now + 2 * self.device_link.latency_us, self._connected, attempt)

    def _fail(self, attempt: int) -> None:
        if attempt == self._attempt_number and attempt != self._answered_attempt:
            self._shell.event(self._port, "failed")

    def _connected(self, attempt: int) -> None:
        if attempt != self._attempt_number:
            return
        if self.down or self.silent:
            self._shell.event(self._port, "failed")
            return
        self._conn_number += 1
        self._is_connected = True
        self.device_link.opened(self._conn_number)
        self._shell.event(self._port, "opened")

    def filter_writes(self, accepts: Callable[[bytes], bool]) -> None:
        """Call `accepts` with the bytes of each write; False discards the bytes."""
        self._accepts_write = accepts

    def write(self, data: bytes) -> None:
        """Send bytes to the server."""
        if self._accepts_write is not None and not self._accepts_write(data):
            return
        if self._is_connected and self._conn_number != self._dead_conn:
            world = self._shell.world
            world.schedule(
                world.now + self.device_link.latency_us, self._arrive, self._conn_number, data
            )

    def _arrive(self, conn: int, data: bytes) -> None:
        if self.cut_after is not None:
            data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
            if self.cut_after <= 0:
                self.cut_after = None
                self.set_silent(True)
        if data and self._is_connected and conn == self._conn_number:
            self.device_link.receive(conn, data)

    def close(self) -> None:
        """Close the connection from the agent's side."""
        if self._is_connected:
            self._is_connected = False
            self.device_link.closed(self._conn_number)

    def set_down(self, down: bool) -> None:
        """Close the connection on both sides and refuse new ones while `down` is true."""
        self.down = down
        if down and self._is_connected:
            self.close()
            self._shell.event(self._port, "closed")

    def set_cut_after(self, count: int | None) -> None:
        """Make the link silent after `count` more bytes from the agent; None cancels this."""
        self.cut_after = count

    def set_silent(self, silent: bool) -> None:
        """Begin or end a silent link; a connection from before stays dead."""
        self.silent = silent
        if silent and self._is_connected:
            self._dead_conn = self._conn_number

    def _deliver(self, conn: int, data: bytes | None) -> None:
        if not self._is_connected or conn != self._conn_number or conn == self._dead_conn:
            return
        if data is None:
            self._is_connected = False
            self._shell.event(self._port, "closed")
        else:
            self._shell.deliver(self._port, data)


class SinkEndpoint:
    """A port that always opens and passes each write to `on_write` (the status, the console)."""

    def __init__(self, shell: VirtualShell, port: int, on_write: Callable[[bytes], None]) -> None:
        self._shell = shell
        self._port = port
        self._on_write = on_write

    def open(self, address: bytes) -> None:
        """Open the port after `_OPEN_US`."""
        world: World = self._shell.world
        world.schedule(
            world.now + _OPEN_US, self._shell.event, self._port, "opened", rank=self._port
        )

    def write(self, data: bytes) -> None:
        """Pass the bytes to `on_write`."""
        self._on_write(data)

    def close(self) -> None:
        """Do nothing: the endpoint holds no resource."""


class ConsoleEndpoint(SinkEndpoint):
    """The console: text lines, and the controller's request for a restart.

    In the outbox of the agent the request is the operation `set` with `restart` or `leave`.
    """

    def __init__(
        self,
        shell: VirtualShell,
        port: int,
        on_write: Callable[[bytes], None],
        restart: Callable[[], None],
    ) -> None:
        super().__init__(shell, port, on_write)
        self._restart = restart

    def set(self, _request: bytes) -> None:
        """Restart the controller after its present step, whatever the request."""
        world = self._shell.world
        world.schedule(world.now, self._restart, rank=self._port)
