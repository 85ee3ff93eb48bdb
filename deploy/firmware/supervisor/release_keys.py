# SPDX-License-Identifier: Apache-2.0
"""Release keys of an image: those that the board trusts, and the one that signs the application.

The key files are those of `coldloop config keygen`: PEM, and NAME.json with the public key. Does
not make keys. A private key needs `cryptography`, of the extra `ops`.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import FirmwareError

PASSPHRASE = "COLDLOOP_PASSPHRASE"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Signing:
    """`trusted`: public keys, 32 bytes each; empty: the board starts unsigned applications.

    `sign` returns the signature of a message. `floor`: the oldest release that may run after this.
    """

    trusted: tuple[bytes, ...] = ()
    sign: Callable[[bytes], bytes] | None = None
    floor: int = 0


UNSIGNED = Signing()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --sign, --trust and --floor."""
    parser.add_argument(
        "--sign",
        type=Path,
        metavar="FILE",
        help=f"private key that signs the application; the board trusts it (passphrase: "
        f"{PASSPHRASE})",
    )
    parser.add_argument(
        "--trust",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="another public key (NAME.json) that the board trusts",
    )
    parser.add_argument(
        "--floor", type=int, default=0, metavar="N", help="oldest release that may run later (0)"
    )


def read_signing(arguments: argparse.Namespace) -> Signing:
    """Read the keys. Raises FirmwareError."""
    trusted = [read_public(path) for path in arguments.trust]
    sign = None
    if arguments.sign is not None:
        public, sign = _read_private(arguments.sign)
        trusted.append(public)
    return Signing(tuple(trusted), sign, arguments.floor)


def read_public(path: Path) -> bytes:
    """Read a public key, NAME.json. Raises FirmwareError."""
    try:
        return bytes.fromhex(json.loads(path.read_text(encoding="utf-8"))["public"])
    except (OSError, ValueError, KeyError, TypeError):
        raise FirmwareError(f"{path}: not a public key; `config keygen` writes NAME.json") from None


def _read_private(path: Path) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return the public key and the function that signs."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        phrase = os.environ.get(PASSPHRASE, "").encode() or None
        private = load_pem_private_key(path.read_bytes(), phrase)
    except (OSError, ValueError, TypeError):
        raise FirmwareError(f"{path}: not a private key, or {PASSPHRASE} is wrong") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise FirmwareError(f"{path}: not an Ed25519 key")
    return private.public_key().public_bytes_raw(), private.sign
