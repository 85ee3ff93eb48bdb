# SPDX-License-Identifier: Apache-2.0
r"""External signer: another program signs with a key in a PKCS #11 token, an agent or another
machine.

    coldloop config push … --key alice.json --signer \
        'pkcs11-tool --module M.so --token-label ops --login --sign --mechanism EDDSA --id 09'

Does not speak PKCS #11; the program of OpenSC in the example does. Tested with SoftHSM, not with a
hardware token.

The command of `--signer` signs for each `--key` that names a public file (NAME.json). It starts
once for each message, without a shell. It reads the text from stdin and the path of the public file
from COLDLOOP_KEY. It writes an Ed25519 signature of 64 bytes (RFC 8032, not pre-hashed) to stdout.
`ExternalSigner` verifies the signature before use. So a token with another key fails here and not
at the units.
"""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deploy.errors import LocalError, OpsError
from deploy.ops import keys

TIMEOUT_S = 120
"""Includes the time to touch the token or to type its PIN."""
_SIGNATURE_BYTES = 64
_MAX_ERROR_TEXT = 200


@dataclass(frozen=True)
class ExternalSigner:
    """Signs with a program for the public key of `path`. `sign` raises `LocalError`."""

    command: str
    path: Path
    public: bytes

    def sign(self, text: bytes) -> bytes:
        """Run the program on `text`; return a verified signature of 64 bytes."""
        signature = self._run_command(text)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            raise LocalError(
                f"{self.command}: the signature is not from the key of {self.path}"
            ) from None
        return signature

    def _run_command(self, text: bytes) -> bytes:
        environment = {**os.environ, "COLDLOOP_KEY": str(self.path)}
        try:
            completed = subprocess.run(
                shlex.split(self.command),
                input=text,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            raise LocalError(f"{self.command}: no signature within {TIMEOUT_S} s") from None
        except (OSError, ValueError, IndexError) as error:
            raise LocalError(f"{self.command!r}: cannot start: {error}") from None
        if completed.returncode or len(completed.stdout) != _SIGNATURE_BYTES:
            error_text = " ".join(completed.stderr.decode(errors="replace").split())[
                :_MAX_ERROR_TEXT
            ]
            raise LocalError(
                f"{self.command}: exit {completed.returncode}, {len(completed.stdout)} bytes where "
                f"{_SIGNATURE_BYTES} are a signature. {error_text}".rstrip()
            )
        return completed.stdout


def load(path: Path, command: str | None) -> keys.Key:
    """Return the key of the public file `path`. Raises `OpsError`."""
    public = keys.read_public_key(path)
    if command is None:
        raise OpsError(f"{path}: a public key; use the private key, or --signer")
    try:
        raw = bytes.fromhex(str(public["public"]))
        Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise OpsError(f"{path}: not a public key of 64 hexadecimal digits") from None
    signer = ExternalSigner(command, path, raw)
    return keys.Key(int(str(public["number"])), str(public["role"]), signer, raw.hex())
