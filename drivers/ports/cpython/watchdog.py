"""Watchdogs on Linux: `watchdog:/dev/watchdog` (the kernel's) and `watchdog:systemd` (the unit's).

Whatever is written feeds it: the kernel's by one byte (linux/watchdog: any write but `V`), systemd
by the datagram WATCHDOG=1 to $NOTIFY_SOCKET (sd_notify(3), with WatchdogSec= in the unit). The
agent writes once a cycle that went well; nothing else here feeds, no thread, no timer. Closing does
not disarm the kernel's watchdog: an agent that ends without another in its place lets it bite.
"""

import os
import socket

from drivers.ports.address import Address
from drivers.ports.base import EACCES, EBUSY, ENOENT, StreamPort, explain, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

SYSTEMD = "systemd"
_REASONS = {
    ENOENT: "no such watchdog: load the driver (softdog serves for trials)",
    EACCES: "permission: let the agent's user write to it",
    EBUSY: "busy: another program feeds it already",
}


class WatchdogPort(StreamPort):
    """One watchdog; `feed` does what feeds it."""

    def __init__(self, address: Address, descriptor: int, sock: "socket.socket | None") -> None:
        """Take what `open_port` opened: a descriptor, or a connected socket."""
        super().__init__(address)
        self._descriptor = descriptor
        self._socket = sock

    def read(self) -> "bytes | None":
        """Return nothing: watchdogs do not talk."""
        return b""

    def write(self, data: bytes) -> int:
        """Feed it, once, however much is written."""
        try:
            if self._socket is not None:
                self._socket.send(b"WATCHDOG=1")
            else:
                os.write(self._descriptor, b"\0")
        except BlockingIOError:
            pass
        except OSError as error:
            raise explain(self.address, error, _REASONS) from error
        return len(data)

    def close(self) -> None:
        """Give it back without disarming it."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._descriptor)


def open_port(address: Address, _wake: "Wake") -> WatchdogPort:
    """Open `watchdog:PATH` or `watchdog:systemd`. Raises PortError."""
    if address.path != SYSTEMD:
        try:
            return WatchdogPort(address, os.open(address.path, os.O_WRONLY), None)
        except OSError as error:
            raise explain(address, error, _REASONS) from error
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        raise failure(address, "no NOTIFY_SOCKET: start it as a unit with Type=notify")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        sock.send(b"READY=1")
    except OSError as error:
        sock.close()
        raise explain(address, error, _REASONS) from error
    return WatchdogPort(address, -1, sock)
