# SPDX-License-Identifier: Apache-2.0
"""Links to real devices: a serial port or a TCP connection that passes bytes unchanged.

Does not add line timing or a protocol. A lost link (unplugged, closed by the peer) stays silent. If
there are bytes to send, it tries to reopen at most once a second.
"""

import errno
import os
import socket
import termios
from collections.abc import Callable
from typing import Protocol

import serial

from drivers.ports.address import Address
from hil.errors import BenchError
from hil.shells.realtime import RealTimeShell

_READ = 4096
_CONNECT_S = 1.0
_RETRY_US = 1_000_000
_REASONS = {
    errno.ENOENT: "no such port",
    errno.EBUSY: "the port is busy: another program has it open",
    errno.EAGAIN: "the port is busy: another program has it open",
    errno.EACCES: "no permission: add the user to the group dialout",
    errno.ENOTTY: "not a serial port",
    errno.ECONNREFUSED: "nothing listens there",
    errno.EIO: "the other end of the port is closed",
}


def _describe_error(text: str) -> str:
    """Return the reason of an error without a number; pyserial hides ENOTTY in its text."""
    return _REASONS[errno.ENOTTY] if text.startswith("Could not configure") else text


class _OpenHandle(Protocol):
    """Interface of an open port."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def close(self) -> None:
        """Close the port."""


class RealLink:
    """A real port at `address`; `on_data` gets each received chunk. Raises `BenchError`."""

    def __init__(
        self, shell: RealTimeShell, address: Address, on_data: Callable[[bytes], None]
    ) -> None:
        self.address = address
        self.sent = self.received = self.lost_bytes = 0
        self._shell = shell
        self._on_data = on_data
        self._handle: _OpenHandle | None = None
        self._retry_at = 0
        self._open()

    @property
    def is_open(self) -> bool:
        """Whether the port is open."""
        return self._handle is not None

    def _open(self) -> None:
        opener = _open_tcp if self.address.kind == "tcp" else _open_serial
        try:
            handle = opener(self.address)
        except (OSError, ValueError, OverflowError, termios.error) as error:
            number = error.errno if isinstance(error, OSError) else next(iter(error.args), 0)
            reason = _REASONS.get(number or 0) or _describe_error(str(error))
            raise BenchError(f"{self.address.location()}: {reason}") from None
        self._handle = handle
        os.set_blocking(handle.fileno(), False)
        self._shell.watch(handle.fileno(), self._readable)

    def send(self, data: bytes) -> None:
        """Send bytes to the real device; bytes that do not fit are lost and counted."""
        if self._handle is None and not self._try_reopen():
            self.lost_bytes += len(data)
            return
        if self._handle is None:
            return
        try:
            written = os.write(self._handle.fileno(), data)
        except BlockingIOError:
            written = 0
        except OSError:
            self.close()
            written = 0
        self.sent += written
        self.lost_bytes += len(data) - written

    def _try_reopen(self) -> bool:
        """Try to open a lost port, at most once a second; return whether it is open."""
        now = self._shell.now()
        if now < self._retry_at:
            return False
        self._retry_at = now + _RETRY_US
        try:
            self._open()
        except BenchError:
            return False
        return True

    def _readable(self) -> None:
        if self._handle is None:
            return
        try:
            data = os.read(self._handle.fileno(), _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.received += len(data)
        self._on_data(data)

    def close(self) -> None:
        """Close the port."""
        if self._handle is not None:
            self._shell.unwatch(self._handle.fileno())
            self._handle.close()
            self._handle = None


def _open_serial(address: Address) -> _OpenHandle:
    port = serial.Serial(
        address.path,
        address.baud,
        parity=address.parity,
        stopbits=address.stop,
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )
    if address.rs485:
        from serial.rs485 import RS485Settings  # noqa: PLC0415

        port.rs485_mode = RS485Settings()
    return port


def _open_tcp(address: Address) -> _OpenHandle:
    sock = socket.create_connection((address.host, address.port), _CONNECT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
