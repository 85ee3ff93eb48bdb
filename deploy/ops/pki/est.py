# SPDX-License-Identifier: Apache-2.0
"""Enrolment over secure transport (RFC 7030): a unit sends its signing request and gets a
certificate.

    GET  /.well-known/est/cacerts           the authority, no authentication
    POST /.well-known/est/simpleenroll      HTTP Basic: SITE.UNIT and the password of an invitation
    POST /.well-known/est/simplereenroll    the present certificate of the unit, in TLS

    coldloop config pki invite SITE.UNIT    writes FOLDER/invitations, prints a password once
    coldloop config pki serve BROKER        serves with the certificate of BROKER until Ctrl-C

A password is for one name, for one key, and for a day; only its hash is stored. A request and a
reply are PKCS #10 and PKCS #7 in base64. The key of a unit never leaves it. The reply can be lost:
the same key gets the same certificate again. A re-enrolment revokes the earlier certificate after
`_GRACE_S`. `serve` needs the key of the intermediate, never that of the root. Each connection has a
thread and may last `_TIMEOUT_S`; an address has `_PER_ADDRESS` at most.
Not built: server-generated keys, attributes of requests (csrattrs), full CMC.
"""

import base64
import binascii
import collections
import contextlib
import hashlib
import hmac
import os
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops.pki import access_list, authority, store
from deploy.ops.pki.certificates import Rights, rights_of
from drivers.ports.cpython.certificate_files import load_authority, load_certificate

PATH = "/.well-known/est/"
UNIT = Rights("unit")
_VALID_S = 24 * 3600
_MAX_BYTES = 8192
_TIMEOUT_S = 10.0
_HANDSHAKE_S = 2.0
_PER_ADDRESS, _CONNECTIONS = 8, 64
_GRACE_S = 3600
_REVOKE_EVERY_S = 60


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
    password, path = secrets.token_urlsafe(18), folder / "invitations"
    with store.locked(folder):
        invitations = store.read_table(path, 3)
        invitations[name] = [_hash(password), int(time.time()) + _VALID_S, 0]
        store.write_table(path, invitations)
    print(f"password of {name}, for one certificate within a day: {password}")
    return path


def _hash(password: str) -> int:
    # 144 random bits: no salt and no slow hash are needed
    return int.from_bytes(hashlib.sha256(password.encode()).digest())


class EstService:
    """The decisions of the server. `passphrase`: of the key of the authority."""

    def __init__(self, folder: Path, passphrase: str) -> None:
        self._folder, self._passphrase = folder, passphrase

    def ca_certificates(self) -> bytes:
        """Return the certificates of the authority, PKCS #7 in base64."""
        chain = x509.load_pem_x509_certificates(store.read(self._folder / "ca.pem"))
        return _encode(chain)

    def enroll(self, user: str, password: str, request: bytes) -> bytes:
        """Issue the first certificate of a unit. Raises `EnrolmentRefusedError`.

        The same request again gets the same certificate: the reply may be lost.
        """
        with store.locked(self._folder):
            invitations = store.read_table(self._folder / "invitations", 3)
            expected, until, used = invitations.get(user, [0, 0, 0])
            is_right = hmac.compare_digest(_hash(password).to_bytes(32), _to_bytes(expected))
            if not is_right or time.time() > until:
                raise EnrolmentRefusedError(401, "no invitation with this name and password")
            pem = self._request(user, request)
            path = self._folder / f"{user}.pem"
            if path.exists() and self._is_answered(path, user, pem):
                return _encode([store.load_certificate(path)])
            if used:
                raise EnrolmentRefusedError(401, "the password was for another request")
            with _refused_as(400):
                authority.issue(self._folder, user, "unit", [], self._passphrase, pem)
            invitations[user][2] = 1
            store.write_table(self._folder / "invitations", invitations)
            return _encode([store.load_certificate(path)])

    def reenroll(self, certificate: x509.Certificate, request: bytes) -> bytes:
        """Replace the certificate of a unit, which it has shown. Raises `EnrolmentRefusedError`.

        The replaced one is revoked after `_GRACE_S`. Until then it gets the same reply again.
        """
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value) if names else ""
        path = self._folder / f"{name}.pem"
        with store.locked(self._folder):
            authority.revoke_replaced(self._folder, self._passphrase)
            if not authority.is_name(name) or not path.exists():
                raise EnrolmentRefusedError(403, "unknown certificate")
            if authority.is_revoked(self._folder, certificate):
                raise EnrolmentRefusedError(403, "a revoked certificate")
            recorded = rights_of(certificate)
            if not (recorded == UNIT if recorded else access_list.is_unit(self._folder, name)):
                raise EnrolmentRefusedError(403, "only a unit enrolls again")
            if store.load_certificate(path) != certificate:
                self._check_repeated(certificate, path, self._request(name, request))
                return _encode([store.load_certificate(path)])
            pem, until = self._request(name, request), time.time() + _GRACE_S
            with _refused_as(400):
                authority.rotate(self._folder, name, [], self._passphrase, pem, UNIT, until)
            return _encode([store.load_certificate(path)])

    def _check_repeated(self, shown: x509.Certificate, path: Path, pem: bytes) -> None:
        """Raise `EnrolmentRefusedError` unless the reply to this request may have been lost."""
        waiting = store.read_table(self._folder / "replaced", 1)
        old = path.with_name(path.name + ".old")
        is_last = path.stem in waiting and old.exists() and store.load_certificate(old) == shown
        if not is_last or not self._is_answered(path, path.stem, pem):
            raise EnrolmentRefusedError(403, "not the present certificate of this unit")

    def _is_answered(self, path: Path, name: str, pem: bytes) -> bool:
        """Return whether the certificate is valid and for the key of this request."""
        present = store.load_certificate(path)
        is_same = present.public_key() == authority.requested_key(pem, name)
        return is_same and not authority.is_revoked(self._folder, present)

    def revoke_replaced(self) -> None:
        """Revoke the replaced certificates whose time is over."""
        authority.revoke_replaced(self._folder, self._passphrase)

    def _request(self, name: str, body: bytes) -> bytes:
        """Return the request in PEM; check it before anything is changed."""
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
            pem = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
            authority.requested_key(pem, name)
        except (ValueError, binascii.Error, OpsError) as error:
            raise EnrolmentRefusedError(400, f"not a signing request for {name}: {error}") from None
        return pem


