# SPDX-License-Identifier: Apache-2.0
"""A TCP connection on MicroPython, with optional TLS (mbedTLS), in steps.

Connect and TLS handshake never wait. The look-up of a name does, because MicroPython has no other
look-up; use an IP address to avoid it. TLS requires a CA file (`ca=`): there is no system store.

MicroPython has no getsockopt: a second connect gives the result of the first. It also does not
report the end of a handshake: reads drive it, and afterwards the peer's certificate is available.

The clock for the dates of certificates: see `drivers.ports.micropython.tls_date`.
"""

import socket

from drivers.ports.base import (
    CHUNK,
    EAGAIN,
    EALREADY,
    EINPROGRESS,
    EISCONN,
    SOCKET_REASONS,
    StreamPort,
    make_error,
    translate_error,
)
from drivers.ports.micropython.pem import extract_der

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from drivers.errors import PortError
    from drivers.ports.address import Address
    from drivers.ports.base import Wake

    class TlsContext(Protocol):
        """MicroPython's SSLContext."""

        verify_callback: "Callable[[bytes, int], int]"

        def wrap_socket(  # noqa: D102
            self, sock: object, server_hostname: str, do_handshake_on_connect: bool
        ) -> "TlsSocket": ...

    class TlsSocket(Protocol):
        """MicroPython's SSLSocket."""

        def read(self, size: int) -> "bytes | None": ...  # noqa: D102
        def write(self, data: bytes) -> "int | None": ...  # noqa: D102
        def setblocking(self, flag: bool) -> None: ...  # noqa: D102
        def getpeercert(self, binary: bool) -> "bytes | None": ...  # noqa: D102
        def close(self) -> None: ...  # noqa: D102


_IN_PROGRESS = (EINPROGRESS, EALREADY, EAGAIN)
MAX_FILE = 65536  # bytes of a certificate file
_IPPROTO_TCP, _TCP_NODELAY = 6, 1


