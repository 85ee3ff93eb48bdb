"""Far ends of the agent's ports in virtual time: what opens, what takes bytes, what refuses.

Not the devices: an end joins a port of the agent to a line or a broker, and says `opened`, `failed`
or `closed` as an operating system would. Faults of a port (absent, pulled) are set here.
"""

from collections.abc import Callable

from hil.kernel.serial_line import SerialLine
from hil.kernel.tcp_device import TcpDevice, TcpDeviceLink
from hil.kernel.world import World
from hil.shells.virtual import VirtualShell

_CONNECT_LIMIT = 10_000_000
"""Microseconds after which a connection that nobody answers is given up."""
_OPEN_TIME = 1_000
"""Microseconds an operating system takes to open a port."""


class SerialEndpoint:
    """A serial port with a line behind it; `absent` makes it fail to open."""

    def __init__(self, shell: VirtualShell, port: int) -> None:
        self._shell = shell
        self._port = port
        self.line: SerialLine | None = None
        self.absent = False
        self.is_open = False
        self.baud: int | None = None

    def connect(self, line: SerialLine) -> None:
        """Put `line` behind the port."""
        self.line = line

    def open(self, address: bytes) -> None:
        """Answer after the time an operating system takes."""
        self.set(address.partition(b"?")[2])
        world = self._shell.world
        world.schedule(world.now + _OPEN_TIME, self._opened, rank=self._port)

    def _opened(self) -> None:
        self.is_open = not self.absent
        self._shell.event(self._port, "failed" if self.absent else "opened")

    def write(self, data: bytes) -> None:
        """Put the bytes on the line."""
        if self.is_open and self.line is not None:
            self.line.write(data)

    def set(self, options: bytes) -> None:
        """Take options of an address, of which only the speed matters here."""
        for option in options.split(b"&"):
            if option.startswith(b"baud="):
                self.baud = int(option[5:])

    def close(self) -> None:
        """Forget the port."""
        self.is_open = False

    def to_agent(self, data: bytes) -> None:
        """Take bytes from the line; nobody hears them while the port is shut."""
        if self.is_open:
            self._shell.deliver(self._port, data)

    def plug(self) -> None:
        """Let the port be there again after `unplug`; the agent must open it."""
        self.absent = False

    def unplug(self) -> None:
        """Pull the plug: the port closes and is absent from now on."""
        self.absent = True
        if self.is_open:
            self.is_open = False
            self._shell.event(self._port, "closed")


class TcpEndpoint:
    """A TCP client port with a server behind a link of `latency_us` each way; `down` refuses.

    `silent`: nothing gets through and nobody is told. A connection that stood then is half-open: it
    stays open and dead, also when the link is back. `cut_after`: so many bytes more pass upwards,
    then the link is silent.
    """

    def __init__(self, shell: VirtualShell, port: int, server: TcpDevice, latency_us: int) -> None:
        self._shell = shell
        self._port = port
        self.device_link = TcpDeviceLink(shell.world, server, latency_us, self._deliver, port)
        self._conn = 0
        self._is_connected = False
        self.down = False
        self.silent = False
        self.cut_after: int | None = None
        self._dead_conn = 0

    def open(self, address: bytes) -> None:
        """Connect: one round trip, then `opened` or `failed`."""
        world = self._shell.world
        if self.silent:
            at = world.now + _CONNECT_LIMIT
            world.schedule(at, self._shell.event, self._port, "failed", rank=self._port)
            return
        world.schedule(
            world.now + 2 * self.device_link.latency_us, self._connected, rank=self._port
        )

    def _connected(self) -> None:
        if self.down or self.silent:
            self._shell.event(self._port, "failed")
            return
        self._conn += 1
        self._is_connected = True
        self.device_link.opened(self._conn)
        self._shell.event(self._port, "opened")

    def write(self, data: bytes) -> None:
        """Send bytes to the server."""
        if self._is_connected and self._conn != self._dead_conn:
            world = self._shell.world
            world.schedule(world.now + self.device_link.latency_us, self._arrive, self._conn, data)

    def _arrive(self, conn: int, data: bytes) -> None:
        if self.cut_after is not None:
            data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
            if self.cut_after <= 0:
                self.cut_after = None
                self.set_silent(True)
        if data and self._is_connected and conn == self._conn:
            self.device_link.receive(conn, data)

    def close(self) -> None:
        """Close from the agent's side."""
        if self._is_connected:
            self._is_connected = False
            self.device_link.closed(self._conn)

    def set_down(self, down: bool) -> None:
        """While down, both sides lose the connection and new ones are refused."""
        self.down = down
        if down and self._is_connected:
            self.close()
            self._shell.event(self._port, "closed")

    def set_cut_after(self, count: int | None) -> None:
        """Make the link silent after `count` more bytes from the agent; None cancels this."""
        self.cut_after = count

    def set_silent(self, silent: bool) -> None:
        """Let the link fall silent, or be back; what stood when it did is dead for good."""
        self.silent = silent
        if silent and self._is_connected:
            self._dead_conn = self._conn

    def _deliver(self, conn: int, data: bytes | None) -> None:
        if not self._is_connected or conn != self._conn or conn == self._dead_conn:
            return
        if data is None:
            self._is_connected = False
            self._shell.event(self._port, "closed")
        else:
            self._shell.deliver(self._port, data)


class SinkEndpoint:
    """A port that opens at once and hands every write to `on_write`: the store, the console."""

    def __init__(self, shell: VirtualShell, port: int, on_write: Callable[[bytes], None]) -> None:
        self._shell = shell
        self._port = port
        self._on_write = on_write

    def open(self, address: bytes) -> None:
        """Open after the time an operating system takes."""
        world: World = self._shell.world
        world.schedule(
            world.now + _OPEN_TIME, self._shell.event, self._port, "opened", rank=self._port
        )

    def write(self, data: bytes) -> None:
        """Hand the bytes over."""
        self._on_write(data)

    def close(self) -> None:
        """Nothing is held."""


class ConsoleEndpoint(SinkEndpoint):
    """The console: lines, and the controller's wish to be started anew."""

    def __init__(
        self,
        shell: VirtualShell,
        port: int,
        on_write: Callable[[bytes], None],
        restart: Callable[[], None],
    ) -> None:
        super().__init__(shell, port, on_write)
        self._restart = restart

    def set(self, data: bytes) -> None:
        """Start it anew once its turn is over."""
        world = self._shell.world
        world.schedule(world.now, self._restart, rank=self._port)
