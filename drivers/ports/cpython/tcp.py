# SPDX-License-Identifier: Apache-2.0
"""A TCP connection on CPython, with optional TLS, or a UDP socket, in steps that never wait.

    prepare     look up the name and read the certificates. Both can take long, so a helper thread
                does it (at most MAX_LOOKUPS at a time) and wakes the runtime. An IP address on
                plain tcp needs no thread
    connect     try the addresses one after the other, non-blocking
    handshake   tls only: the server's certificate must chain to the CA and match the host. `utc=`
                in the address is the time for its dates (0: no check); without it, the system
                clock. With `tls=1.2` the last session is resumed (see `tls_sessions`)

`continue_open` does the next step. The runtime drops data that are written before the port is open.
A UDP socket (`rtu+udp:`) sends each write as one datagram; it never closes by itself.
"""

import ipaddress
import os
import socket
import ssl
import threading
from contextlib import suppress

from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.base import (
    CHUNK,
    EALREADY,
    EINPROGRESS,
    EISCONN,
    SOCKET_REASONS,
    StreamPort,
    make_error,
    translate_error,
)
from drivers.ports.cpython import tls_sessions
from drivers.ports.cpython.certificate_files import load_certificate, make_client_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

MAX_LOOKUPS = 4  # simultaneous name look-ups, in the whole process
_lookup_slots = threading.BoundedSemaphore(MAX_LOOKUPS)
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, openssl/x509_vfy.h
_DATES = (("notBefore", -1, "not valid yet"), ("notAfter", 1, "has expired"))
_IN_PROGRESS = (EINPROGRESS, EALREADY)
_TLS_HINTS = (
    ("WRONG_VERSION_NUMBER", "this port of the peer does not speak TLS"),
    ("ALERT_UNKNOWN_CA", "the peer does not know the CA of cert"),
    ("CERTIFICATE_REQUIRED", "the peer needs a certificate: give cert and key"),
    ("ALERT_HANDSHAKE_FAILURE", "the peer can need a certificate: give cert and key"),
    ("CERTIFICATE", "the peer refuses cert: check its dates and its use"),
)
"""Part of the reason that OpenSSL gives (also an alert of the peer, RFC 8446, 6.2), and a hint."""
_KEY_USAGE = "make the certificate of ca again, with keyUsage keyCertSign"
"""`openssl req -x509` leaves it out; CPython needs it from 3.13 on (RFC 5280, 4.2.1.3)."""
SocketTarget = tuple[int, tuple[object, ...]]  # family and socket address


class Preparation:
    """The slow part of opening, before a socket exists."""

    def __init__(self, address: Address, wake: "Wake") -> None:
        """Start; `done` becomes True, in a helper thread if the work can take long."""
        self.done = False
        self.targets: list[SocketTarget] = []
        self.context: ssl.SSLContext | None = None
        self.error: PortError | None = None
        self._address = address
        if address.kind != "tls" and is_ip(address.host):
            self._prepare()
            return
        if not _lookup_slots.acquire(blocking=False):
            raise make_error(address, "name look-ups do not return: check the DNS server")
        threading.Thread(target=self._run, args=(wake,), daemon=True).start()

    def _run(self, wake: "Wake") -> None:
        """Run in the helper thread."""
        try:
            self._prepare()
        finally:
            _lookup_slots.release()
            wake()

    def _prepare(self) -> None:
        """Set the results or the error, then set `done`."""
        address = self._address
        try:
            if address.kind == "tls":
                self.context = tls_sessions.cached_context(address) or make_context(address)
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            self.targets = [(family, socket_address) for family, _, _, _, socket_address in found]
        except PortError as error:
            self.error = error
        except (OSError, UnicodeError) as error:
            reason = "no such host (%s): check the name and the DNS server" % error
            self.error = make_error(address, reason)
        self.done = True


