# SPDX-License-Identifier: Apache-2.0
"""Certificates that a broker refuses, that are out of date, and keys with a passphrase."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from deploy.errors import DeployError
from deploy.ops.pki import authority as pki
from deploy.relay import command
from deploy.relay.intake.http_server import HttpSettings, check_certificate
from deploy.relay.mqtt.tls_files import date_problem
from tests.deploy.relay.intake.test_relay_access import (
    make_relay,
    replace_all_certificates,
    wait_for_problem,
)
from tests.deploy.test_broker_security import SecureBroker, running_broker

_NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecureBroker]:
    with running_broker(tmp_path) as created:
        yield created


def write_certificate(path: Path, first_day: int, last_day: int, passphrase: bytes = b"") -> None:
    """Write a self-signed certificate that is valid from a day to a day after today, and a key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(_NOW + dt.timedelta(days=first_day))
        .not_valid_after(_NOW + dt.timedelta(days=last_day))
        .sign(key, SHA256())
    )
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(pem.Encoding.PEM))
    cipher: pem.KeySerializationEncryption = pem.NoEncryption()
    if passphrase:
        cipher = pem.BestAvailableEncryption(passphrase)
    form = (pem.Encoding.PEM, pem.PrivateFormat.PKCS8, cipher)
    path.with_suffix(".key").write_bytes(key.private_bytes(*form))


@pytest.mark.parametrize(
    ("first_day", "last_day", "text"),
    [(-9, 9, ""), (-9, -1, "expired on"), (1, 9, "only; check the clock")],
)
def test_a_certificate_that_is_not_valid_now(
    tmp_path: Path, first_day: int, last_day: int, text: str
) -> None:
    write_certificate(tmp_path / "a", first_day, last_day)
    found = date_problem(str(tmp_path / "a.pem"))
    assert found.endswith(text) if first_day > 0 or not text else text in found
    assert date_problem(str(tmp_path / "a.key")) == date_problem(None) == ""


def test_the_check_names_certificates_that_have_expired(
    broker: SecureBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    write_certificate(broker.pki / "ground", -9, -1)
    write_certificate(broker.pki / "web", -9, -2)
    words = ["--broker", f"localhost:{broker.port}", "--store", str(broker.folder / "r.db")]
    files = [str(broker.pki / name) for name in ("ca.pem", "ground.pem", "ground.key")]
    for option, path in zip(("--ca", "--cert", "--key"), files, strict=True):
        words += [option, path]
    assert command.run([*words, "--check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert f"{files[1]}: expired on" in lines[0]
    assert "the broker ends the connection: [" in lines[1]
    assert "alert" in lines[1]


def test_a_relay_says_why_the_broker_refuses_its_certificate(broker: SecureBroker) -> None:
    broker.stop()
    names = ("ca.pem", "broker.pem", "broker.key")
    kept = {name: (broker.pki / name).read_bytes() for name in names}
    replace_all_certificates(broker)
    for name, content in kept.items():
        (broker.pki / name).write_bytes(content)
    broker.start()
    wait_for_problem(make_relay(broker, "ground", "ground-outputs"), "alert")


def test_a_key_with_a_passphrase_is_an_error_and_no_question(tmp_path: Path) -> None:
    """The library asks at the terminal of the relay, at each connection, and waits there."""
    write_certificate(tmp_path / "a", -1, 9, b"secret")
    certificate, key = (str(tmp_path / f"a.{kind}") for kind in ("pem", "key"))
    with pytest.raises(DeployError, match="the key has a passphrase"):
        check_certificate(HttpSettings("127.0.0.1", 0, certificate, key))
    pki.create(tmp_path, "test")
    words = ["--broker", "localhost:1", "--store", str(tmp_path / "r.db"), "--cert", certificate]
    options = command.parse_options([*words, "--key", key])
    with pytest.raises(DeployError, match="the key has a passphrase"):
        command._make_relay(options)
