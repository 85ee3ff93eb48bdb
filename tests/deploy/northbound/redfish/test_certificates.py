# SPDX-License-Identifier: Apache-2.0
"""CSR and replacement of the certificate of HTTPS, signed by openssl as a foreign authority."""

import contextlib
import datetime as dt
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from deploy.errors import OpsError
from deploy.northbound.http import certificate
from deploy.northbound.http.certificate import CertificateStore
from deploy.ops.private_file import replace_private
from tests.deploy.northbound.redfish.service_bench import PASSWORD, ServiceBench
from tests.deploy.northbound.redfish.test_service import ROOT, ApiClient
from tests.support.programs import require_program

CERTIFICATES = f"{ROOT}/Managers/1/NetworkProtocol/HTTPS/Certificates"
GENERATE = f"{ROOT}/CertificateService/Actions/CertificateService.GenerateCSR"
REPLACE = f"{ROOT}/CertificateService/Actions/CertificateService.ReplaceCertificate"
SUBJECT = {
    "CommonName": "cdu.test", "Organization": "Example", "OrganizationalUnit": "Cooling",
    "City": "Riyadh", "State": "Riyadh", "Country": "SA",
}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    with ServiceBench(tmp_path) as found:
        yield found


@pytest.fixture
def admin(bench: ServiceBench) -> Iterator[ApiClient]:
    client = ApiClient(bench, "admin")
    yield client
    client.link.close()


def sign(folder: Path, request: str) -> str:
    """Sign a CSR with a new authority by openssl; return the chain."""
    openssl = require_program("openssl")
    (folder / "r.csr").write_text(request)
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "9",
            "-subj", "/CN=Site authority"]  # fmt: skip
    issue = ["x509", "-req", "-in", "r.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "c.pem",
             "-days", "9", "-copy_extensions", "copy"]  # fmt: skip
    for arguments in (make, issue):
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)
    return (folder / "c.pem").read_text() + (folder / "ca.pem").read_text()


def body_of(certificate: str) -> dict[str, object]:
    return {
        "CertificateString": certificate,
        "CertificateType": "PEMchain",
        "CertificateUri": {"@odata.id": f"{CERTIFICATES}/1"},
    }


