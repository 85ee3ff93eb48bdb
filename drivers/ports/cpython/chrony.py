"""Samples of time for chronyd: its SOCK reference clock (`refclock SOCK PATH`, chrony.conf(5)).

A sample comes from the agent as 17 bytes: a moment of the shell's clock (q), UTC at it (q, both
microseconds, big end first) and the leap warning (B: 0 none, 1 insert, 2 delete). What chronyd
wants to know is how far the system's clock was off at that moment; only this port can look at that.

struct sock_sample of chrony's refclock_sock.c, with a `timeval` of two 64-bit numbers as on every
64-bit Linux and with 64-bit time on 32-bit ones:

    timeval tv (system time); double offset (s, true less system); int pulse, leap, _pad, magic
"""

import os
import socket
import stat
import struct

from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.base import EACCES, ECONNREFUSED, ENOENT, StreamPort, explain, failure
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
    ECONNREFUSED: "chronyd has gone: start it again",
    EACCES: "permission: let the agent's user write to the socket",
}


class ChronyPort(StreamPort):
    """A datagram socket connected to chronyd's."""

    def __init__(self, address: Address, sock: socket.socket) -> None:
        """Take the socket that `open_port` connected."""
        super().__init__(address)
        self._socket = sock

    def read(self) -> "bytes | None":
        """Return nothing: chronyd does not answer."""
        return b""

    def write(self, data: bytes) -> int:
        """Send each sample; one that chronyd has no room for is dropped: it will be late anyway."""
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
            raise explain(self.address, error, _REASONS) from error

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def pack_sample(system_time_ns: int, utc_us: int, leap: int) -> bytes:
    """Write chrony's struct: the system showed `system_time_ns` when it was `utc_us`."""
    seconds, rest = divmod(system_time_ns // 1000, 1_000_000)
    offset = (utc_us * 1000 - system_time_ns) / 1e9
    return SOCK_SAMPLE.pack(seconds, rest, offset, 0, leap, 0, MAGIC)


def open_port(address: Address, _wake: "Wake") -> ChronyPort:
    """Open `chrony:PATH`. Raises PortError when chronyd is not there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if not stat.S_ISSOCK(os.stat(address.path).st_mode):
            raise failure(address, "not a socket: name the one of `refclock SOCK PATH`")
        sock.setblocking(False)
        sock.connect(address.path)
    except OSError as error:
        sock.close()
        raise explain(address, error, _REASONS) from error
    except PortError:
        sock.close()
        raise
    return ChronyPort(address, sock)