def _to_bytes(number: int) -> bytes:
    return number.to_bytes(32) if 0 <= number < 1 << 256 else b""


@contextlib.contextmanager
def _refused_as(status: int) -> Iterator[None]:
    try:
        yield
    except OpsError as error:
        raise EnrolmentRefusedError(status, str(error)) from None


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
        try:
            self._answer(200, self.service.ca_certificates())
        except (OpsError, ValueError) as error:
            print(error, file=sys.stderr)
            self._answer(500, b"the authority has no certificate now\n", "text/plain")

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


class EstServer(ThreadingHTTPServer):
    """HTTPS in a thread for each connection; the handshake has a shorter time limit."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], service: EstService, contexts: "TlsContexts"
    ) -> None:
        handler = type("EstHandler", (_EstHandler,), {"service": service})
        super().__init__(address, handler)
        self._contexts, self._service, self._revoke_at = contexts, service, 0.0
        self._open: collections.Counter[str] = collections.Counter()
        self._guard = threading.Lock()

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Count a connection; return False if there are too many, which closes it."""
        with self._guard:
            mine = self._open[client_address[0]]
            if mine >= _PER_ADDRESS or self._open.total() >= _CONNECTIONS:
                return False
            self._open[client_address[0]] += 1
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; then the address has a place again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open[client_address[0]] -= 1
                self._open += collections.Counter()  # forgets addresses without a connection

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake and answer, each within its time: a slow client ends."""
        request.settimeout(_HANDSHAKE_S)
        with _deadline(request, _HANDSHAKE_S):
            link = self._contexts.present().wrap_socket(request, server_side=True)
        try:
            with _deadline(link, _TIMEOUT_S):
                super().finish_request(link, client_address)
        finally:
            self.shutdown_request(link)

    def service_actions(self) -> None:
        """Revoke replaced certificates, once a minute."""
        if time.monotonic() < self._revoke_at:
            return
        self._revoke_at = time.monotonic() + _REVOKE_EVERY_S
        try:
            self._service.revoke_replaced()
        except OpsError as error:
            print(error, file=sys.stderr)

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Say that a connection has ended; another client is not affected."""
        print(f"connection ended: {sys.exception()!r:.200}", file=sys.stderr)


@contextlib.contextmanager
def _deadline(link: Any, after_s: float) -> Iterator[None]:
    """Shut a connection after `after_s`, whatever its client does."""

    def shut() -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(fileno=os.dup(link.fileno())) as copy,
        ):
            copy.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(after_s, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class TlsContexts:
    """The TLS context of the files of a folder; a new one after they have changed.

    So `renew`, `revoke` and a new certificate of the server need no restart. If the new files
    cannot be used, the context before stays. Raises OSError or ValueError: none can be made.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._guard = threading.Lock()
        self._state = self._read_state()
        self._context = self._load()

    def present(self) -> ssl.SSLContext:
        """Return the context of the present files."""
        with self._guard:
            state = self._read_state()
            if state != self._state:
                try:
                    self._context, self._state = self._load(), state
                except (OSError, ValueError) as error:
                    print(f"the earlier certificates are used: {error}", file=sys.stderr)
            return self._context

    def _files(self) -> list[Path]:
        names = ("ca.pem", "crl.pem", f"{self._name}.pem", f"{self._name}.key")
        return [self._folder / name for name in names]

    def _read_state(self) -> list[tuple[int, int] | None]:
        state: list[tuple[int, int] | None] = []
        for path in self._files():
            try:
                found = path.stat()
                state.append((found.st_ino, found.st_mtime_ns))
            except OSError:
                state.append(None)
        return state

    def _load(self) -> ssl.SSLContext:
        authorities, revoked, certificate, key = self._files()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        load_certificate(context, certificate, key)
        load_authority(context, authorities)
        load_authority(context, revoked)
        return context


def make_server(folder: Path, passphrase: str, name: str, listen: str) -> EstServer:
    """Return the server with the certificate `name` of the folder. Raises `OpsError`."""
    host, _, port = listen.rpartition(":")
    with store.locked(folder):  # completes what a process that died has begun
        authority.load_authority(folder, passphrase)
    try:
        contexts = TlsContexts(folder, name)
        return EstServer((host, int(port)), EstService(folder, passphrase), contexts)
    except (OSError, ValueError, OverflowError) as error:
        raise OpsError(f"{name}, {listen}: {error}") from None


def serve(folder: Path, passphrase: str, name: str, listen: str) -> Path:
    """Serve until Ctrl-C; return the folder."""
    with make_server(folder, passphrase, name, listen) as server:
        print(f"https://{listen}{PATH}", file=sys.stderr, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return folder
