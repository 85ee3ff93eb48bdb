# SPDX-License-Identifier: Apache-2.0
"""A serial line on MicroPython's unix port: a tty by its path, configured with `termios`.

VMIN = VTIME = 0, because another value would block the loop in a read. `poll` distinguishes an
empty read from a hang-up. With access to the C library the descriptor is non-blocking and locked.
Without it, a write longer than the driver's buffer waits for the line. `rs485=1` is rejected: the
unix port cannot set it. For a board see `uart`.
"""

import select
import termios

from drivers.errors import AddressError, PortError
from drivers.ports.base import (
    BAUD_REFUSED,
    CHUNK,
    EAGAIN,
    EIO,
    NOT_SERIAL,
    SERIAL_REASONS,
    StreamPort,
    make_error,
    translate_error,
)
from drivers.ports.micropython.ffi import lock, set_nonblocking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

# Linux termios, include/uapi/asm-generic/termbits.h; MicroPython's module has only some names.
_CFLAG, _ISPEED, _OSPEED, _CC = 2, 4, 5, 6  # indices in the attribute list
_VTIME, _VMIN = 5, 6  # indices in its last element
_CLOCAL, _CREAD, _CS8 = 0x800, 0x80, 0x30
_CSTOPB, _PARENB, _PARODD = 0x40, 0x100, 0x200
_FRAME_MASK = _CSTOPB | _PARENB | _PARODD
_PARITY_FLAGS = {"N": 0, "E": _PARENB, "O": _PARENB | _PARODD}
# fmt: off
_SPEED_CODES = {
    300: 7, 600: 8, 1200: 9, 2400: 11, 4800: 12, 9600: 13, 19200: 14, 38400: 15,
    57600: 0x1001, 115200: 0x1002, 230400: 0x1003, 460800: 0x1004, 500000: 0x1005,
    576000: 0x1006, 921600: 0x1007, 1000000: 0x1008, 1152000: 0x1009, 1500000: 0x100A,
    2000000: 0x100B, 2500000: 0x100C, 3000000: 0x100D, 3500000: 0x100E, 4000000: 0x100F,
}
# fmt: on
_PSEUDO_TERMINALS = (
    "/dev/pts/"  # pseudo-terminals have no parity; the C library reports an error for it
)


class SerialPort(StreamPort):
    """An open tty."""

    def __init__(self, address: "Address", file: "BinaryIO") -> None:
        """Store the open file of `open_port`."""
        StreamPort.__init__(self, address)
        self._file = file
        self._poll = select.poll()
        self._poll.register(file.fileno(), select.POLLIN)
        self.pollable = file.fileno()

    def read(self) -> "bytes | None":
        """Return the available bytes; None if the line hung up."""
        try:
            data = self._file.read(CHUNK)
        except OSError as error:
            if error.errno == EAGAIN:
                return b""
            if error.errno == EIO:
                return None
            raise translate_error(self.address, error, SERIAL_REASONS)
        if data or not self._poll.poll(0):
            return data or b""
        return self._reread()

    def _reread(self) -> "bytes | None":
        """Read again if poll reports data and the read was empty."""
        try:
            return self._file.read(CHUNK) or None
        except OSError:
            return None

    def write(self, data: bytes) -> int:
        """Write as much as the driver accepts now."""
        try:
            return self._file.write(data) or 0
        except OSError as error:
            if error.errno == EAGAIN:
                return 0
            raise translate_error(self.address, error, SERIAL_REASONS)

    def set_options(self, text: str) -> None:
        """Change baud, parity or stop."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise make_error(self.address, str(error))
        _configure(self._file.fileno(), address)
        self.address = address

    def close(self) -> None:
        """Close the port."""
        self._poll.unregister(self._file.fileno())
        self._file.close()


def open_port(address: "Address", _wake: "Wake") -> SerialPort:
    """Open `serial:PATH`. Raises PortError."""
    if address.rs485 or address.direction_line[0]:
        raise make_error(
            address, "rs485=1 and de are not supported here: use an adapter with direction control"
        )
    try:
        file = open(address.path, "r+b")  # noqa: SIM115 - it stays open
    except OSError as error:
        raise translate_error(address, error, SERIAL_REASONS)
    try:
        if not _is_tty(file.fileno()):
            raise make_error(address, NOT_SERIAL)
        lock(file.fileno())
        set_nonblocking(file.fileno())
        # Discards earlier input; `set_options` must not repeat it. (In CPython it is in `tty`.)
        termios.setraw(file.fileno())  # type: ignore[attr-defined]
        _configure(file.fileno(), address)
        return SerialPort(address, file)
    except OSError as error:
        file.close()
        raise translate_error(address, error, SERIAL_REASONS)
    except PortError:
        file.close()
        raise


def _is_tty(descriptor: int) -> bool:
    """Return True if the file is a terminal."""
    try:
        termios.tcgetattr(descriptor)
    except OSError:
        return False
    return True


def _configure(descriptor: int, address: "Address") -> None:
    """Set baud rate and frame format; rejects a rate that the driver ignores."""
    attributes = termios.tcgetattr(descriptor)
    parity = "N" if address.path.startswith(_PSEUDO_TERMINALS) else address.parity
    stop = _CSTOPB if address.stop == 2 else 0
    other_flags = attributes[_CFLAG] & ~_FRAME_MASK
    attributes[_CFLAG] = other_flags | _CLOCAL | _CREAD | _CS8 | _PARITY_FLAGS[parity] | stop
    attributes[_ISPEED] = attributes[_OSPEED] = _SPEED_CODES[address.baud]
    attributes[_CC][_VTIME] = 0
    attributes[_CC][_VMIN] = 0
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    if termios.tcgetattr(descriptor)[_OSPEED] != _SPEED_CODES[address.baud]:
        raise make_error(address, BAUD_REFUSED)
