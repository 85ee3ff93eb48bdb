"""A serial line on CPython: opened and set by pyserial, then read and written directly.

Opening takes the port for this program alone: flock, as pyserial does, and on a real device also
TIOCEXCL, which keeps out programs that lock nothing. Not on a pseudo-terminal: there the flag
outlives a killed program for as long as the other end stays open.

VMIN is 1, on a non-blocking descriptor: "nothing yet" is EAGAIN, so that an empty read means that
the line hung up. (With pyserial's own 0 the two look the same.)
"""

import fcntl
import os
import termios

import serial
from serial.rs485 import RS485Settings

from drivers.errors import AddressError, PortError
from drivers.ports.address import Address
from drivers.ports.base import (
    BAUD_REFUSED,
    CHUNK,
    EIO,
    RS485_REFUSED,
    SERIAL_REASONS,
    StreamPort,
    explain,
    failure,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

PTY_MAJORS = range(
    136, 144
)  # Linux: Unix98 pseudo-terminals, Documentation/admin-guide/devices.txt
_IFLAG, _CC, _OSPEED = 0, 6, 5  # places in the list that termios uses


class SerialPort(StreamPort):
    """An open tty."""

    def __init__(self, address: Address, line: serial.Serial) -> None:
        """Take the line that `open_port` opened."""
        super().__init__(address)
        self._line = line
        self._fd: int = line.fileno()
        self.pollable = self._fd

    def read(self) -> "bytes | None":
        """Return what is there; None when the line hung up."""
        try:
            return os.read(self._fd, CHUNK) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == EIO and is_pty(self.address.path):
                return None  # the other end was closed
            raise explain(self.address, error, SERIAL_REASONS) from error

    def write(self, data: bytes) -> int:
        """Write what the driver takes now."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise explain(self.address, error, SERIAL_REASONS) from error

    def set(self, text: str) -> None:
        """Change baud, parity, stop or rs485."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise failure(self.address, str(error)) from error
        _configure(self._line, address)
        self.address = address

    def close(self) -> None:
        """Give the port back."""
        self._line.close()


def open_port(address: Address, _wake: "Wake") -> SerialPort:
    """Open `serial:PATH`; never waits for a carrier. Raises PortError."""
    line = serial.Serial(timeout=0, exclusive=True)
    line.port = address.path
    try:
        line.open()
        if not is_pty(address.path):
            fcntl.ioctl(line.fileno(), termios.TIOCEXCL)
        _configure(line, address)
    except (serial.SerialException, termios.error, OSError) as error:
        line.close()
        raise explain(address, _to_oserror(error), SERIAL_REASONS) from error
    except PortError:
        line.close()
        raise
    return SerialPort(address, line)


def is_pty(path: str) -> bool:
    """Tell whether the path is the near end of a pseudo-terminal."""
    try:
        return os.major(os.stat(path).st_rdev) in PTY_MAJORS
    except OSError:
        return False


def _to_oserror(error: Exception) -> OSError:
    """Return an error with its number: pyserial and termios hide it in different places."""
    inner = error.__context__ if isinstance(error.__context__, termios.error) else error
    if isinstance(inner, termios.error):
        return OSError(*inner.args)
    return error if isinstance(error, OSError) else OSError(0, str(error))


def _configure(line: serial.Serial, address: Address) -> None:
    """Set the line's speed, frame and direction control."""
    try:
        line.baudrate = address.baud
        line.stopbits = address.stop
        # A pseudo-terminal has no parity, and the C library calls it an error to ask for one.
        line.parity = "N" if is_pty(address.path) else address.parity
        _set_raw_mode(line.fileno())
    except (ValueError, OSError, termios.error) as error:
        raise failure(address, BAUD_REFUSED) from error
    _check_baud(line.fileno(), address)
    if not address.rs485:
        return
    try:
        line.rs485_mode = RS485Settings()
    except (ValueError, OSError) as error:
        raise failure(address, RS485_REFUSED) from error


def _set_raw_mode(descriptor: int) -> None:
    """Finish what pyserial leaves: no flush at a break, and an empty read means hung up."""
    attributes = termios.tcgetattr(descriptor)
    attributes[_IFLAG] &= ~termios.BRKINT
    attributes[_CC][termios.VMIN] = 1
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _check_baud(descriptor: int, address: Address) -> None:
    """Ask the driver which rate it took: an impossible one is dropped without an error."""
    expected = getattr(termios, "B%d" % address.baud, None)
    if expected is not None and termios.tcgetattr(descriptor)[_OSPEED] != expected:
        raise failure(address, BAUD_REFUSED)
