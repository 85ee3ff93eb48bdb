# SPDX-License-Identifier: Apache-2.0
"""Key and certificate of the HTTPS server: made at the first start, replaced by CSR.

    FOLDER/key.pem, FOLDER/certificate.pem     in use
    FOLDER/request.key                         key of the last CSR, until its certificate comes
    FOLDER/pair.pem                            a new key and certificate, while they are written

Does not issue certificates for others; see `deploy.ops.pki`. Keys are EC P-256 and never leave the
unit. A certificate is accepted if it belongs to the key in use or to the key of the last CSR. New
connections use it immediately; open ones keep the old one. A power cut between the two files leaves
`pair.pem`: the next start completes the replacement.
"""

import contextlib
import datetime as dt
import hashlib
import os
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops.private_file import replace_private, write_private

_MAX_PEM = 32_768
_MAX_CHAIN = 5
_MAX_TEXT = 64
_BEGIN_OF_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_END_OF_KEY = "-----END PRIVATE KEY-----\n"
SUBJECT = {
    "CommonName": "commonName",
    "Organization": "organizationName",
    "OrganizationalUnit": "organizationalUnitName",
    "City": "localityName",
    "State": "stateOrProvinceName",
    "Country": "countryName",
}
"""Parts of a subject: their names in Redfish and in the module ssl."""


@dataclass(frozen=True, slots=True)
class CertificateText:
    """What a certificate says. `subject`, `issuer`: by the keys of `SUBJECT`."""

    subject: dict[str, str]
    issuer: dict[str, str]
    not_before: dt.datetime
    not_after: dt.datetime
    serial_number: int
    fingerprint: str


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
        self._request, self._pair = folder / "request.key", folder / "pair.pem"
        self._complete()
        if files is None and not (self._key.is_file() and self._certificate.is_file()):
            self._make_own(name, addresses)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load()

    @property
    def pem(self) -> str:
        """The certificate in use, with its chain."""
        return self._certificate.read_text(encoding="ascii")

    def describe(self) -> CertificateText:
        """Return what the certificate in use says."""
        # The function that the tests of Python use; the library for it needs 18 MiB of memory.
        found = ssl._ssl._test_decode_cert(str(self._certificate))  # type: ignore[attr-defined]  # noqa: SLF001
        der = ssl.PEM_cert_to_DER_cert(_first(self.pem))
        digest = hashlib.sha256(der).hexdigest().upper()
        return CertificateText(
            _names(found["subject"]),
            _names(found["issuer"]),
            _time(found["notBefore"]),
            _time(found["notAfter"]),
            int(found["serialNumber"], 16),
            ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)),
        )

    def make_request(self, subject: dict[str, str], names: Sequence[str] = ()) -> str:
        """Make a new key and return its CSR (PKCS #10) as PEM. Raises OpsError: a value."""
        if not all(1 <= len(text) <= _MAX_TEXT and text.isprintable() for text in subject.values()):
            raise OpsError(f"CSR: each part of the subject has 1 to {_MAX_TEXT} characters")
        from deploy.northbound.http import certificate_maker as maker  # noqa: PLC0415

        made = maker.make_request(subject, names)
        _write(self._request, made.key)
        return made.result.decode()

    def replace(self, text: str, now: dt.datetime | None = None) -> None:
        """Use a new certificate, with its chain, from now on. Raises OpsError; nothing changes.

        `now`: UTC of the unit; None: not known.
        """
        if len(text) > _MAX_PEM:
            raise OpsError(f"certificate: at most {_MAX_PEM} bytes")
        from deploy.northbound.http import certificate_maker as maker  # noqa: PLC0415

        pem, public = maker.read_chain(text, _MAX_CHAIN, now)
        key = self._matching_key(public)
        self._check_usable(key, pem)
        self._store(key, pem)
        self._request.unlink(missing_ok=True)
        self._load()

    def _store(self, key: bytes, pem: bytes) -> None:
        """Write both files. Raises OpsError: the old ones are in place."""
        old = self._key.read_bytes()
        _write(self._pair, key + pem)
        try:
            _write(self._key, key)
            _write(self._certificate, pem)
        except OpsError:
            _write(self._key, old)
            self._pair.unlink(missing_ok=True)
            raise
        self._pair.unlink(missing_ok=True)

    def _complete(self) -> None:
        """Complete a replacement that a power cut has ended between the two files."""
        if not self._pair.is_file():
            return
        with contextlib.suppress(OSError, OpsError, ssl.SSLError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._pair)
            key, begin, pem = self._pair.read_bytes().partition(_BEGIN_OF_CERTIFICATE)
            _write(self._key, key)
            _write(self._certificate, begin + pem)
            self._pair.unlink()

    def _matching_key(self, wanted: bytes) -> bytes:
        from deploy.northbound.http import certificate_maker as maker  # noqa: PLC0415

        for path in (self._request, self._key):
            if path.is_file():
                pem = path.read_bytes()
                with contextlib.suppress(ValueError):  # a damaged file
                    if maker.public_key(pem) == wanted:
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
        """Make key and certificate in another process: its memory is free again after it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OpsError(f"{self._folder}: {error.strerror}") from None
        module = "deploy.northbound.http.certificate_maker"
        done = subprocess.run(
            [sys.executable, "-m", module, name or "coldloop", *addresses],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        key, end, certificate = done.stdout.partition(_END_OF_KEY)
        if done.returncode or not certificate:
            reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise OpsError(f"{self._certificate}: cannot be made: {reason}")
        write_private(self._key, (key + end).encode())
        _write(self._certificate, certificate.encode())


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that a power cut leaves the old or the new one."""
    try:
        replace_private(path, data.decode())
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None


def _first(pem: str) -> str:
    """Return the first certificate of a chain."""
    end = "-----END CERTIFICATE-----"
    return pem[pem.index("-----BEGIN") :].partition(end)[0] + end


def _names(parts: Sequence[Sequence[tuple[str, str]]]) -> dict[str, str]:
    """Return the parts of a name that Redfish has."""
    found = {key: value for part in reversed(parts) for key, value in part}
    return {key: found[name] for key, name in SUBJECT.items() if name in found}


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), dt.UTC)
