# SPDX-License-Identifier: Apache-2.0
"""HTTP server of the relay: the pages of the outputs, and the webhook `/sbd` of a message gateway.

Not a general server: bodies of at most 256 KiB, one thread for each of at most 64 connections. The
webhook accepts the requests of the gateways of RockBLOCK and Cloudloop: a form or a JSON object
with `imei` and `data` (hexadecimal). `data` is empty for a session without a message (a mailbox
check). `webhook_auth` checks who sends them. It responds only after the message is stored, so a
gateway repeats a message that is not stored.
"""

import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deploy.errors import DeployError
from deploy.relay.intake.late_server import LateServer
from deploy.relay.intake.webhook_auth import WebhookAuth, is_bearer
from deploy.relay.outputs.base import Page
from deploy.relay.terminal_text import report
from deploy.secret_file import SecretFile
from drivers.ports.cpython.certificate_files import load_certificate

_MAX_BODY_BYTES = 1 << 18
_MAX_CONNECTIONS = 64
_MAX_FIELDS = 200
"""Of a form; they are read before it is known who sends them."""
OnMessage = Callable[[str, bytes], bool]
"""(imei, message) -> whether the message is stored. An empty message is a mailbox check."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`certificate`, `key`: files for TLS (PEM). `token`: the bearer token of the pages.

    `webhook`: the check of the senders of messages; None: no message is accepted.
    """

    host: str
    port: int
    certificate: str | None = None
    key: str | None = None
    token: SecretFile | None = None
    webhook: WebhookAuth | None = None


def address_family(host: str) -> socket.AddressFamily:
    """Return the family of an address that the server listens at: IPv6 if it has a colon."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_imei(text: str) -> bool:
    """Return whether a text can be the IMEI of a modem."""
    return text.isascii() and text.isalnum() and len(text) <= 40


def _parse_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of a form or of a JSON object. Raises ValueError."""
    text = body.decode("utf-8-sig" if _is_utf8(body) else "latin-1").strip()
    if content_type.endswith("json") or text.startswith("{"):
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("no object")
        return {str(name): _field_text(value) for name, value in document.items()}
    form = parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    return {name: values[0] for name, values in form.items()}


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _field_text(value: object) -> str:
    return "" if value is None else str(value)


def _path(target: str) -> tuple[str, str]:
    """Return path and query of the target of a request, which can be an absolute URI."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "", ""
    return parts.path, parts.query


def _receive(
    settings: HttpSettings, on_message: OnMessage, headers: Message, body: bytes
) -> tuple[int, str]:
    """Return status and text for a message of a gateway."""
    authorization = headers.get("Authorization", "")
    if settings.webhook is None:
        return 403, "this relay takes no messages from a gateway\n"
    try:
        fields = _parse_fields(headers.get_content_type(), body)
        parts = settings.webhook.message(fields, authorization)
        if parts is None:
            return 401, "the request is not authentic\n"
        imei, data = parts[0], bytes.fromhex(parts[1])
    except (ValueError, RecursionError):
        return 400, "imei and data (hexadecimal) are needed\n"
    if not is_imei(imei):
        return 400, "imei and data (hexadecimal) are needed\n"
    return (200, "kept\n") if on_message(imei, data) else (503, "again\n")


def _is_authorized(token: SecretFile | None, authorization: str) -> bool:
    return token is None or is_bearer(authorization, token.text())


def _make_handler(
    settings: HttpSettings, pages: dict[str, Page], on_message: OnMessage
) -> type[BaseHTTPRequestHandler]:
    class RelayRequestHandler(BaseHTTPRequestHandler):
        """One request."""

        timeout = 10

        def do_GET(self) -> None:
            path, query = _path(self.path)
            page = pages.get(path)
            authorization = self.headers.get("Authorization", "")
            if not _is_authorized(settings.token, authorization):
                self._answer(401, "", "text/plain")
            elif page is None:
                self._answer(404, "", "text/plain")
            else:
                kind, text = page(query)
                self._answer(200, text, kind)

        def do_POST(self) -> None:
            if "Transfer-Encoding" in self.headers:
                self._answer(411, "", "text/plain")
                return
            length = self.headers.get("Content-Length", "")
            is_number = length.isdecimal() and len(length) < 10
            if _path(self.path)[0] != "/sbd":
                self._answer(404, "", "text/plain")
                return
            if not is_number or int(length) > _MAX_BODY_BYTES:
                self._answer(413, "", "text/plain")
                return
            body = self.rfile.read(int(length))
            if len(body) < int(length):  # the connection has ended
                self._answer(400, "", "text/plain")
                return
            self._answer(*_receive(settings, on_message, self.headers, body), "text/plain")

        def _answer(self, code: int, text: str, kind: str) -> None:
            data = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Write no log."""

    return RelayRequestHandler


class RelayHttpServer:
    """Serves until `close`; port 0: any free one, see `address`. Raises DeployError.

    If the address is not free, the server tries again; `address` is None until then.
    """

    def __init__(
        self, settings: HttpSettings, pages: dict[str, Page], on_message: OnMessage
    ) -> None:
        handler = _make_handler(settings, pages, on_message)
        context = _make_tls(settings)

        def make() -> ThreadingHTTPServer:
            if context is None:
                return _LimitedServer((settings.host, settings.port), handler)
            return _TlsServer(settings, handler, context)

        self._server = LateServer(f"{settings.host}:{settings.port}", make, report)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None: the address is not free."""
        return self._server.address

    def close(self) -> None:
        """Stop the server."""
        self._server.close()


class _LimitedServer(ThreadingHTTPServer):
    """Has `_MAX_CONNECTIONS` at most: each needs a thread and a file of the relay's process.

    Beyond that the oldest one ends, so that connections that send nothing keep out no other.
    """

    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = address_family(address[0])
        self._connections: dict[Any, None] = {}
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the thread of a connection."""
        with self._lock:
            self._connections[request] = None
            if len(self._connections) > _MAX_CONNECTIONS:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                with suppress(OSError):
                    socket.socket.shutdown(oldest, socket.SHUT_RDWR)  # its thread sees the end
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error of the relay; a client that ends or sends no TLS is none."""
        error = sys.exception()
        if not isinstance(error, OSError):
            report(f"HTTP server: {error!r}")


class _TlsServer(_LimitedServer):
    """Uses the present files of the certificate: they are renewed while the relay runs."""

    def __init__(
        self, settings: HttpSettings, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext
    ) -> None:
        super().__init__((settings.host, settings.port), handler)
        self._settings = settings
        self._tls = tls

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. A file that is being written changes nothing."""
        with suppress(OSError):
            self._tls = _make_tls_context(self._settings)
        connection, address = super().get_request()
        # The handshake is part of the first read, in the thread of the request.
        return (
            self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False),
            address,
        )


def _make_tls_context(settings: HttpSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, str(settings.certificate), settings.key)
    return context


def check_certificate(settings: HttpSettings) -> None:
    """Raise DeployError if the files for TLS cannot be used."""
    _make_tls(settings)


def _make_tls(settings: HttpSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    try:
        return _make_tls_context(settings)
    except OSError as error:
        raise DeployError(f"TLS of --http: {error}") from None
