# SPDX-License-Identifier: Apache-2.0
"""Files of the folder of an authority: read, replaced as a whole, and locked.

Does not decide what is issued; see `deploy.ops.pki.authority`. A power cut or a full disk leaves
the old or the new file.

    FOLDER/pending    new contents of files that belong together, while they are replaced

`write_all` stores all contents there first. If the process dies afterwards, the next one that locks
the folder completes the work. If it dies before, nothing has changed.
"""

import base64
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.errors import OpsError
from deploy.ops.pki.certificates import SigningAuthority
from deploy.ops.private_file import replace_private

_END_OF_CRL = b"-----END X509 CRL-----\n"
_PUBLIC = 0o666
_PENDING = "pending"
_held = threading.local()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Change the folder alone: the enrolment server and a command can work at the same time.

    A thread that has the folder already goes on. Raises `OpsError`: no such folder.
    """
    held: set[Path] = _held.__dict__.setdefault("folders", set())
    key = folder.absolute()
    if key in held:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise OpsError(f"{folder}: no authority; `config pki create` makes it") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _complete(folder)
        held.add(key)
        yield
    finally:
        held.discard(key)
        os.close(descriptor)


def replace(path: Path, data: bytes, mode: int = _PUBLIC) -> None:
    """Replace a file, durable on return. Raises `OpsError`: the old file is unchanged."""
    try:
        replace_private(path, data.decode(), mode)
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None


def write_all(folder: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """Replace files (content, mode) together. Raises `OpsError`: the earlier files are back."""
    paths = [folder / name for name in files]
    before = {path: read(path) if path.exists() else None for path in paths}
    rows = {name: [base64.b64encode(data).decode(), mode] for name, (data, mode) in files.items()}
    replace(folder / _PENDING, json.dumps(rows).encode(), 0o600)
    try:
        for path in paths:
            replace(path, *files[path.name])
    except OpsError:
        (folder / _PENDING).unlink()
        for path, data in before.items():
            if data is None:
                path.unlink(missing_ok=True)
            elif read(path) != data:
                replace(path, data, files[path.name][1])
        raise
    (folder / _PENDING).unlink()


def _complete(folder: Path) -> None:
    """Replace the files of a process that died in `write_all`. Raises `OpsError`."""
    path = folder / _PENDING
    if not path.exists():
        return
    try:
        rows = json.loads(read(path))
        for name, (text, mode) in rows.items():
            replace(folder / Path(name).name, base64.b64decode(text), mode)
    except (ValueError, TypeError, AttributeError) as error:
        raise OpsError(f"{path}: {error}; it is damaged: remove it") from None
    path.unlink()


def read(path: Path) -> bytes:
    """Return the content of a file. Raises `OpsError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None


def read_table(path: Path, numbers: int) -> dict[str, list[int]]:
    """Return a JSON file of names with `numbers` integers each. Raises `OpsError`: damaged."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise OpsError(f"{path}: {error}; it is damaged: remove it") from None
    rows: list[Any] = list(found.values()) if isinstance(found, dict) else [None]
    if not all(isinstance(row, list) and len(row) == numbers for row in rows):
        raise OpsError(f"{path}: it is damaged: remove it")
    if not all(type(number) is int for row in rows for number in row):
        raise OpsError(f"{path}: it is damaged: remove it")
    return dict(found)


def write_table(path: Path, rows: dict[str, list[int]]) -> None:
    """Write what `read_table` reads. Raises `OpsError`."""
    replace(path, json.dumps(rows).encode(), 0o600)


def key_to_pem(key: ec.EllipticCurvePrivateKey, passphrase: str = "") -> bytes:
    """Return a private key in PEM, encrypted if there is a passphrase."""
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def is_encrypted(folder: Path) -> bool:
    """Return whether the key of the authority needs a passphrase."""
    path = folder / "ca.key"
    return path.exists() and b"ENCRYPTED" in read(path)


def load_authority(folder: Path, passphrase: str, stem: str = "ca") -> SigningAuthority:
    """Return the authority of a folder. Raises `OpsError`: none, or a wrong passphrase."""
    path = folder / f"{stem}.key"
    try:
        pem = path.read_bytes()
        secret = passphrase.encode() if b"ENCRYPTED" in pem else None
        key = load_pem_private_key(pem, secret)
    except OSError:
        raise OpsError(f"{folder}: no authority; `config pki create` makes it") from None
    except (ValueError, TypeError):
        raise OpsError(f"{path}: no key, or the passphrase is wrong") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OpsError(f"{path}: not a key of this authority")
    certificate = load_certificate(folder / f"{stem}.pem")
    if certificate.public_key() != key.public_key():
        raise OpsError(
            f"{path}: does not fit {stem}.pem; copy the last ca.old-N.pem and .key back to it"
        )
    return SigningAuthority(key, certificate)


def load_certificate(path: Path) -> x509.Certificate:
    """Return the first certificate of a file. Raises `OpsError`."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise OpsError(f"{path}: not a certificate") from None


def load_crls(folder: Path) -> list[x509.CertificateRevocationList]:
    """Return the revocation lists, one for each intermediate. Raises `OpsError`."""
    try:
        parts = (folder / "crl.pem").read_bytes().split(_END_OF_CRL)[:-1]
        return [x509.load_pem_x509_crl(part + _END_OF_CRL) for part in parts]
    except (OSError, ValueError) as error:
        raise OpsError(f"{folder / 'crl.pem'}: not a revocation list: {error}") from None


def issuer_of(certificate: x509.Certificate, folder: Path, passphrase: str) -> SigningAuthority:
    """Return the authority that has issued a certificate: the present one or an earlier one."""
    for path in [folder / "ca.pem", *sorted(folder.glob("ca.old-*.pem"))]:
        found = load_authority(folder, passphrase, path.stem)
        if found.certificate.subject == certificate.issuer:
            return found
    raise OpsError(f"{folder}: has not issued this certificate")
