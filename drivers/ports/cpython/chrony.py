# SPDX-License-Identifier: Apache-2.0
"""Time samples for chronyd: its SOCK reference clock (`refclock SOCK PATH`, chrony.conf(5)).

The agent sends a sample of 17 bytes: a time of the runtime's clock (q), its UTC (q, both
microseconds, big-endian) and the leap warning (B: 0 none, 1 insert, 2 delete). chronyd needs the
offset of the system clock at that time. Only this port can read the system clock.

struct sock_sample of chrony's refclock_sock.c, with a `timeval` of two 64-bit numbers (64-bit
Linux, and 32-bit Linux with 64-bit time):

    timeval tv (system time); double offset (s, true minus system); int pulse, leap, _pad, magic
"""

import os
import socket
import stat
import struct

from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.base import EACCES, ECONNREFUSED, ENOENT, StreamPort, make_error, translate_error
from drivers.ports.cpython.clock import system_offset_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

AGENT_SAMPLE = struct.Struct(">qqB")
SOCK_SAMPLE = struct.Struct("@qqdiiii")
MAGIC = 0x534F434B
_NO_SOCKET = (
    "no such socket: is chronyd running, with a line `refclock SOCK PATH` in its configuration?"
)
_REASONS = {
    ENOENT: _NO_SOCKET,
    ECONNREFUSED: "chronyd does not run: start it",
    EACCES: "permission: let the agent's user write to the socket",
}


class ChronyPort(StreamPort):
    """A datagram socket connected to chronyd."""

    def __init__(self, address: Address, sock: socket.socket) -> None:
        """Store the connected socket of `open_port`."""
        super().__init__(address)
        self._socket = sock

    def read(self) -> "bytes | None":
        """Return no data: chronyd does not reply."""
        return b""

    def write(self, data: bytes) -> int:
        """Send each sample; drops one that the socket does not accept now: it would arrive late."""
        offset_ns = system_offset_ns()
        for at in range(0, len(data) - AGENT_SAMPLE.size + 1, AGENT_SAMPLE.size):
            mono_us, utc_us, leap = AGENT_SAMPLE.unpack_from(data, at)
            self._send(pack_sample(mono_us * 1000 + offset_ns, utc_us, leap))
        return len(data)

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            return
        except OSError as error:
            raise translate_error(self.address, error, _REASONS) from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def pack_sample(system_time_ns: int, utc_us: int, leap: int) -> bytes:
    """Return chrony's struct: the system time was `system_time_ns` at `utc_us`."""
    seconds, rest = divmod(system_time_ns // 1000, 1_000_000)
    offset = (utc_us * 1000 - system_time_ns) / 1e9
    return SOCK_SAMPLE.pack(seconds, rest, offset, 0, leap, 0, MAGIC)


def open_port(address: Address, _wake: "Wake") -> ChronyPort:
    """Open `chrony:PATH`. Raises PortError if chronyd does not run."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if not stat.S_ISSOCK(os.stat(address.path).st_mode):
            raise make_error(address, "not a socket: name the one of `refclock SOCK PATH`")
        sock.setblocking(False)
        sock.connect(address.path)
    except OSError as error:
        sock.close()
        raise translate_error(address, error, _REASONS) from error
    except PortError:
        sock.close()
        raise
    return ChronyPort(address, sock)
