# SPDX-License-Identifier: Apache-2.0
"""Signatures by libcrypto are those of `cryptography`, bit by bit; other keys go to it."""

import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.ops import keys, raw_signer

PLAIN = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()


def test_signatures_are_equal() -> None:
    for size in (0, 1, 63, 64, 65, 5000):
        key = Ed25519PrivateKey.generate()
        signer = raw_signer.load_plain_key(key.private_bytes(*PLAIN))
        assert signer is not None, "the interpreter of the tests has a shared libcrypto"
        text = secrets.token_bytes(size)
        assert signer.sign(text) == key.sign(text)
        assert signer.public_hex() == keys.public_hex(key)


def test_other_files_are_none() -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(*PLAIN)
    other = X25519PrivateKey.generate().private_bytes(*PLAIN)
    for wrong in (b"", b"x", other, pem[:-30], pem.replace(b"M", b"!"), pem[:40] + pem[50:]):
        assert raw_signer.load_plain_key(wrong) is None


@pytest.mark.parametrize("passphrase", ["", "a passphrase"])
def test_a_key_signs_with_and_without_libcrypto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str
) -> None:
    path = keys.make_key(tmp_path, "site", 9, "site", passphrase).with_suffix(".key")
    wanted = load_pem_private_key(path.read_bytes(), passphrase.encode() or None)
    assert isinstance(wanted, Ed25519PrivateKey)
    assert keys.load(path, passphrase).sign(b"text") == wanted.sign(b"text")
    monkeypatch.setattr(raw_signer, "_libcrypto", lambda: None)
    assert keys.load(path, passphrase).sign(b"text") == wanted.sign(b"text")
