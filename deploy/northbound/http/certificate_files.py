# SPDX-License-Identifier: Apache-2.0
"""Key and certificate in two files that are replaced as one pair.

    FOLDER/pair.pem     the new pair, while the two files are being replaced

Does not check certificates; see `certificate`. A new pair is first written to `pair.pem` in one
step. From then on it is in use. Both files are written from it, and it is removed. After a power
cut between these steps, the next start ends the replacement. If the two files cannot be written at
that time, the server uses `pair.pem` itself.
"""

import contextlib
import ssl
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops.private_file import replace_private
from drivers.ports.cpython.certificate_files import FileStamps, load_certificate

_CHAIN = "-----BEGIN CERTIFICATE"


class CertificateFiles:
    """The files of a server. `folder`: of `pair.pem`. `certificate`: with its chain."""

    def __init__(self, folder: Path, certificate: Path, key: Path) -> None:
        self._certificate, self.key = certificate, key
        self._pair = folder / "pair.pem"
        self._stamps = FileStamps((certificate, key, self._pair))

    @property
    def certificate(self) -> Path:
        """The file of the certificate in use; it can also have the key."""
        return self._pair if self._pair.is_file() else self._certificate

    @property
    def chain(self) -> str:
        """The certificate in use with its chain, PEM."""
        text = self.certificate.read_text(encoding="ascii")
        return text[max(0, text.find(_CHAIN)) :]

    @property
    def exist(self) -> bool:
        """Whether there is a pair."""
        return self._pair.is_file() or (self.key.is_file() and self._certificate.is_file())

    def load(self, context: ssl.SSLContext) -> None:
        """Give the pair in use to a context. Raises OpsError: TLS cannot use it."""
        path = self.certificate
        self._stamps.has_changed()
        self._stamps.keep()
        try:
            load_certificate(context, path, None if path == self._pair else self.key)
        except OSError as error:
            raise OpsError(f"TLS of the HTTPS server: {error}") from error

    def load_again(self, context: ssl.SSLContext) -> bool:
        """Give a pair that was replaced on the disk to a context; return whether it did so.

        A pair that TLS cannot use changes nothing: perhaps only one file is there yet.
        """
        if not self._stamps.has_changed():
            return False
        path = self.certificate
        key = None if path == self._pair else self.key
        try:
            load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), path, key)
        except OSError:
            return False
        self.load(context)
        return True

    def finish(self) -> None:
        """End a replacement that a power cut has stopped. Without room it stays for later."""
        if not self._pair.is_file():
            return
        text = self._pair.read_text(encoding="ascii")
        at = text.index(_CHAIN)
        with contextlib.suppress(OpsError, OSError):
            write_file(self.key, text[:at])
            write_file(self._certificate, text[at:])
            self._pair.unlink()

    def replace(self, key: str, chain: str) -> None:
        """Use a new pair from now on. Raises OpsError: the old pair stays in use.

        If the old pair cannot come back because its key was replaced, the new one is in use.
        """
        if self._pair.is_file():
            raise OpsError(f"{self._pair}: the replacement before has not ended")
        old = self.key.read_text(encoding="ascii")
        write_file(self._pair, key + chain)
        try:
            write_file(self.key, key)
            write_file(self._certificate, chain)
        except OpsError:
            if self._is_undone(old):
                raise
            return
        with contextlib.suppress(OSError):
            self._pair.unlink()

    def _is_undone(self, key: str) -> bool:
        """Bring the old pair back; return whether it is in use."""
        try:
            if self.key.read_text(encoding="ascii") != key:
                write_file(self.key, key)
            self._pair.unlink()
        except (OpsError, OSError):
            return False
        return True


def write_file(path: Path, text: str) -> None:
    """Replace a file in one step: a power cut leaves the old or the new one. Raises OpsError."""
    try:
        replace_private(path, text)
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None
