# SPDX-License-Identifier: Apache-2.0
"""Key and certificate of the HTTPS server: made at the first start, replaced by CSR.

    FOLDER/key.pem, FOLDER/certificate.pem     in use
    FOLDER/request.key                         key of the last CSR, until its certificate comes

Does not issue certificates for others; see `deploy.ops.pki`. Keys are EC P-256 and never leave the
unit. A certificate is accepted if it belongs to the key in use or to the key of the last CSR. New
connections use it immediately; open ones keep the old one.
"""

import datetime as dt
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from deploy.errors import OpsError
from deploy.ops.private_file import write_private

_YEARS = 10
_MAX_PEM = 32_768
_MAX_CHAIN = 5
_MAX_TEXT = 64
_START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
"""Begin of a self-signed certificate: the clock of a unit can be wrong at the first start."""
SUBJECT = {
    "CommonName": NameOID.COMMON_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "City": NameOID.LOCALITY_NAME,
    "State": NameOID.STATE_OR_PROVINCE_NAME,
    "Country": NameOID.COUNTRY_NAME,
}


class CertificateStore:
    """The certificate of the server; `context` is the TLS context that the server uses.

    `files`: certificate and key that the configuration names, instead of those in `folder`. They
    must exist, and `replace` writes to them.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        addresses: Sequence[str] = (),
        files: tuple[Path, Path] | None = None,
    ) -> None:
        self._folder = folder
        self._certificate, self._key = files or (folder / "certificate.pem", folder / "key.pem")
        self._request = folder / "request.key"
        if files is None and not (self._key.is_file() and self._certificate.is_file()):
            self._make_own(name, addresses)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load()

    @property
    def pem(self) -> str:
        """The certificate in use, with its chain."""
        return self._certificate.read_text(encoding="ascii")

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate in use."""
        return x509.load_pem_x509_certificate(self.pem.encode())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal with colons."""
        digest = hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest().upper()
        return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))

    def make_request(self, subject: dict[str, str], names: Sequence[str] = ()) -> str:
        """Make a new key and return its CSR (PKCS #10) as PEM. Raises OpsError: a value."""
        if not all(1 <= len(text) <= _MAX_TEXT and text.isprintable() for text in subject.values()):
            raise OpsError(f"CSR: each part of the subject has 1 to {_MAX_TEXT} characters")
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            attributes = [x509.NameAttribute(SUBJECT[k], v) for k, v in subject.items()]
            builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
            if names:
                builder = builder.add_extension(_alternative_names(names), critical=False)
            request = builder.sign(key, SHA256())
        except (ValueError, TypeError) as error:
            raise OpsError(f"CSR: {error}") from error
        write_private(self._request, _key_pem(key))
        return request.public_bytes(Encoding.PEM).decode()

    def replace(self, text: str) -> None:
        """Use a new certificate, with its chain, from now on. Raises OpsError; nothing changes."""
        if len(text) > _MAX_PEM:
            raise OpsError(f"certificate: at most {_MAX_PEM} bytes")
        try:
            chain = x509.load_pem_x509_certificates(text.encode("ascii"))
        except ValueError as error:  # UnicodeError included
            raise OpsError("certificate: not a PEM certificate") from error
        if not 1 <= len(chain) <= _MAX_CHAIN:
            raise OpsError(f"certificate: 1 to {_MAX_CHAIN} certificates")
        key = self._matching_key(chain[0])
        pem = b"".join(entry.public_bytes(Encoding.PEM) for entry in chain)
        self._check_usable(key, pem)
        try:
            _write(self._key, key)
            _write(self._certificate, pem)
        except OSError as error:
            raise OpsError(f"{self._certificate}: {error.strerror}") from None
        self._request.unlink(missing_ok=True)
        self._load()

    def _matching_key(self, certificate: x509.Certificate) -> bytes:
        wanted = _public(certificate)
        for path in (self._request, self._key):
            if path.is_file():
                pem = path.read_bytes()
                key = load_pem_private_key(pem, None)
                if _raw(key.public_key()) == wanted:
                    return pem
        raise OpsError("certificate: it does not belong to the key of the unit or of its CSR")

    def _check_usable(self, key: bytes, pem: bytes) -> None:
        """Load both in a context of their own, so that a bad pair does not stop the server."""
        trial = self._folder / "trial.pem"
        write_private(trial, key + pem)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(trial)
        except (OSError, ssl.SSLError) as error:
            raise OpsError("certificate: TLS cannot use it") from error
        finally:
            trial.unlink(missing_ok=True)

    def _load(self) -> None:
        try:
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            raise OpsError(f"{self._certificate}: TLS cannot use it with {self._key}") from error

    def _make_own(self, name: str, addresses: Sequence[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or "coldloop")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_START)
            .not_valid_after(max(_START, dt.datetime.now(dt.UTC)) + dt.timedelta(365 * _YEARS))
            .add_extension(_alternative_names([name or "coldloop", *addresses]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OpsError(f"{self._folder}: {error.strerror}") from None
        write_private(self._key, _key_pem(key))
        _write(self._certificate, builder.sign(key, SHA256()).public_bytes(Encoding.PEM))


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that a power cut leaves the old or the new one."""
    new = path.with_suffix(".new")
    write_private(new, data)
    os.replace(new, path)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public(certificate: x509.Certificate) -> bytes:
    return _raw(certificate.public_key())


def _raw(key: object) -> bytes:
    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return data


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)
