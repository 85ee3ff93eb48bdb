"""Signing by another program: for keys in a PKCS #11 token, an agent, or a machine apart.

    coldloop config push … --key alice.json --signer \
        'pkcs11-tool --module M.so --token-label ops --login --sign --mechanism EDDSA --id 09'

A `--key` that names the public file (NAME.json) is signed with the command of `--signer`. The
command gets the text to be signed on stdin, in COLDLOOP_KEY the path of the public file, and
answers with the 64 bytes of an Ed25519 signature (RFC 8032, not pre-hashed) on stdout. It is
started without a shell, once a message. What it answers is verified before it is used: a token with
another key in it is found here, not at a thousand units.

Not here: PKCS #11 itself; OpenSC's program above speaks it. Tried with SoftHSM, no token of metal.
"""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deploy.errors import OpsError
from deploy.ops import keys

TIMEOUT_S = 120
"""A person may have to touch the token, or to type its PIN."""
_SIGNATURE_BYTES = 64
_MAX_ERROR_TEXT = 200


@dataclass(frozen=True)
class ExternalSigner:
    """A program that signs for the public key of `path`. `sign` raises `OpsError`."""

    command: str
    path: Path
    public: bytes

    def sign(self, text: bytes) -> bytes:
        """Have `text` signed; 64 bytes that have been verified."""
        signature = self._run_command(text)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            raise OpsError(f"{self.command}: its signature is not one by {self.path}") from None
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
            raise OpsError(f"{self.command}: no signature within {TIMEOUT_S} s") from None
        except (OSError, ValueError, IndexError) as error:
            raise OpsError(f"{self.command!r}: cannot be started: {error}") from None
        if completed.returncode or len(completed.stdout) != _SIGNATURE_BYTES:
            error_text = " ".join(completed.stderr.decode(errors="replace").split())[
                :_MAX_ERROR_TEXT
            ]
            raise OpsError(
                f"{self.command}: exit {completed.returncode}, {len(completed.stdout)} bytes where "
                f"{_SIGNATURE_BYTES} are a signature. {error_text}".rstrip()
            )
        return completed.stdout


def load(path: Path, command: str | None) -> keys.Key:
    """Give the key whose public file is `path`. Raises `OpsError`."""
    public = keys.read_public_key(path)
    if command is None:
        raise OpsError(f"{path}: is a public key; name the private one, or a --signer")
    try:
        raw = bytes.fromhex(str(public["public"]))
        Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise OpsError(f"{path}: not a public key of 64 hexadecimal digits") from None
    return keys.Key(
        int(str(public["number"])), str(public["role"]), ExternalSigner(command, path, raw)
    )
