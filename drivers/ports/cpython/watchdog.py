# SPDX-License-Identifier: Apache-2.0
"""Watchdogs on Linux: `watchdog:/dev/watchdog` (the kernel's) and `watchdog:systemd` (the unit's).

Any write services the watchdog. The kernel's takes one byte (linux/watchdog: any write but `V`).
systemd takes the datagram WATCHDOG=1 to $NOTIFY_SOCKET (sd_notify(3), with WatchdogSec= in the
unit). The agent writes once per good control cycle; no thread or timer here does it. Closing does
not disarm the kernel's watchdog: it resets the machine if no other agent starts.
"""

import os
import socket

from drivers.ports.address import Address
from drivers.ports.base import EACCES, EBUSY, ENOENT, StreamPort, make_error, translate_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

SYSTEMD = "systemd"
_REASONS = {
    ENOENT: "no such watchdog: load the driver (softdog for tests)",
    EACCES: "permission: let the agent's user write to it",
    EBUSY: "busy: another program services it already",
}


class WatchdogPort(StreamPort):
    """One watchdog."""

    def __init__(self, address: Address, descriptor: int, sock: "socket.socket | None") -> None:
        """Store the result of `open_port`: a descriptor, or a connected socket."""
        super().__init__(address)
        self._descriptor = descriptor
        self._socket = sock

    def read(self) -> "bytes | None":
        """Return no data: watchdogs send none."""
        return b""

    def write(self, data: bytes) -> int:
        """Service the watchdog once, independent of the length of the data."""
        try:
            if self._socket is not None:
                self._socket.send(b"WATCHDOG=1")
            else:
                os.write(self._descriptor, b"\0")
        except BlockingIOError:
            pass
        except OSError as error:
            raise translate_error(self.address, error, _REASONS) from error
        return len(data)

    def close(self) -> None:
        """Close without disarming the watchdog."""
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
            raise translate_error(address, error, _REASONS) from error
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        raise make_error(address, "no NOTIFY_SOCKET: start it as a unit with Type=notify")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        sock.send(b"READY=1")
    except OSError as error:
        sock.close()
        raise translate_error(address, error, _REASONS) from error
    return WatchdogPort(address, -1, sock)
