# SPDX-License-Identifier: Apache-2.0
"""The common interface of all ports, their limits, and the texts of their errors.

A port is one open (or opening) end of a line, a connection or a store. The runtime uses only this
interface:

    pollable            the object for the platform's poll (a descriptor, or the UART object of a
                        board), or None
    continue_open() -> bool   one step of opening; True when open. Called when `pollable` is ready,
                        or in every loop step while it is None
    wants_write         True while opening (or a TLS layer) waits until it can write
    read_empties_input  True if `read` returns all available bytes, up to CHUNK: a shorter result
                        leaves nothing behind. TLS keeps bytes back, so it is False there
    read() -> bytes     at most CHUNK bytes, never waits; b"" no data, None closed by the peer
    write(data) -> int  number of accepted bytes, never waits
    max_write           bytes of waiting data that one `write` gets: a board has little memory for
                        copies
    age_us              time between the arrival of the last byte of `read` and its return, if the
                        port knows it; else 0
    is_drained() -> bool   True if no accepted data are pending. Always true for a line or a
                        connection; for a store after its records are durable
    is_sent() -> bool   True if the line has sent all accepted data. A board that resets loses what
                        still waits in the buffer of its UART
    request(op, data)   an operation of a store (see `drivers.ports.store_request`); its reply, if
                        any, is one `read` of any length
    set_options(text)   change options, as in an address: `baud=19200&parity=E`
    close()             never raises

`continue_open`, `read`, `write`, `is_drained`, `is_sent`, `request` and `set_options` raise
PortError with one line: what, where, what to do. Does not open ports: the modules of each platform
have `open_port(address, wake)` for their kind.
"""

from drivers.errors import FullError, PortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from drivers.ports.address import Address

    class Port(Protocol):
        """The interface above, for the type checker."""

        pollable: "object | None"
        wants_write: bool
        age_us: int
        read_empties_input: bool
        max_write: int

        def continue_open(self) -> bool: ...  # noqa: D102 - described in the module's docstring
        def read(self) -> "bytes | None": ...  # noqa: D102
        def write(self, data: bytes) -> int: ...  # noqa: D102
        def is_drained(self) -> bool: ...  # noqa: D102
        def is_sent(self) -> bool: ...  # noqa: D102
        def request(self, op: str, data: bytes) -> None: ...  # noqa: D102
        def set_options(self, text: str) -> None: ...  # noqa: D102
        def close(self) -> None: ...  # noqa: D102

    # A port's own thread calls it when `read` or `is_drained` has something new for the runtime.
    Wake = Callable[[], None]
    Opener = Callable[[Address, Wake], Port]

CHUNK = 1024  # maximum bytes per `read`
MAX_WRITE = 4096  # the same per `write` of waiting data, for most ports
MAX_BACKLOG = 65536  # maximum bytes that wait to be written; above it the port fails
CONNECT_TIMEOUT = 10_000_000  # us from "open" to "opened"
LATE_WRITE = 200_000  # us from the decision to send a request to its latest begin on a shared line

# The numbers of Linux; MicroPython's errno module lacks half of the names.
ENOENT, EIO, ENXIO, EAGAIN, EACCES, EBUSY, ENODEV = 2, 5, 6, 11, 13, 16, 19
EPERM, EROFS, ENOSPC, ENOTTY, EINVAL, EISDIR, ENOTDIR = 1, 30, 28, 25, 22, 21, 20
EPIPE, ECONNABORTED, ECONNRESET, ETIMEDOUT, ECONNREFUSED = 32, 103, 104, 110, 111
ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH = 100, 101, 112, 113
EISCONN, EALREADY, EINPROGRESS = 106, 114, 115

NO_PORT = "no such port: is it plugged in, and is the name right?"
BUSY = "busy: in use by another program; stop that one or choose another port"
NOT_SERIAL = "not a serial port: name a tty such as /dev/ttyUSB0 or /dev/ttyS0"
NO_PERMISSION = "permission: add the user to group dialout (or fix the device's mode)"
BAUD_REFUSED = "baud rate refused: choose a rate that the hardware supports"
RS485_REFUSED = "rs485=1 refused (%s): remove it if the adapter controls the direction itself"
DISCONNECTED = "disconnected: unplugged, or the driver failed"

SERIAL_REASONS = {
    ENOENT: NO_PORT,
    ENODEV: NO_PORT,
    ENXIO: NO_PORT,
    ENOTDIR: NO_PORT,
    EAGAIN: BUSY,
    EBUSY: BUSY,
    EACCES: NO_PERMISSION,
    EPERM: NO_PERMISSION,
    ENOTTY: NOT_SERIAL,
    EISDIR: NOT_SERIAL,
    EINVAL: BAUD_REFUSED,
    EIO: DISCONNECTED,
}
SOCKET_REASONS = {
    ECONNREFUSED: "refused: nothing listens there; start the server or check the port number",
    ECONNRESET: "reset by the peer",
    ECONNABORTED: "reset by the peer",
    EPIPE: "reset by the peer",
    ETIMEDOUT: "no answer: check the host, the cable and the firewall",
    EHOSTUNREACH: "host unreachable: check the address and the route",
    EHOSTDOWN: "host unreachable: check the address and the route",
    ENETUNREACH: "network unreachable: check the link and the default route",
    ENETDOWN: "network unreachable: check the link and the default route",
}
STORE_REASONS = {
    ENOENT: "no such folder: create it",
    ENOTDIR: "not a folder: name one",
    EACCES: "permission: give the user the right to write there",
    EPERM: "permission: give the user the right to write there",
    EROFS: "read-only file system: remount it writable or name another folder",
    ENOSPC: "disk full: make room",
}


def make_error(address: "Address", reason: str) -> PortError:
    """Return the error for an address with a reason."""
    return PortError("%s: %s" % (address.location(), reason))


def translate_error(address: "Address", error: OSError, reasons: "dict[int, str]") -> PortError:
    """Return the error for a system error; a number without a text is quoted."""
    number = error.errno or 0
    if number == ENOSPC:
        return FullError(str(make_error(address, reasons.get(number, "disk full"))))
    return make_error(address, reasons.get(number, "the system says: %s" % error))


class StreamPort:
    """Default methods of a port without pending data; base class of the real ports."""

    def __init__(self, address: "Address") -> None:
        """Initialise a port without a pollable object."""
        self.address = address
        self.pollable: object | None = None
        self.wants_write = False
        self.age_us = 0
        self.read_empties_input = False
        self.max_write = MAX_WRITE

    def continue_open(self) -> bool:
        """Return True: the port is open."""
        return True

    def is_drained(self) -> bool:
        """Return True: no data are pending."""
        return True

    def is_sent(self) -> bool:
        """Return True: the system sends accepted data, also after the end of this program."""
        return True

    def set_options(self, text: str) -> None:
        """Raise PortError: only an open serial line has options to change."""
        raise make_error(self.address, "has no option to set (%s)" % text)

    def request(self, op: str, data: bytes) -> None:
        """Raise PortError: only a store accepts requests."""
        raise make_error(self.address, "is no store (%s)" % op)
