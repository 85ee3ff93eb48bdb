# SPDX-License-Identifier: Apache-2.0
"""Enrolment over secure transport (RFC 7030): a unit sends its signing request and gets a
certificate.

    GET  /.well-known/est/cacerts           the authority, no authentication
    POST /.well-known/est/simpleenroll      HTTP Basic: SITE.UNIT and the password of an invitation
    POST /.well-known/est/simplereenroll    the present certificate of the unit, in TLS

    coldloop config pki invite SITE.UNIT    writes FOLDER/invitations, prints a password once
    coldloop config pki serve BROKER        serves with the certificate of BROKER until Ctrl-C

A password is for one name, for one certificate, and for a day; only its hash is stored. A request
and a reply are PKCS #10 and PKCS #7 in base64. The key of a unit never leaves it. A re-enrolment
revokes the earlier certificate. `serve` needs the key of the intermediate, never that of the root.
Not built: server-generated keys, attributes of requests (csrattrs), full CMC. One connection at a
time, and each may last `_TIMEOUT_S`.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops.pki import access_list, authority
from deploy.ops.pki.certificates import Rights, rights_of
from deploy.ops.private_file import replace_private

PATH = "/.well-known/est/"
UNIT = Rights("unit")
_VALID_S = 24 * 3600
_MAX_BYTES = 8192
_TIMEOUT_S = 10.0


class EnrolmentRefusedError(Exception):
    """A request that gets no certificate: HTTP status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def invite(folder: Path, name: str) -> Path:
    """Print a password for the first certificate of a unit; return the file of invitations."""
    parts = name.split(".")
    if len(parts) != 2 or not all(map(is_valid_name, parts)):
        raise OpsError(f"{name}: not a name of a unit; write SITE.UNIT")
    if (folder / f"{name}.pem").exists():
        raise OpsError(f"{name}: has a certificate; it enrolls again with it, or `pki rotate`")
    password = secrets.token_urlsafe(18)
    invitations = _read_invitations(folder)
    invitations[name] = [_hash(password), int(time.time()) + _VALID_S]
    _write_invitations(folder, invitations)
    print(f"password of {name}, for one certificate within a day: {password}")
    return folder / "invitations"


def _hash(password: str) -> str:
    # 144 random bits: no salt and no slow hash are needed
    return hashlib.sha256(password.encode()).hexdigest()


def _read_invitations(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "invitations").read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OpsError(f"{folder / 'invitations'}: {error}; remove it and invite again") from None
    return dict(found)


def _write_invitations(folder: Path, invitations: dict[str, Any]) -> None:
    try:
        replace_private(folder / "invitations", json.dumps(invitations))
    except OSError as error:
        raise OpsError(f"{folder / 'invitations'}: {error.strerror}") from None


class EstService:
    """The decisions of the server. `passphrase`: of the key of the authority."""

    def __init__(self, folder: Path, passphrase: str) -> None:
        self._folder, self._passphrase = folder, passphrase

    def ca_certificates(self) -> bytes:
        """Return the certificates of the authority, PKCS #7 in base64."""
        chain = x509.load_pem_x509_certificates((self._folder / "ca.pem").read_bytes())
        return _encode(chain)

    def enroll(self, user: str, password: str, request: bytes) -> bytes:
        """Issue the first certificate of a unit. Raises `EnrolmentRefusedError`."""
        invitations = _read_invitations(self._folder)
        expected, until = invitations.get(user, ("", 0))
        is_right = hmac.compare_digest(_hash(password), str(expected))
        if not is_right or time.time() > until:
            raise EnrolmentRefusedError(401, "no invitation with this name and password")
        issued = self._issue(user, request)
        del invitations[user]
        _write_invitations(self._folder, invitations)
        return issued

    def reenroll(self, certificate: x509.Certificate, request: bytes) -> bytes:
        """Replace the certificate of a unit, which it has shown. Raises `EnrolmentRefusedError`."""
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value) if names else ""
        path = self._folder / f"{name}.pem"
        if not authority.is_name(name) or not path.exists():
            raise EnrolmentRefusedError(403, "unknown certificate")
        is_present = x509.load_pem_x509_certificate(path.read_bytes()) == certificate
        if not is_present or authority.is_revoked(self._folder, certificate):
            raise EnrolmentRefusedError(403, "not the present certificate of this unit, or revoked")
        recorded = rights_of(certificate)
        is_unit = recorded == UNIT if recorded else access_list.is_unit(self._folder, name)
        if not is_unit:
            raise EnrolmentRefusedError(403, "only a unit enrolls again")
        pem = self._request(name, request)
        try:
            authority.rotate(self._folder, name, [], self._passphrase, pem, UNIT)
        except OpsError as error:
            raise EnrolmentRefusedError(400, str(error)) from None
        return _encode([x509.load_pem_x509_certificate(path.read_bytes())])

    def _issue(self, name: str, request: bytes) -> bytes:
        pem = self._request(name, request)
        try:
            path = authority.issue(self._folder, name, "unit", [], self._passphrase, pem)
        except OpsError as error:
            raise EnrolmentRefusedError(400, str(error)) from None
        return _encode([x509.load_pem_x509_certificate(path.read_bytes())])

    def _request(self, name: str, body: bytes) -> bytes:
        """Return the request in PEM; check it before anything is changed."""
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
            pem = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
            authority.requested_key(pem, name)
        except (ValueError, binascii.Error, OpsError) as error:
            raise EnrolmentRefusedError(400, f"not a signing request for {name}: {error}") from None
        return pem


