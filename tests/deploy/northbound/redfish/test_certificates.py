# SPDX-License-Identifier: Apache-2.0
"""CSR and replacement of the certificate of HTTPS, signed by openssl as a foreign authority."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from deploy.northbound.http.certificate import CertificateStore
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
        # A minute ahead: a certificate that openssl issues during the test is then valid already.
        found.source.replace(utc=datetime.now(UTC) + timedelta(minutes=1), utc_bound_us=1000)
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


def test_a_certificate_that_is_not_valid_now_is_refused_if_the_time_is_known(
    bench: ServiceBench, admin: ApiClient, tmp_path: Path
) -> None:
    body = {**SUBJECT, "CertificateCollection": {"@odata.id": CERTIFICATES}}
    chain = sign(tmp_path, admin.call("POST", GENERATE, body)[1]["CSRString"])
    before = admin.get(f"{CERTIFICATES}/1")["Fingerprint"]
    for days, text in ((20, "it expired at"), (-2, "it is not valid before")):
        bench.source.replace(utc=datetime.now(UTC) + timedelta(days))
        status, found, _headers = admin.call("POST", REPLACE, body_of(chain))
        assert status == 400, days
        assert text in json.dumps(found)
        assert admin.get(f"{CERTIFICATES}/1")["Fingerprint"] == before
    bench.source.replace(utc=datetime.now(UTC) + timedelta(20), utc_bound_us=12 * 86400 * 10**6)
    assert admin.call("POST", REPLACE, body_of(chain))[0] == 204, "within the error bound"


def test_the_times_of_a_certificate_are_not_checked_without_utc(
    bench: ServiceBench, admin: ApiClient, tmp_path: Path
) -> None:
    body = {**SUBJECT, "CertificateCollection": {"@odata.id": CERTIFICATES}}
    chain = sign(tmp_path, admin.call("POST", GENERATE, body)[1]["CSRString"])
    bench.source.replace(utc=None, utc_bound_us=None)
    assert admin.call("POST", REPLACE, body_of(chain))[0] == 204


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