def test_a_signed_request_replaces_the_certificate_without_a_restart(
    bench: ServiceBench, admin: ApiClient, tmp_path: Path
) -> None:
    body = {**SUBJECT, "CertificateCollection": {"@odata.id": CERTIFICATES},
            "AlternativeNames": ["cdu.test", "127.0.0.1"]}  # fmt: skip
    status, found, _h = admin.call("POST", GENERATE, body)
    assert status == 200
    chain = sign(tmp_path, found["CSRString"])
    bench.source.replace(utc=dt.datetime.now(dt.UTC))
    assert admin.call("POST", REPLACE, body_of(chain))[0] == 204
    assert admin.get(f"{CERTIFICATES}/1")["Subject"]["CommonName"] == "cdu.test"
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    port = bench.server.port
    curl = require_program("curl")
    done = subprocess.run(
        [curl, "-s", "--cacert", str(tmp_path / "ca.pem"), "-o", "/dev/null", "-w",
         "%{http_code}", "-u", f"reader:{PASSWORD}",
         f"https://127.0.0.1:{port}{ROOT}/ThermalEquipment"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stdout == "200"
    assert trusted.cert_store_stats()["x509_ca"] == 1
    again = CertificateStore(tmp_path / "https", "cdu.test")  # a restart keeps it
    found = again.describe()
    parsed = x509.load_pem_x509_certificate(again.pem.encode())
    assert found.issuer == {"CommonName": "Site authority"}
    assert (found.not_before, found.not_after, found.serial_number) == (
        parsed.not_valid_before_utc, parsed.not_valid_after_utc, parsed.serial_number,
    )  # fmt: skip
    assert found.fingerprint.replace(":", "").lower() == parsed.fingerprint(SHA256()).hex()


def test_a_certificate_of_another_key_changes_nothing(admin: ApiClient, tmp_path: Path) -> None:
    before = admin.get(f"{CERTIFICATES}/1")["Fingerprint"]
    foreign = CertificateStore(tmp_path / "other", "other.test").pem
    wrong = ["", "x", foreign, foreign[:200], foreign * 6, "x" * 40_000]
    for text in wrong:
        assert admin.call("POST", REPLACE, body_of(text))[0] == 400
    assert admin.call("POST", REPLACE, {**body_of(foreign), "CertificateString": 7})[0] == 400
    assert admin.call("POST", REPLACE, {**body_of(foreign), "CertificateUri": "x"})[0] == 400
    assert admin.get(f"{CERTIFICATES}/1")["Fingerprint"] == before


@pytest.mark.parametrize(
    "change",
    [{"Country": "Saudi Arabia"}, {"CommonName": 7}, {"CommonName": ""}, {"City": "x" * 300},
     {"AlternativeNames": "a"}, {"AlternativeNames": ["ä"]}, {"AlternativeNames": ["a"] * 40},
     {"KeyPairAlgorithm": "TPM_ALG_RSA"}, {"CertificateCollection": {"@odata.id": ROOT}},
     {"CertificateCollection": CERTIFICATES}],
)  # fmt: skip
def test_a_request_with_a_wrong_value_is_refused(
    admin: ApiClient, change: dict[str, object]
) -> None:
    body = {**SUBJECT, "CertificateCollection": {"@odata.id": CERTIFICATES}, **change}
    assert admin.call("POST", GENERATE, body)[0] == 400


def test_the_private_key_is_readable_by_its_user_only(bench: ServiceBench, tmp_path: Path) -> None:
    for name in ("key.pem", "certificate.pem"):
        assert (tmp_path / "https" / name).stat().st_mode & 0o077 == 0


def _issue(store: CertificateStore, begin: dt.datetime, end: dt.datetime) -> str:
    """Return a certificate for a new CSR of the store, signed by a new authority."""
    request = x509.load_pem_x509_csr(store.make_request(SUBJECT).encode())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    builder = x509.CertificateBuilder().subject_name(request.subject).issuer_name(name)
    builder = builder.public_key(request.public_key()).serial_number(7)
    builder = builder.not_valid_before(begin).not_valid_after(end)
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(("begin_days", "end_days"), [(-900, -300), (300, 900)])
def test_a_certificate_that_is_not_valid_now_is_refused(
    bench: ServiceBench, admin: ApiClient, tmp_path: Path, begin_days: int, end_days: int
) -> None:
    now = bench.source.snapshot.utc
    assert now is not None
    store = CertificateStore(tmp_path / "https", "cdu.test")
    days = (now + dt.timedelta(begin_days), now + dt.timedelta(end_days))
    chain = _issue(store, *days)
    before = admin.get(f"{CERTIFICATES}/1")["Fingerprint"]
    status, found, _ = admin.call("POST", REPLACE, body_of(chain))
    assert status == 400
    assert "valid from" in str(found)
    assert admin.get(f"{CERTIFICATES}/1")["Fingerprint"] == before
    bench.source.replace(utc=None)  # the unit cannot know it
    assert admin.call("POST", REPLACE, body_of(chain))[0] == 204


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_power_cut_in_the_replacement_leaves_a_usable_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    store = CertificateStore(tmp_path, "cdu.test")
    old = store.pem
    now = dt.datetime.now(dt.UTC)
    chain = _issue(store, now - dt.timedelta(1), now + dt.timedelta(9))
    done = 0

    def cut(path: Path, text: str) -> None:
        nonlocal done
        if done == writes:
            raise KeyboardInterrupt
        done += 1
        replace_private(path, text)

    with monkeypatch.context() as power:
        power.setattr(certificate, "replace_private", cut)
        with contextlib.suppress(KeyboardInterrupt):
            store.replace(chain)
    again = CertificateStore(tmp_path, "cdu.test")
    assert again.pem in (old, chain)
    assert not (tmp_path / "pair.pem").exists()
    if again.pem == old:
        again.replace(chain)
    CertificateStore(tmp_path, "cdu.test")


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_full_disk_in_the_replacement_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    store = CertificateStore(tmp_path, "cdu.test")
    now = dt.datetime.now(dt.UTC)
    chain = _issue(store, now - dt.timedelta(1), now + dt.timedelta(9))
    old, calls = store.pem, 0

    def fill(path: Path, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls == writes + 1:
            raise OSError(28, "No space left on device")
        replace_private(path, text)

    with monkeypatch.context() as full:
        full.setattr(certificate, "replace_private", fill)
        with pytest.raises(OpsError, match="No space"):
            store.replace(chain)
    assert CertificateStore(tmp_path, "cdu.test").pem == old
    store.replace(chain)
    assert CertificateStore(tmp_path, "cdu.test").pem == chain


def test_a_full_disk_leaves_the_key_of_the_request_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CertificateStore(tmp_path, "cdu.test")
    now = dt.datetime.now(dt.UTC)
    chain = _issue(store, now - dt.timedelta(1), now + dt.timedelta(9))

    def no_space(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_space)
        with pytest.raises(OpsError):
            store.make_request(SUBJECT)
    store.replace(chain)
    (tmp_path / "request.key").write_bytes(b"")  # of an older program
    store.replace(chain)
