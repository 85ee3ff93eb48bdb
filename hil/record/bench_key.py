"""The bench's own key: it signs records, so that one can tell which bench wrote them.

Not an operator's key (`deploy.ops.keys`): it signs no change and no command. It is made at first
use, readable by its owner alone. Ed25519, RFC 8032.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hil.errors import BenchError

_RAW = serialization.Encoding.Raw


def default_path() -> Path:
    """Where the key lies unless a command names another place."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "coldloop" / "bench.key"


class BenchKey:
    """A private key in a file of 64 hexadecimal digits; made there when it is missing."""

    def __init__(self, path: Path) -> None:
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_read_or_create(path)))
        except ValueError:
            raise BenchError(f"{path}: not a bench's key (64 hexadecimal digits)") from None
        except OSError as error:
            raise BenchError(f"{path}: {error.strerror}") from None
        public = self._key.public_key()
        self.public = public.public_bytes(_RAW, serialization.PublicFormat.Raw).hex()

    def sign(self, text: str) -> str:
        """Sign a text; hexadecimal."""
        return self._key.sign(text.encode()).hex()


def _read_or_create(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = Ed25519PrivateKey.generate().private_bytes(
            _RAW, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(raw.hex() + "\n")
    return path.read_text(encoding="ascii").strip()


def is_valid_signature(key: str, signature: str, text: object) -> bool:
    """Tell whether `signature` is that of `key` over `text`."""
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(signature), str(text).encode())
    except (ValueError, InvalidSignature):
        return False
    return True
