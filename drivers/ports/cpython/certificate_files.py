# SPDX-License-Identifier: Apache-2.0
"""Certificates, keys and authorities of TLS from files (PEM), for all clients and servers.

Does not check dates or names. A key with a passphrase is an error: the library would ask for it at
the terminal and wait, and most of these processes have no person there. Each error is an OSError
with one line that names the file: those of the library do not.

`FileStamps` notices that files were replaced. They are often written one after the other; a caller
that cannot use them yet tries again when `has_changed` is true the next time.
"""

import os
import ssl
from collections.abc import Iterable
from os import PathLike, fspath

_Path = str | PathLike[str]
POLL_S = 5.0
"""Interval of a server's look at its certificates, s."""


class FileStamps:
    """The time, number and size of `paths`, as they were at the last `keep`."""

    def __init__(self, paths: Iterable[_Path]) -> None:
        self._paths = tuple(paths)
        self._kept = self._seen = self._read()

    def has_changed(self) -> bool:
        """Return whether a file is another one than at the last `keep`."""
        self._seen = self._read()
        return self._seen != self._kept

    def keep(self) -> None:
        """Take the files of the last look as known. A later change is not lost."""
        self._kept = self._seen

    def _read(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: _Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def refuse_passphrase() -> str:
    """Raise ValueError: the library asks for the passphrase of a key."""
    raise ValueError("the key has a passphrase; use one without")


def load_certificate(context: ssl.SSLContext, certificate: _Path, key: _Path | None = None) -> None:
    """Give a certificate, with its chain, and its key to a context. Raises OSError.

    `key`: None: it is in the file of the certificate.
    """
    try:
        context.load_cert_chain(certificate, key, refuse_passphrase)
    except ssl.SSLError as error:
        raise OSError(_describe(error, certificate, key or certificate)) from error
    except OSError as error:
        raise OSError(_describe_read(error, certificate, key or certificate)) from error
    except ValueError as error:
        raise OSError(f"{fspath(key or certificate)}: {error}") from error


def load_authority(context: ssl.SSLContext, authority: _Path) -> None:
    """Give a context the authorities that it trusts, or what they have revoked. Raises OSError."""
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise OSError(f"{fspath(authority)}: not a PEM file with a certificate") from error
    except OSError as error:
        raise OSError(_describe_read(error, authority)) from error


def make_client_context(authority: _Path | None) -> ssl.SSLContext:
    """Return the context of a client; `authority`: None: those of the system. Raises OSError."""
    try:
        return ssl.create_default_context(cafile=authority)
    except ssl.SSLError as error:
        raise OSError(f"{fspath(authority or '')}: not a PEM file with a certificate") from error
    except OSError as error:
        raise OSError(_describe_read(error, authority or "")) from error


def _describe(error: ssl.SSLError, certificate: _Path, key: _Path) -> str:
    reason = (error.reason or "").upper().replace(" ", "_")
    if reason == "KEY_VALUES_MISMATCH":
        return f"{fspath(key)}: not the key of {fspath(certificate)}"
    files = dict.fromkeys((fspath(certificate), fspath(key)))
    return f"{', '.join(files)}: not a PEM file with a certificate or a key"


def _describe_read(error: OSError, *paths: _Path) -> str:
    """Return the error of the file that cannot be read: the library does not name it."""
    path = next((path for path in paths if not _is_readable(path)), paths[0])
    return f"{fspath(path)}: {error.strerror or error}"


def _is_readable(path: _Path) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False