def _encode(chain: list[x509.Certificate]) -> bytes:
    der = pkcs7.serialize_certificates(chain, Encoding.DER)
    return base64.encodebytes(der)


class _EstHandler(BaseHTTPRequestHandler):
    """HTTP of `EstService`."""

    service: EstService
    timeout = _TIMEOUT_S
    server_version, sys_version = "coldloop", ""

    def do_GET(self) -> None:
        """Send the certificates of the authority."""
        if self.path != PATH + "cacerts":
            self._answer(404, b"no such resource\n", "text/plain")
            return
        self._answer(200, self.service.ca_certificates())

    def do_POST(self) -> None:
        """Issue a certificate."""
        try:
            self._answer(200, self._enroll())
        except EnrolmentRefusedError as refusal:
            print(f"refused: {refusal}", file=sys.stderr)
            self._answer(refusal.status, f"{refusal}\n".encode(), "text/plain")
        except OpsError as error:
            print(error, file=sys.stderr)
            self._answer(500, b"the authority cannot issue now\n", "text/plain")

    def _enroll(self) -> bytes:
        if self.path not in (PATH + "simpleenroll", PATH + "simplereenroll"):
            raise EnrolmentRefusedError(404, "no such resource")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or not 0 < int(length) <= _MAX_BYTES:
            raise EnrolmentRefusedError(400, f"a request of 1 to {_MAX_BYTES} bytes is needed")
        body = self.rfile.read(int(length))
        if self.path == PATH + "simplereenroll":
            shown = self._peer_certificate()
            if shown is None:
                raise EnrolmentRefusedError(403, "the present certificate is needed")
            return self.service.reenroll(shown, body)
        user, password = self._credentials()
        return self.service.enroll(user, password, body)

    def _peer_certificate(self) -> x509.Certificate | None:
        link: Any = self.connection
        der = link.getpeercert(True)
        return None if der is None else x509.load_der_x509_certificate(der)

    def _credentials(self) -> tuple[str, str]:
        scheme, _, text = self.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            user = password = ""
        if scheme.lower() != "basic" or not user:
            raise EnrolmentRefusedError(401, "name and password of an invitation are needed")
        return user, password

    def _answer(self, status: int, body: bytes, kind: str = "application/pkcs7-mime") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="coldloop"')
        self.send_header("Content-Type", kind)
        if kind == "application/pkcs7-mime":
            self.send_header("Content-Transfer-Encoding", "base64")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        """Print a line without control characters."""
        line = (format % args).encode("ascii", "backslashreplace").decode()
        print(f"{self.client_address[0]} {line.translate(_NO_CONTROL)}", file=sys.stderr)


_NO_CONTROL = dict.fromkeys(range(32), "?")


class EstServer(HTTPServer):
    """HTTPS; the handshake has a time limit too, so that no client blocks `accept`."""

    def __init__(
        self, address: tuple[str, int], service: EstService, context: ssl.SSLContext
    ) -> None:
        handler = type("EstHandler", (_EstHandler,), {"service": service})
        super().__init__(address, handler)
        self._context = context

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; the handshake has the same time limit."""
        raw, address = super().get_request()
        raw.settimeout(_TIMEOUT_S)
        with _deadline(raw):
            try:
                return self._context.wrap_socket(raw, server_side=True), address
            except OSError:
                raw.close()
                raise

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer a request within the time limit: a slow client does not keep others out."""
        with _deadline(request):
            super().finish_request(request, client_address)

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Say that a connection has ended; another client is not affected."""
        print(f"connection ended: {sys.exception()!r:.200}", file=sys.stderr)


@contextlib.contextmanager
def _deadline(link: Any) -> Iterator[None]:
    """Shut a connection after `_TIMEOUT_S`, whatever its client does."""

    def shut() -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(fileno=os.dup(link.fileno())) as copy,
        ):
            copy.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_TIMEOUT_S, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def make_server(folder: Path, passphrase: str, name: str, listen: str) -> EstServer:
    """Return the server with the certificate `name` of the folder. Raises `OpsError`."""
    host, _, port = listen.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    authority.load_authority(folder, passphrase)
    try:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        context.load_verify_locations(folder / "ca.pem")
        context.load_verify_locations(folder / "crl.pem")
        return EstServer((host, int(port)), EstService(folder, passphrase), context)
    except (OSError, ValueError, OverflowError) as error:
        raise OpsError(f"{name}, {listen}: {error}") from None


def serve(folder: Path, passphrase: str, name: str, listen: str) -> Path:
    """Serve until Ctrl-C; return the folder."""
    with make_server(folder, passphrase, name, listen) as server:
        print(f"https://{listen}{PATH}", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return folder
