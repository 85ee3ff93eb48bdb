# SPDX-License-Identifier: Apache-2.0
"""A serial line on CPython: pyserial opens and configures it; reads and writes are direct.

The port is exclusive: flock, as in pyserial, and on a real device also TIOCEXCL, which excludes
programs without locks. A pseudo-terminal does not use TIOCEXCL: there the flag persists after a
killed program, until the other end closes.

VMIN is 1 on a non-blocking descriptor. Thus "no data" is EAGAIN, and an empty read means that the
line hung up. (With pyserial's own 0 the two are equal.)
"""

import fcntl
import os
import termios

import serial

from drivers.errors import AddressError, PortError
from drivers.ports.address import Address
from drivers.ports.base import (
    BAUD_REFUSED,
    CHUNK,
    EIO,
    RS485_REFUSED,
    SERIAL_REASONS,
    StreamPort,
    make_error,
    translate_error,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake
    from drivers.ports.cpython.rs485_gpio import DirectionControl

PTY_MAJORS = range(136, 144)  # Linux Unix98 pseudo-terminals, Documentation/admin-guide/devices.txt
_IFLAG, _CC, _OSPEED = 0, 6, 5  # indices in the attribute list of termios


class SerialPort(StreamPort):
    """An open tty."""

    def __init__(self, address: Address, line: serial.Serial) -> None:
        """Store the open line of `open_port`."""
        super().__init__(address)
        self._line = line
        self._fd: int = line.fileno()
        self.pollable = self._fd
        self.read_empties_input = True
        self._direction: DirectionControl | None = None
        if address.direction_line[0]:
            from drivers.ports.cpython import rs485_gpio  # noqa: PLC0415  (few lines need it)

            self._direction = rs485_gpio.open_direction(address, self._fd)

    def read(self) -> "bytes | None":
        """Return the available bytes; None if the line hung up."""
        try:
            return os.read(self._fd, CHUNK) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == EIO and is_pty(self.address.path):
                return None  # the other end was closed
            raise translate_error(self.address, error, SERIAL_REASONS) from error

    def write(self, data: bytes) -> int:
        """Write as much as the driver accepts now."""
        try:
            if self._direction is not None:
                return self._direction.write(data)
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise translate_error(self.address, error, SERIAL_REASONS) from error

    def set_options(self, text: str) -> None:
        """Change baud, parity, stop or rs485."""
        try:
            address = self.address.with_options(text)
        except AddressError as error:
            raise make_error(self.address, str(error)) from error
        _configure(self._line, address)
        self.address = address

    def close(self) -> None:
        """Close the port."""
        if self._direction is not None:
            self._direction.close()
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
        return SerialPort(address, line)
    except (serial.SerialException, termios.error, OSError) as error:
        line.close()
        raise translate_error(address, _to_oserror(error), SERIAL_REASONS) from error
    except PortError:
        line.close()
        raise


def is_pty(path: str) -> bool:
    """Return True if the path is a pseudo-terminal."""
    try:
        return os.major(os.stat(path).st_rdev) in PTY_MAJORS
    except OSError:
        return False


def _to_oserror(error: Exception) -> OSError:
    """Return an OSError with the error number of a pyserial or termios error."""
    inner = error.__context__ if isinstance(error.__context__, termios.error) else error
    if isinstance(inner, termios.error):
        return OSError(*inner.args)
    return error if isinstance(error, OSError) else OSError(0, str(error))


def _configure(line: serial.Serial, address: Address) -> None:
    """Set baud rate, frame format and direction control of the line."""
    try:
        line.baudrate = address.baud
        line.stopbits = address.stop
        line.bytesize = 8 if is_pty(address.path) else address.data_bits
        # A pseudo-terminal has no parity; the C library reports an error for it.
        line.parity = "N" if is_pty(address.path) else address.parity
        _set_raw_mode(line.fileno())
    except (ValueError, OSError, termios.error) as error:
        raise make_error(address, BAUD_REFUSED) from error
    _check_baud(line.fileno(), address)
    if not address.rs485:
        return
    from drivers.ports.cpython import rs485_kernel  # noqa: PLC0415  (few lines need it)

    try:
        rs485_kernel.enable(line.fileno(), address.delays_ms)
    except OSError as error:
        raise make_error(address, RS485_REFUSED % (error.strerror or error)) from error


def _set_raw_mode(descriptor: int) -> None:
    """Complete the raw mode of pyserial: no flush on break, and an empty read means hang-up."""
    attributes = termios.tcgetattr(descriptor)
    attributes[_IFLAG] &= ~termios.BRKINT
    attributes[_CC][termios.VMIN] = 1
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _check_baud(descriptor: int, address: Address) -> None:
    """Check the baud rate of the driver: it ignores an unsupported one without an error."""
    expected = getattr(termios, "B%d" % address.baud, None)
    if expected is not None and termios.tcgetattr(descriptor)[_OSPEED] != expected:
        raise make_error(address, BAUD_REFUSED)
