# SPDX-License-Identifier: Apache-2.0
"""PPS on CPython: a Linux PPS device, or a named pipe with the pulses of the bench.

    pps:/dev/pps0             the kernel timestamps the edge (RFC 2783, include/uapi/linux/pps.h)
    pps:/dev/pps0?edge=fall   the clear edge
    pps:/run/bench.pps        a named pipe; 8 bytes per edge, microseconds of the runtime,
    big-endian

`read` returns one edge as these 8 bytes; the I/O loop makes a `pulse` of it. A thread fetches from
a device, since the call waits; the thread wakes the runtime. The kernel's timestamp is system time.
The port subtracts the age of the edge from the runtime's time. Therefore a step of the system clock
between two edges has no effect. A step in the millisecond between edge and read rejects the edge.
"""

import errno
import fcntl
import os
import stat
import struct
import threading

from drivers.ports.address import Address
from drivers.ports.base import ENOENT, ENOTTY, StreamPort, make_error, translate_error
from drivers.ports.cpython.clock import monotonic, system_offset_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.base import Port, Wake

EDGE = struct.Struct(">q")
_DATA = struct.Struct("@IIqiIqiIi4xqiI")
"""struct pps_fdata: two sequence numbers, assert and clear (s, ns, flags), mode, timeout."""
_FETCH = 3 << 30 | struct.calcsize("P") << 16 | ord("p") << 8 | 0xA4
"""PPS_FETCH, _IOWR('p', 0xa4, struct pps_fdata *): the size is that of the pointer."""
_FETCH_TIMEOUT_S = 2
_MAX_AGE_US = 1_500_000
_MAX_PENDING = 4
_REASONS = {
    ENOENT: "no such device: is pps-gpio or pps-ldisc loaded, and is the name right?",
    ENOTTY: "not a PPS device: name one such as /dev/pps0",
    errno.EACCES: "permission: give the user the right to read the device (a udev rule)",
    errno.EOPNOTSUPP: "this PPS device cannot wait for an edge",
}


class PpsDevicePort(StreamPort):
    """An open PPS device; `ioctl` is that of the system, or of a test."""

    def __init__(self, address: Address, descriptor: int, wake: "Wake", ioctl: "Any") -> None:
        """Start the thread that fetches edges."""
        super().__init__(address)
        self._descriptor = descriptor
        self._wake = wake
        self._ioctl = ioctl
        self._falling_edge = address.edge == "fall"
        self._lock = threading.Lock()
        self._edges: list[int] = []
        self._error: OSError | None = None
        self._closed = False
        self._last_sequence = 0
        threading.Thread(target=self._run, daemon=True).start()

    def read(self) -> "bytes | None":
        """Return the oldest edge, or b""."""
        with self._lock:
            if self._error is not None:
                raise translate_error(self.address, self._error, _REASONS)
            return EDGE.pack(self._edges.pop(0)) if self._edges else b""

    def write(self, data: bytes) -> int:
        """Discard the data: a PPS input has no output."""
        return len(data)

    def close(self) -> None:
        """Stop the thread; it closes the device."""
        with self._lock:
            self._closed = True

    def _run(self) -> None:
        """Fetch edges, in the thread."""
        while not self._closed and self._try_fetch():
            pass
        os.close(self._descriptor)

    def _try_fetch(self) -> bool:
        """Wait for an edge, at most 2 s; False if the device failed."""
        try:
            self._fetch()
        except OSError as error:
            if error.errno in (errno.ETIMEDOUT, errno.EINTR):
                return True
            with self._lock:
                self._error = error
            self._wake()
            return False
        return True

    def _fetch(self) -> None:
        data = bytearray(_DATA.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, _FETCH_TIMEOUT_S, 0, 0))
        self._ioctl(self._descriptor, _FETCH, data)
        fields = _DATA.unpack(data)
        sequence = fields[1 if self._falling_edge else 0]
        seconds, nanoseconds = fields[5:7] if self._falling_edge else fields[2:4]
        previous, self._last_sequence = self._last_sequence, sequence
        edge = (seconds * 1_000_000_000 + nanoseconds - system_offset_ns()) // 1000
        if sequence == previous or not 0 <= monotonic() - edge <= _MAX_AGE_US:
            return
        with self._lock:
            self._edges = [*self._edges[1 - _MAX_PENDING :], edge]
        self._wake()


class PpsPipePort(StreamPort):
    """A named pipe of edges."""

    def __init__(self, address: Address, descriptor: int) -> None:
        """Store the open descriptor of `open_port`."""
        super().__init__(address)
        self._descriptor = descriptor
        self.pollable = descriptor

    def read(self) -> "bytes | None":
        """Return one edge, b"" if there is none, None if the writer has closed the pipe."""
        try:
            return os.read(self._descriptor, EDGE.size) or None
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        """Discard the data."""
        return len(data)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._descriptor)


def open_port(address: Address, wake: "Wake", ioctl: "Any" = fcntl.ioctl) -> "Port":
    """Open `pps:PATH`. Raises PortError."""
    try:
        descriptor = os.open(address.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise translate_error(address, error, _REASONS) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode):
        return PpsPipePort(address, descriptor)
    if ioctl is fcntl.ioctl and not stat.S_ISCHR(mode):
        os.close(descriptor)
        raise make_error(address, _REASONS[ENOTTY])
    return PpsDevicePort(address, descriptor, wake, ioctl)
