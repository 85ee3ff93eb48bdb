# SPDX-License-Identifier: Apache-2.0
"""Release keys of an image: those that the board trusts, and the one that signs the application.

The key files are those of `coldloop config keygen`. Does not make keys; see `deploy.ops.keys`.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.ops import keys
from deploy.ops.arguments import PASSPHRASE


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
    """Read the keys. Raises OpsError."""
    public = [str(keys.read_public_key(path)["public"]) for path in arguments.trust]
    sign = None
    if arguments.sign is not None:
        sign = keys.load(arguments.sign, os.environ.get(PASSPHRASE, "")).sign
        public.append(str(keys.read_public_key(arguments.sign.with_suffix(".json"))["public"]))
    trusted = tuple(bytes.fromhex(text) for text in public)
    return Signing(trusted, sign, arguments.floor)
