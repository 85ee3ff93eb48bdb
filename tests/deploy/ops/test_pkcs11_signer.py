# SPDX-License-Identifier: Apache-2.0
"""`--signer` with the program of OpenSC and a key in a PKCS #11 token (SoftHSM)."""

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deploy.ops.command.show import report_to_json
from protocols.signed_message import PATCH, build_signing_input, unpack
from tests.deploy.ops.test_config_command import BLANK, SETPOINT, config
from tests.support.programs import require_program

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A token with a key that it has generated; returns the command line of its program."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "hsm.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    monkeypatch.setenv("SOFTHSM2_CONF", f"{tmp_path}/hsm.conf")
    monkeypatch.setenv("PIN", "1234")
    make = [require_program("softhsm2-util"), "--init-token", "--free", "--label", "ops"]
    arguments = [require_program("pkcs11-tool"), "--module", str(MODULE), "--token-label", "ops"]
    arguments += ["--login", "--pin", "env:PIN"]
    subprocess.run([*make, "--pin", "1234", "--so-pin", "5678"], check=True, capture_output=True)
    kind = ["--keypairgen", "--key-type", "EC:edwards25519", "--id", "09"]
    subprocess.run([*arguments, *kind], check=True, capture_output=True)
    shown = ["--read-object", "--type", "pubkey", "--id", "09", "--output-file"]
    subprocess.run([*arguments, *shown, f"{tmp_path}/alice.pem"], check=True, capture_output=True)
    return arguments


def test_a_pkcs11_token_signs(
    token: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ["keygen", "alice", "--number", "9", "--public", f"{tmp_path}/alice.pem"]
    completed = config(*make, "--dir", str(tmp_path))
    assert completed.returncode == 0, completed.stderr
    public = json.loads((tmp_path / "alice.json").read_text())
    assert (public["number"], public["role"]) == (9, "operate")
    assert not (tmp_path / "alice.key").exists()
    (tmp_path / "r.json").write_text(json.dumps({**report_to_json(BLANK), "update": None}))
    arguments = ["sign", "s/u", f"{SETPOINT}=33", "--report", f"{tmp_path}/r.json"]
    arguments += ["--key", f"{tmp_path}/alice.json", "--out", f"{tmp_path}/p", "--signer"]
    sign = " ".join([*token, "--sign", "--mechanism", "EDDSA", "--id", "09"])
    completed = config(*arguments, sign)
    assert completed.returncode == 0, completed.stderr
    message = unpack((tmp_path / "p").read_bytes())
    text = build_signing_input(PATCH, "s/u", bytes(32), message.body)
    ((number, signature),) = message.signatures
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public["public"])).verify(signature, text)
    assert number == 9
    monkeypatch.setenv("PIN", "4321")
    completed = config(*arguments, sign)
    assert completed.returncode == 2
    assert "CKR_PIN_INCORRECT" in completed.stderr


def test_an_invalid_public_key_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    make = ["keygen", "alice", "--number", "9", "--dir", str(tmp_path), "--public"]
    assert "not a public Ed25519 key" in config(*make, f"{tmp_path}/x.pem").stderr
    assert "No such file" in config(*make, f"{tmp_path}/y.pem").stderr
    assert not (tmp_path / "alice.json").exists()
