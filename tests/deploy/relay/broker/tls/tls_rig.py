# SPDX-License-Identifier: Apache-2.0
"""Authorities with certificates of any dates, and servers that need a certificate of the client."""

import datetime as dt
import ipaddress
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from tests.support.programs import free_port, require_program, served, wait_until_open

_NOW = dt.datetime.now(dt.UTC)
HOST = "127.0.0.1"


class KeyPair(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    def replace(self, other: "KeyPair") -> None:
        """Put the content of another pair in these files."""
        for mine, new in zip(self, other, strict=True):
            mine.write_bytes(new.read_bytes())


class PairAuthority:
    """An authority in `folder`; `ca` is its certificate."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, _name(f"authority {name}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(*[False] * 5, key_cert_sign=True, crl_sign=True, **_NO_CIPHERS)
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), 2)
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(usage, True)
            .add_extension(_ident(self._key.public_key()), False)
            .sign(self._key, SHA256())
        )
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(certificate.public_bytes(pem.Encoding.PEM))

    def issue(self, name: str, last_day: int = 2, host: str = HOST, phrase: bytes = b"") -> KeyPair:
        """Make a certificate that ends `last_day` days after today, with an encrypted key or not.

        `host`: an address.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        own = self._key.public_key()
        certificate = (
            _builder(_name(name), self._name, key.public_key(), last_day)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), False
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), False)
            .sign(self._key, SHA256())
        )
        pair = KeyPair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(pem.Encoding.PEM))
        cipher = pem.BestAvailableEncryption(phrase) if phrase else pem.NoEncryption()
        form = (pem.Encoding.PEM, pem.PrivateFormat.PKCS8, cipher)
        pair.key.touch(0o600)
        pair.key.write_bytes(key.private_bytes(*form))
        return pair


_NO_CIPHERS = {"encipher_only": False, "decipher_only": False}


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _ident(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, last_day: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(_NOW - dt.timedelta(days=9))
        .not_valid_after(_NOW + dt.timedelta(days=last_day))
    )


class TlsProxy:
    """nginx with TLS before `port_behind`; a client needs a certificate of `authority`."""

    def __init__(
        self, folder: Path, port_behind: int, authority: PairAuthority, own: KeyPair
    ) -> None:
        self._program = require_program("nginx")
        self.port = free_port()
        self.url = f"https://{HOST}:{self.port}/write"
        self._own = own
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        self._file = folder / "nginx.conf"
        self._file.write_text(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{}}
http {{
{temporary}
access_log off;
server {{
  listen {HOST}:{self.port} ssl;
  ssl_certificate {own.certificate}; ssl_certificate_key {own.key};
  ssl_client_certificate {authority.ca}; ssl_verify_client on;
  location / {{ proxy_pass http://{HOST}:{port_behind}; }}
}} }}
""")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self._program, "-c", str(self._file), "-e", "stderr"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until_open(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def use(self, pair: KeyPair) -> None:
        """Start again with another certificate."""
        self.stop()
        self._own.replace(pair)
        self.start()


class TakingHandler(BaseHTTPRequestHandler):
    """Takes all data, as a store does; `/metrics` is empty."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Write no log."""


class _QuietTlsServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Write no log."""


@contextmanager
def tls_server(authority: PairAuthority, own: KeyPair, version: ssl.TLSVersion) -> Iterator[str]:
    """Serve HTTPS with OpenSSL, which refuses a certificate by an alert; yield the address."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = tls.maximum_version = version
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(*own)
    tls.load_verify_locations(authority.ca)
    found = _QuietTlsServer((HOST, 0), TakingHandler)
    found.socket = tls.wrap_socket(found.socket, server_side=True, do_handshake_on_connect=False)
    with served(found) as port:
        yield f"https://{HOST}:{port}"
