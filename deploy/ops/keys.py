# SPDX-License-Identifier: Apache-2.0
"""Operators' keys: generation, key files, signatures.

    NAME.key    private key, PEM (PKCS #8), mode 0600, with a passphrase unless --no-passphrase
    NAME.json   {"number", "public", "role"}: an entry of `remote.keys` in the units

`cryptography` or libcrypto signs, in constant time. `cryptography` is imported only where it is
needed: a server of the site has little memory. The units verify with `protocols.signing`. A key in
a token, an agent or another machine has no private file; see `external_signer`.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deploy.errors import OpsError
from deploy.ops.private_file import replace_private
from deploy.ops.raw_signer import load_plain_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROLES = ("operate", "limits", "site")


class PrivateKey(Protocol):
    """Interface of an object that signs."""

    def sign(self, data: bytes, /) -> bytes:
        """Return an Ed25519 signature of 64 bytes."""


@dataclass(frozen=True)
class Key:
    """A signing key with its number and role in the units."""

    number: int
    role: str
    private_key: PrivateKey
    public: str = ""
    """The public key, 64 hexadecimal digits."""

    def sign(self, text: bytes) -> bytes:
        """Return a signature of 64 bytes."""
        return self.private_key.sign(text)


def public_hex(private: "Ed25519PrivateKey") -> str:
    """Return the public key as in a configuration: 64 hexadecimal digits."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def make_key(folder: Path, name: str, number: int, role: str, passphrase: str) -> Path:
    """Make a key pair; return the public file. Raises `OpsError` if the name exists.

    A key without its public file is that of a process that died: its public file is written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    private = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public = {"number": number, "public": public_hex(private), "role": role}
    path = folder / f"{name}.key"
    public_path = folder / f"{name}.json"
    if public_path.exists() and not path.exists():  # of a token
        raise OpsError(f"{public_path}: exists; the command never overwrites a key")
    try:
        if path.exists() and not public_path.exists():  # an earlier process died between both
            public["public"] = _load_private(path, path.read_bytes(), passphrase)[1]
        else:
            new = folder / f"{name}.key.new"
            replace_private(new, pem.decode())
            try:
                os.link(new, path)
            finally:
                new.unlink()
        replace_private(public_path, json.dumps(public) + "\n", 0o666)
    except FileExistsError:
        raise OpsError(f"{path}: exists; the command never overwrites a key") from None
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}; use a folder that you can write to") from None
    return public_path


def import_public_key(folder: Path, name: str, number: int, role: str, pem: Path) -> Path:
    """Write the public file of a key whose private part is elsewhere. Raises `OpsError`."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    public: object = None
    public_path = folder / f"{name}.json"
    try:
        with contextlib.suppress(ValueError, UnsupportedAlgorithm):
            public = load_pem_public_key(pem.read_bytes())
        if not isinstance(public, Ed25519PublicKey):
            raise OpsError(f"{pem}: not a public Ed25519 key in PEM")
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        with public_path.open("x") as file:
            file.write(json.dumps({"number": number, "public": raw, "role": role}) + "\n")
    except FileExistsError:
        raise OpsError(f"{public_path}: exists; the command never overwrites a key") from None
    except OSError as error:
        raise OpsError(f"{error.filename}: {error.strerror}") from None
    return public_path


def load(path: Path, passphrase: str) -> Key:
    """Read a private key, and its number and role from the public file. Raises `OpsError`."""
    try:
        pem = path.read_bytes()
        if path.stat().st_mode & 0o077:
            raise OpsError(f"{path}: other users can read it; chmod 600 {path}")
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}; use a key made by `config keygen`") from None
    private, own = _load_private(path, pem, passphrase)
    public = read_public_key(path.with_suffix(".json"))
    if public["public"] != own:
        raise OpsError(f"{path}: {path.with_suffix('.json').name} belongs to another key")
    return Key(int(str(public["number"])), str(public["role"]), private, own)


def _load_private(path: Path, pem: bytes, passphrase: str) -> tuple[PrivateKey, str]:
    """Return a private key and its public key. Raises `OpsError`."""
    plain = None if passphrase else load_plain_key(pem)
    if plain is not None:
        return plain, plain.public_hex()
    return _load_protected(path, pem, passphrase)


def _load_protected(path: Path, pem: bytes, passphrase: str) -> tuple[PrivateKey, str]:
    """Return a key in any PEM form, and its public key. Raises `OpsError`."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    private: object = None
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        private = load_pem_private_key(pem, passphrase.encode() or None)
    if not isinstance(private, Ed25519PrivateKey):
        raise OpsError(f"{path}: not an Ed25519 key, or the passphrase is wrong")
    return private, public_hex(private)


def read_public_key(path: Path) -> dict[str, object]:
    """Read a public key, NAME.json. Raises `OpsError`."""
    try:
        public = json.loads(path.read_text())
    except (OSError, ValueError):
        public = None
    if not isinstance(public, dict) or not {"number", "public", "role"} <= public.keys():
        raise OpsError(
            f"{path}: missing or not a public key; `config keygen` writes it beside the private key"
        )
    return public
