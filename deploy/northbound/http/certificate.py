# SPDX-License-Identifier: Apache-2.0
"""Key and certificate of the HTTPS server: made at the first start, replaced by CSR.

    FOLDER/key.pem, FOLDER/certificate.pem     in use
    FOLDER/pair.pem                            both, while they are being replaced
    FOLDER/request.key                         key of the last CSR, until its certificate comes

Does not issue certificates for others; see `deploy.ops.pki`. Keys are EC P-256 and never leave the
unit. A certificate is accepted if it belongs to the key in use or to the key of the last CSR, and
if it is valid at the UTC of the unit; while the unit does not know UTC, its times are not checked.
New connections use it immediately; open ones keep the old one. `refresh` does the same with files
that another program has replaced.
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
from deploy.northbound.http.certificate_files import CertificateFiles, write_file
from deploy.northbound.http.handshake import MeasuredTls
from deploy.ops.private_file import write_private
from drivers.ports.cpython.certificate_files import load_certificate

_MAX_PEM = 32_768
_MAX_CHAIN = 5
_MAX_TEXT = 64
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
        certificate, key = files or (folder / "certificate.pem", folder / "key.pem")
        self._files = CertificateFiles(folder, certificate, key)
        self._request = folder / "request.key"
        if files is None and not self._files.exist:
            self._make_own(name, addresses, certificate)
        self._files.finish()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.sslobject_class = MeasuredTls
        self._files.load(self.context)

    @property
    def pem(self) -> str:
        """The certificate in use, with its chain."""
        return self._files.chain

    def describe(self) -> CertificateText:
        """Return what the certificate in use says."""
        # The function that the tests of Python use; the library for it needs 18 MiB of memory.
        found = ssl._ssl._test_decode_cert(str(self._files.certificate))  # type: ignore[attr-defined]  # noqa: SLF001
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

    def refresh(self) -> None:
        """Use files that another program has replaced, for new connections."""
        self._files.load_again(self.context)

    def make_request(self, subject: dict[str, str], names: Sequence[str] = ()) -> str:
        """Make a new key and return its CSR (PKCS #10) as PEM. Raises OpsError: a value."""
        if not all(1 <= len(text) <= _MAX_TEXT and text.isprintable() for text in subject.values()):
            raise OpsError(f"CSR: each part of the subject has 1 to {_MAX_TEXT} characters")
        from deploy.northbound.http import certificate_maker as maker  # noqa: PLC0415

        made = maker.make_request(subject, names)
        write_file(self._request, made.key.decode())
        return made.result.decode()

    def replace(self, text: str, utc: tuple[dt.datetime, dt.timedelta] | None = None) -> None:
        """Use a new certificate, with its chain, from now on. Raises OpsError; nothing changes.

        `utc`: the time and its error bound; None: not known, the times are not checked.
        """
        if len(text) > _MAX_PEM:
            raise OpsError(f"certificate: at most {_MAX_PEM} bytes")
        from deploy.northbound.http import certificate_maker as maker  # noqa: PLC0415

        self._files.finish()
        pem, public = maker.read_chain(text, _MAX_CHAIN)
        key = self._matching_key(public)
        if utc is not None:
            maker.check_times(pem, *utc)
        self._check_usable(key, pem)
        self._files.replace(key.decode(), pem.decode())
        with contextlib.suppress(OSError):
            self._request.unlink()
        self._files.load(self.context)

    def _matching_key(self, wanted: bytes) -> bytes:
        from deploy.northbound.http import certificate_maker as maker  # noqa: PLC0415

        for path in (self._request, self._files.key):
            if path.is_file():
                pem = path.read_bytes()
                if maker.public_key(pem) == wanted:
                    return pem
        raise OpsError("certificate: it does not belong to the key of the unit or of its CSR")

    def _check_usable(self, key: bytes, pem: bytes) -> None:
        """Load both in a context of their own, so that a bad pair does not stop the server."""
        trial = self._folder / "trial.pem"
        write_private(trial, key + pem)
        try:
            load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), trial)
        except OSError as error:
            raise OpsError("certificate: TLS cannot use it") from error
        finally:
            with contextlib.suppress(OSError):
                trial.unlink()

    def _make_own(self, name: str, addresses: Sequence[str], path: Path) -> None:
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
            raise OpsError(f"{path}: cannot be made: {reason}")
        write_file(self._files.key, key + end)
        write_file(path, certificate)


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
