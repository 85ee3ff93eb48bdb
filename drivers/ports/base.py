"""What every port has in common: its shape, its bounds, and the words for its failures.

A port is one open (or opening) end of a line, a connection or a store. The shell knows only this
shape:

    pollable            what the platform's poll takes (a descriptor, or a board's UART object), or
                        None while there is nothing to poll
    finish() -> bool    one step of opening; True when open. Called when `pollable` is ready, or in
                        every turn while it is None
    wants_write         True while opening (or a TLS layer) waits for room to write
    read() -> bytes     at most CHUNK bytes, never waiting; b"" nothing there, None closed by the
                        peer
    write(data) -> int  how many bytes were taken, never waiting
    age_us              how long before the end of `read` the last byte of what it gave arrived: a
                        port that knows spares the agent the time it was busy; the others say 0
    settled() -> bool   True when nothing that was taken is still on its way. A line or connection
                        is always settled; a store is not until its records are durable
    ask(op, data)       a store's operation (see `drivers.ports.store_request`); its answer, if any,
    is
                        one `read`, of any length
    set(text)           change options, as in an address: `baud=19200&parity=E`
    close()             never raises

`finish`, `read`, `write`, `settled`, `ask`, `set` raise PortError with one line: what, where, what
to do. Not here: opening. Each platform's modules have an `open_port(address, wake)` for their kind.

"""

from drivers.errors import FullError, PortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from drivers.ports.address import Address

    class Port(Protocol):
        """The shape above, for the type checker."""

        pollable: "object | None"
        wants_write: bool
        age_us: int

        def finish(self) -> bool: ...  # noqa: D102 - described in the module's docstring
        def read(self) -> "bytes | None": ...  # noqa: D102
        def write(self, data: bytes) -> int: ...  # noqa: D102
        def settled(self) -> bool: ...  # noqa: D102
        def ask(self, op: str, data: bytes) -> None: ...  # noqa: D102
        def set(self, text: str) -> None: ...  # noqa: D102
        def close(self) -> None: ...  # noqa: D102

    Wake = Callable[[], None]
    Opener = Callable[[Address, Wake], Port]

CHUNK = 1024  # bytes handed to the agent at a time
BACKLOG = 65536  # bytes that may wait to be written; beyond it the port is failed
CONNECT_TIMEOUT = 10_000_000  # us from "open" to "opened"

# Linux' numbers, because MicroPython's errno module lacks half of the names.
ENOENT, EIO, ENXIO, EAGAIN, EACCES, EBUSY, ENODEV = 2, 5, 6, 11, 13, 16, 19
EPERM, EROFS, ENOSPC, ENOTTY, EINVAL, EISDIR, ENOTDIR = 1, 30, 28, 25, 22, 21, 20
EPIPE, ECONNABORTED, ECONNRESET, ETIMEDOUT, ECONNREFUSED = 32, 103, 104, 110, 111
ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH = 100, 101, 112, 113
EISCONN, EALREADY, EINPROGRESS = 106, 114, 115

NO_PORT = "no such port: is it plugged in, and is the name right?"
BUSY = "busy: in use by another program; stop that one or choose another port"
NOT_SERIAL = "not a serial port: name a tty such as /dev/ttyUSB0 or /dev/ttyS0"
NO_PERMISSION = "permission: add the user to group dialout (or fix the device's mode)"
BAUD_REFUSED = "baud rate refused: choose a rate that the hardware can make"
RS485_REFUSED = "rs485=1 refused: drop it if the adapter switches direction by itself"
DISCONNECTED = "gone: unplugged, or the driver failed"

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


def failure(address: "Address", reason: str) -> PortError:
    """Return the error that says where and why."""
    return PortError("%s: %s" % (address.location(), reason))


def explain(address: "Address", error: OSError, reasons: "dict[int, str]") -> PortError:
    """Return the error for what the system said; what no table knows is quoted as it is."""
    number = error.errno or 0
    if number == ENOSPC:
        return FullError(str(failure(address, reasons.get(number, "disk full"))))
    return failure(address, reasons.get(number, "the system says: %s" % error))


class StreamPort:
    """What a port that delays nothing answers; the base of the real ones."""

    def __init__(self, address: "Address") -> None:
        """Start as a port with nothing to poll."""
        self.address = address
        self.pollable: object | None = None
        self.wants_write = False
        self.age_us = 0

    def finish(self) -> bool:
        """Say that there is nothing left to open."""
        return True

    def settled(self) -> bool:
        """Say that nothing is on its way."""
        return True

    def set(self, text: str) -> None:
        """Refuse: only a serial line has something to set while it is open."""
        raise failure(self.address, "has no option to set (%s)" % text)

    def ask(self, op: str, data: bytes) -> None:
        """Refuse: only a store can be asked."""
        raise failure(self.address, "is no store (%s)" % op)
