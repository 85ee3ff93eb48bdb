# SPDX-License-Identifier: Apache-2.0
"""The key of the bench: it signs records and so identifies the bench that wrote them.

Does not sign changes or commands; see `deploy.ops.keys` for the keys of operators. The first use
creates the key file; only its owner can read it. Signature: Ed25519, RFC 8032.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, read_regular

_RAW = serialization.Encoding.Raw


def default_path() -> Path:
    """Return the default path of the key file."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "coldloop" / "bench.key"


class BenchKey:
    """A private key in a file of 64 hexadecimal digits; created if the file is missing.

    Raises BenchError if the file has other content or cannot be read.
    """

    def __init__(self, path: Path, may_create: bool = True) -> None:
        try:
            if may_create and not path.exists():
                _create(path)
            text = read_regular(path, SMALL_BYTES, follow_links=True).decode("ascii").strip()
            self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
        except ValueError:
            raise BenchError(f"{path}: not the key of a bench (64 hexadecimal digits)") from None
        except OSError as error:
            raise BenchError(f"{path}: {error.strerror}") from None
        public = self._key.public_key()
        self.public = public.public_bytes(_RAW, serialization.PublicFormat.Raw).hex()

    def sign(self, text: str) -> str:
        """Sign a text; give the signature in hexadecimal."""
        return self._key.sign(text.encode()).hex()


def load_key(path: Path | None) -> BenchKey:
    """Load the key of the file `path`, or the default key; only the default one is created."""
    return BenchKey(default_path()) if path is None else BenchKey(path, may_create=False)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = Ed25519PrivateKey.generate().private_bytes(
        _RAW, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # readable by its user only
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(raw.hex() + "\n")
        with contextlib.suppress(FileExistsError):  # another run was first: its key counts
            os.link(name, path)
    finally:
        os.unlink(name)


def is_valid_signature(key: str, signature: str, text: object) -> bool:
    """Return whether `signature` is the signature of `key` (both hexadecimal) over `text`."""
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(signature), str(text).encode())
    except (ValueError, InvalidSignature):
        return False
    return True