class TcpPort(StreamPort):
    """A connection, from the name look-up to the last byte."""

    def __init__(self, address: Address, wake: "Wake") -> None:
        """Start to open."""
        super().__init__(address)
        self._preparation = Preparation(address, wake)
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._target: SocketTarget | None = None
        self._is_udp = address.kind in ("rtu+udp", "ntp")
        self.read_empties_input = address.kind != "tls" and not self._is_udp

    def continue_open(self) -> bool:
        """Do the next steps of opening; True when bytes can flow."""
        if not self._preparation.done:
            return False
        if self._preparation.error is not None:
            raise self._preparation.error
        if self._tls is None:
            sock = self._connect()
            if sock is None:
                return False
            if self._preparation.context is None:
                self.wants_write = False
                return True
            self._tls = self._wrap(sock, self._preparation.context)
        return self._handshake(self._tls)

    def _connect(self) -> "socket.socket | None":
        """Return the connected socket, or None while connecting."""
        while True:
            sock = self._socket or self._next_socket()
            _, socket_address = self._target or (0, ())
            number = sock.connect_ex(socket_address)
            if number in (0, EISCONN):
                return sock
            if number in _IN_PROGRESS:
                return None
            self._drop_socket()
            if not self._preparation.targets:
                error = OSError(number, os.strerror(number))
                raise translate_error(self.address, error, SOCKET_REASONS)

    def _next_socket(self) -> socket.socket:
        """Create a socket for the next address of the host."""
        self._target = self._preparation.targets.pop(0)
        try:
            kind = socket.SOCK_DGRAM if self._is_udp else socket.SOCK_STREAM
            self._socket = socket.socket(self._target[0], kind)
        except OSError as error:
            raise translate_error(self.address, error, SOCKET_REASONS) from error
        self._socket.setblocking(False)
        if not self._is_udp:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pollable = self._socket.fileno()
        self.wants_write = True
        return self._socket

    def _drop_socket(self) -> None:
        """Close a socket that did not connect."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.pollable = None

    def _wrap(self, sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Wrap the connection in TLS; the TLS socket then owns the descriptor."""
        try:
            tls = context.wrap_socket(
                sock,
                server_hostname=self.address.host,
                do_handshake_on_connect=False,
                session=tls_sessions.cached_session(self.address, context),
            )
        except (OSError, ValueError) as error:
            raise self._tls_failure(error) from error
        self._socket = tls
        return tls

    def _handshake(self, tls: ssl.SSLSocket) -> bool:
        """Do one step of the handshake."""
        self.wants_write = False
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return False
        except OSError as error:
            tls_sessions.drop_session(self.address)
            raise self._tls_failure(error) from error
        self._check_dates(tls)
        if "tls" in self.address.options:
            tls_sessions.store_session(self.address, tls.context, tls.session)
        return True

    def _check_dates(self, tls: ssl.SSLSocket) -> None:
        """Compare the dates of the certificate with the UTC of the address."""
        utc_s = int(self.address.options.get("utc", "0"))
        if not utc_s:
            return
        certificate = tls.getpeercert() or {}
        for name, sign, text in _DATES:
            date_text = certificate.get(name)
            if (
                isinstance(date_text, str)
                and sign * (ssl.cert_time_to_seconds(date_text) - utc_s) < 0
            ):
                reason = "certificate refused: %s (%s): renew it" % (text, date_text)
                raise make_error(self.address, reason)

    def read(self) -> "bytes | None":
        """Return the available bytes; None if the peer has closed."""
        self.wants_write = False
        sock = self._socket
        if sock is None:
            return b""
        try:
            return sock.recv(CHUNK) or (b"" if self._is_udp else None)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""
        except ssl.SSLWantWriteError:
            self.wants_write = True
            return b""
        except ssl.SSLEOFError:
            return None
        except OSError as error:
            raise self._tls_failure(error) from error

    def write(self, data: bytes) -> int:
        """Send as much as the system accepts now."""
        sock = self._socket
        if sock is None:
            return 0
        try:
            return sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise self._tls_failure(error) from error

    def _tls_failure(self, error: "OSError | ValueError") -> PortError:
        """Return the PortError for a TLS or socket error."""
        if isinstance(error, ssl.SSLCertVerificationError):
            text = error.verify_message
            remedy = _KEY_USAGE if "key usage" in text else "check ca, host name and the time"
            return make_error(self.address, "certificate refused: %s: %s" % (text, remedy))
        if isinstance(error, ssl.SSLEOFError):
            return make_error(
                self.address, "TLS: the peer closed the connection: does it support TLS?"
            )
        if isinstance(error, (ssl.SSLError, ValueError)):
            reason = getattr(error, "reason", None) or str(error)
            hints = [hint for part, hint in _TLS_HINTS if part in reason]
            return make_error(self.address, ": ".join(["TLS", reason, *hints[:1]]))
        return translate_error(self.address, error, SOCKET_REASONS)

    def close(self) -> None:
        """Close the connection; sends the TLS close alert without waiting for the reply."""
        if self._tls is not None and "tls" in self.address.options:
            with suppress(OSError, ValueError):
                self._tls.unwrap()  # a session without a close alert cannot be resumed
        self._tls = None
        self._drop_socket()


def open_port(address: Address, wake: "Wake") -> TcpPort:
    """Start to open `tcp:HOST:PORT` or `tls:HOST:PORT`; continue with `continue_open`."""
    return TcpPort(address, wake)


def waits_for_handshake(port: object) -> bool:
    """Return whether the connection of a port is open, and its TLS handshake is not complete."""
    return isinstance(port, TcpPort) and port._tls is not None  # noqa: SLF001 - of this module


def is_ip(host: str) -> bool:
    """Return True if a host is an IP address, which needs no look-up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def make_context(address: Address) -> ssl.SSLContext:
    """Return a context with the certificates of the address (or system CAs). Raises PortError."""
    options = address.options
    try:
        context = make_client_context(options.get("ca"))
    except OSError as error:
        raise make_error(address, "ca %s" % error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if "tls" in options:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if "utc" in options:
        context.verify_flags |= _NO_CHECK_TIME
    if "cert" in options:
        try:
            load_certificate(context, options["cert"], options["key"])
        except OSError as error:
            raise make_error(address, "cert, key: %s" % error) from error
    return context
