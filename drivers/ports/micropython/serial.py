"""A serial line on MicroPython's unix port: a tty by its path, set with `termios`.

VMIN = VTIME = 0, without which a read would hang the whole loop; an empty read is told from a
hang-up by asking poll. Where the C library can be reached the descriptor is non-blocking and
locked, too; where it cannot, a write longer than the driver's free room waits for the line.
`rs485=1` is refused: the unix port cannot ask the driver for it. On a board see micropython_uart.
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
    explain,
    failure,
)
from drivers.ports.micropython.ffi import lock, set_nonblocking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

# Linux' termios, include/uapi/asm-generic/termbits.h; MicroPython's module names only some.
_CFLAG, _ISPEED, _OSPEED, _CC = 2, 4, 5, 6  # places in the list
_VTIME, _VMIN = 5, 6  # places in its last element
_CLOCAL, _CREAD, _CS8 = 0x800, 0x80, 0x30
_CSTOPB, _PARENB, _PARODD = 0x40, 0x100, 0x200
_FRAME = _CSTOPB | _PARENB | _PARODD
_PARITY = {"N": 0, "E": _PARENB, "O": _PARENB | _PARODD}
# fmt: off
_SPEED = {
    300: 7, 600: 8, 1200: 9, 2400: 11, 4800: 12, 9600: 13, 19200: 14, 38400: 15,
    57600: 0x1001, 115200: 0x1002, 230400: 0x1003, 460800: 0x1004, 500000: 0x1005,
    576000: 0x1006, 921600: 0x1007, 1000000: 0x1008, 1152000: 0x1009, 1500000: 0x100A,
    2000000: 0x100B, 2500000: 0x100C, 3000000: 0x100D, 3500000: 0x100E, 4000000: 0x100F,
}
# fmt: on
_PTS = "/dev/pts/"  # a pseudo-terminal: it has no parity, and the C library refuses to be asked


class SerialPort(StreamPort):
    """An open tty."""

    def __init__(self, address: "Address", file: "BinaryIO") -> None:
        """Take the file that `open_port` opened."""
        StreamPort.__init__(self, address)
        self._file = file
        self._poll = select.poll()
        self._poll.register(file.fileno(), select.POLLIN)
        self.pollable = file.fileno()

    def read(self) -> "bytes | None":
        """Return what is there; None when the line hung up."""
        try:
            data = self._file.read(CHUNK)
        except OSError as error:
            if error.errno == EAGAIN:
                return b""
            if error.errno == EIO:
                return None
            raise explain(self.address, error, SERIAL_REASONS)
        if data or not self._poll.poll(0):
            return data or b""
        return self._reread()

    def _reread(self) -> "bytes | None":
        """Look once more when poll says that there is something and the read was empty."""
        try:
            return self._file.read(CHUNK) or None
        except OSError:
            return None

    def write(self, data: bytes) -> int:
        """Write what the driver takes now."""
        try:
            return self._file.write(data) or 0
        except OSError as error:
            if error.errno == EAGAIN:
                return 0
            raise explain(self.address, error, SERIAL_REASONS)

    def set(self, text: str) -> None:
        """Change baud, parity or stop."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise failure(self.address, str(error))
        _configure(self._file.fileno(), address)
        self.address = address

    def close(self) -> None:
        """Give the port back."""
        self._poll.unregister(self._file.fileno())
        self._file.close()


def open_port(address: "Address", _wake: "Wake") -> SerialPort:
    """Open `serial:PATH`. Raises PortError."""
    if address.rs485:
        raise failure(
            address, "rs485=1 is not to be had here: use an adapter that switches by itself"
        )
    try:
        file = open(address.path, "r+b")  # noqa: SIM115 - it stays open
    except OSError as error:
        raise explain(address, error, SERIAL_REASONS)
    try:
        if not _is_tty(file.fileno()):
            raise failure(address, NOT_SERIAL)
        lock(file.fileno())
        set_nonblocking(file.fileno())
        # Throws away what came before; not to be repeated by `set`. (In CPython it is tty's.)
        termios.setraw(file.fileno())  # type: ignore[attr-defined]
        _configure(file.fileno(), address)
        return SerialPort(address, file)
    except OSError as error:
        file.close()
        raise explain(address, error, SERIAL_REASONS)
    except PortError:
        file.close()
        raise


def _is_tty(descriptor: int) -> bool:
    """Tell whether the file has a line's settings at all."""
    try:
        termios.tcgetattr(descriptor)
    except OSError:
        return False
    return True


def _configure(descriptor: int, address: "Address") -> None:
    """Set speed and frame; a speed that the driver drops is refused."""
    attributes = termios.tcgetattr(descriptor)
    parity = "N" if address.path.startswith(_PTS) else address.parity
    stop = _CSTOPB if address.stop == 2 else 0
    line = attributes[_CFLAG] & ~_FRAME
    attributes[_CFLAG] = line | _CLOCAL | _CREAD | _CS8 | _PARITY[parity] | stop
    attributes[_ISPEED] = attributes[_OSPEED] = _SPEED[address.baud]
    attributes[_CC][_VTIME] = 0
    attributes[_CC][_VMIN] = 0
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    if termios.tcgetattr(descriptor)[_OSPEED] != _SPEED[address.baud]:
        raise failure(address, BAUD_REFUSED)