class TcpPort(StreamPort):
    """A connection, from the first step to the last byte."""

    def __init__(self, address: "Address") -> None:
        """Look up the name and start to connect. Raises PortError."""
        StreamPort.__init__(self, address)
        self._tls: TlsSocket | None = None
        self._early_data = b""
        self._valid_from_s = 0
        family, _, _, _, self._sockaddr = _look_up(address)
        self._socket = socket.socket(family)
        self._socket.setblocking(False)
        self.pollable = self._socket.fileno()
        self.wants_write = True

    def continue_open(self) -> bool:
        """Do the next step of opening; True when bytes can flow."""
        if self._tls is not None:
            return self._handshake(self._tls)
        try:
            self._socket.connect(self._sockaddr)  # type: ignore[arg-type]  # bytes there
        except OSError as error:
            if error.errno in _IN_PROGRESS:
                return False
            if error.errno != EISCONN:
                raise translate_error(self.address, error, SOCKET_REASONS)
        self.wants_write = False
        self._socket.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        if self.address.kind == "tcp":
            return True
        self._tls = self._wrap()
        return self._handshake(self._tls)

    def _wrap(self) -> "TlsSocket":
        """Wrap the connection in TLS."""
        context = _make_context(self.address)
        self._prepare_dates(context)
        try:
            tls: TlsSocket = context.wrap_socket(
                self._socket, server_hostname=self.address.host, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as error:
            raise self._failure(error)
        tls.setblocking(False)
        return tls

    def _prepare_dates(self, context: "TlsContext") -> None:
        """Set the clock for dates (`utc=`), or record the start of the peer's validity."""
        utc = self.address.options.get("utc")
        if utc is None:
            return
        from drivers.ports.micropython import tls_date  # noqa: PLC0415 - for TLS only

        def record_dates(certificate: bytes, _depth: int) -> int:
            self._valid_from_s = max(self._valid_from_s, tls_date.valid_from_s(certificate))
            return 0

        if int(utc):
            tls_date.set_clock(int(utc))
        else:
            context.verify_callback = record_dates

    def _handshake(self, tls: "TlsSocket") -> bool:
        """Do one step; a read drives the handshake and can return early data of the peer."""
        try:
            data = tls.read(CHUNK)
        except (OSError, ValueError) as error:
            raise self._failure(error)
        if data == b"":
            raise make_error(
                self.address, "TLS: the peer closed the connection: does it support TLS?"
            )
        self._early_data = data or b""
        return data is not None or tls.getpeercert(True) is not None

    def read(self) -> "bytes | None":
        """Return the available bytes; None if the peer has closed."""
        if self._early_data:
            early_data, self._early_data = self._early_data, b""
            return early_data
        try:
            if self._tls is None:
                return self._socket.recv(CHUNK) or None
            data = self._tls.read(CHUNK)
        except (OSError, ValueError) as error:
            if _would_block(error):
                return b""
            raise self._failure(error)
        return b"" if data is None else data or None

    def write(self, data: bytes) -> int:
        """Send as much as the system accepts now."""
        try:
            if self._tls is None:
                return self._socket.send(data)
            return self._tls.write(data) or 0
        except (OSError, ValueError) as error:
            if _would_block(error):
                return 0
            raise self._failure(error)

    def _use_peer_date(self) -> None:
        """Set the clock of the board to the validity of the peer's certificate if UTC is unknown.

        The next attempt then passes the check of the dates, and checks only chain and host name.
        """
        if self._valid_from_s:
            from drivers.ports.micropython import tls_date  # noqa: PLC0415 - for TLS only

            tls_date.set_clock(self._valid_from_s + tls_date.MARGIN_S)

    def _failure(self, error: "OSError | ValueError") -> "PortError":
        """Return the PortError for an error; mbedTLS raises ValueError for certificates."""
        if isinstance(error, ValueError):
            text = " ".join(str(error).split())
            self._use_peer_date()
            reason = "certificate refused: %s: check ca, host name and the time" % text
            return make_error(self.address, reason)
        if (error.errno or 0) < 0:  # error numbers of mbedTLS
            reason = (
                "TLS: %s: does the peer support TLS, and does it require a certificate?" % error
            )
            return make_error(self.address, reason)
        return translate_error(self.address, error, SOCKET_REASONS)

    def close(self) -> None:
        """Close the connection."""
        if self._tls is not None:
            self._tls.close()
        self._socket.close()


def open_port(address: "Address", _wake: "Wake") -> TcpPort:
    """Start to open `tcp:HOST:PORT` or `tls:HOST:PORT`; continue with `continue_open`."""
    return TcpPort(address)


def _would_block(error: "OSError | ValueError") -> bool:
    """Return True if the operation would block."""
    return isinstance(error, OSError) and error.errno == EAGAIN


def _look_up(address: "Address") -> "tuple[int, int, int, str, object]":
    """Return the first address of a host; waits for the name server."""
    try:
        found = socket.getaddrinfo(address.host, address.port, 0, socket.SOCK_STREAM)
    except OSError as error:
        reason = "no such host (%s): check the name and the DNS server" % error
        raise make_error(address, reason)
    return found[0]


def _make_context(address: "Address") -> "TlsContext":
    """Return a TLS context with the certificates of the address. Raises PortError."""
    import tls  # type: ignore[import-not-found]  # noqa: PLC0415 - a build may leave it out

    options = address.options
    if "ca" not in options:
        raise make_error(address, "no ca=FILE: MicroPython has no system CAs")
    context: Any = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    for block in _load(address, "ca"):
        context.load_verify_locations(block)
    if "cert" in options:
        context.load_cert_chain(_load(address, "cert")[0], _load(address, "key")[0])
    tls_context: TlsContext = context
    return tls_context


def _load(address: "Address", name: str) -> "list[bytes]":
    """Return the DER blocks of one of the files of the address. Raises PortError."""
    path = address.options[name]
    try:
        with open(path, "rb") as file:
            length = min(file.seek(0, 2), MAX_FILE)  # `read(N)` takes N bytes of the heap
            file.seek(0)
            blocks = extract_der(file.read(length))
    except (OSError, ValueError) as error:
        raise make_error(address, "%s %s: cannot be read (%s)" % (name, path, error))
    if not blocks:
        raise make_error(address, "%s %s: neither DER nor PEM" % (name, path))
    return blocks
