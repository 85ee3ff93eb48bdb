# SPDX-License-Identifier: Apache-2.0
"""Offline root with intermediates, and enrolment as in RFC 7030, with openssl and curl."""

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from deploy.errors import OpsError
from deploy.ops.pki import authority, est, store
from tests.support.cli_tools import wait_until
from tests.support.programs import free_port, require_program

UNIT = "s1.u1"


def program(*command: str) -> str:
    done = subprocess.run(
        [require_program(command[0]), *command[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def request(folder: Path, name: str, stem: str) -> Path:
    """Make a key and a signing request with openssl; return the request in base64."""
    key, der = folder / f"{stem}.key", folder / f"{stem}.der"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-outform", "DER"]
    options += ["-keyout", str(key), "-out", str(der), "-subj", f"/CN={name}"]
    program("openssl", "req", "-new", *options)
    path = folder / f"{stem}.b64"
    path.write_bytes(base64.encodebytes(der.read_bytes()))
    return path


def test_the_root_signs_intermediates_and_openssl_follows_the_chain(tmp_path: Path) -> None:
    root, pki = tmp_path / "root", tmp_path / "pki"
    root.mkdir()
    pki.mkdir()
    authority.create_root(root, "test", "root words")
    signer = authority.load_authority(root, "root words")
    authority.create(pki, "test", "pki words", signer)
    first = authority.issue(pki, UNIT, "unit", [], "pki words")
    verify = ["openssl", "verify", "-CAfile", str(root / "ca.pem"), "-untrusted"]
    assert program(*verify, str(pki / "ca.pem"), str(first)).endswith(": OK\n")
    assert len(x509.load_pem_x509_certificates(first.read_bytes())) == 2
    authority.renew(pki, "test", "pki words", signer)
    second = authority.issue(pki, "s1.u2", "unit", [], "pki words")
    for leaf in (first, second):
        assert program(*verify, str(pki / "ca.pem"), str(leaf)).endswith(": OK\n")
    for name in (UNIT, "s1.u2"):  # of the earlier and of the present intermediate
        authority.revoke(pki, name, "pki words")
    check = ["openssl", "verify", "-crl_check", "-CAfile", str(pki / "ca.pem")]
    check += ["-CRLfile", str(pki / "crl.pem")]
    third = authority.issue(pki, "s1.u3", "unit", [], "pki words")
    assert program(*check, str(third)).endswith(": OK\n")
    for leaf in (first, second):
        assert "certificate revoked" in program(*check, str(leaf))
    with pytest.raises(OpsError, match="passphrase"):
        authority.renew(pki, "test", "other", signer)
    assert not (pki / "ca.old-2.key").exists()
    for path in (*root.glob("*.key"), *pki.glob("ca*.key")):
        assert b"ENCRYPTED" in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600


def test_an_intermediate_makes_no_intermediate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority refuses it, and openssl does not follow such a chain."""
    root, pki, below = tmp_path / "root", tmp_path / "pki", tmp_path / "below"
    for folder in (root, pki, below):
        folder.mkdir()
    authority.create_root(root, "test")
    authority.create(pki, "test", "", authority.load_authority(root, ""))
    with pytest.raises(OpsError, match="no root"):
        authority.create(below, "test", "", authority.load_authority(pki, ""))
    assert not list(below.iterdir())
    monkeypatch.setattr(authority, "check_root", lambda _root: None)
    authority.create(below, "test", "", authority.load_authority(pki, ""))
    leaf = authority.issue(below, UNIT, "unit", [])
    chain = tmp_path / "chain.pem"
    chain.write_bytes((below / "ca.pem").read_bytes() + (pki / "ca.pem").read_bytes())
    verify = ["openssl", "verify", "-CAfile", str(root / "ca.pem"), "-untrusted", str(chain)]
    assert "path length constraint exceeded" in program(*verify, str(leaf))


class EstSite:
    """A running enrolment server, and curl as its client."""

    def __init__(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        root: authority.SigningAuthority | None = None,
    ) -> None:
        self.folder, self.pki, self._capsys = folder, folder / "pki", capsys
        self.pki.mkdir()
        authority.create(self.pki, "test", "", root)
        authority.issue(self.pki, "broker", "broker", ["localhost"])
        port = free_port()
        self.server = est.make_server(self.pki, "", "broker", f"127.0.0.1:{port}")
        self.url = f"https://localhost:{port}{est.PATH}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def invite(self, name: str) -> str:
        self._capsys.readouterr()
        est.invite(self.pki, name)
        return self._capsys.readouterr().out.rpartition(": ")[2].strip()

    def curl(self, resource: str, *options: str) -> str:
        """Return the body and the status in the last line."""
        head = ["curl", "-s", "-m", "20", "--cacert", str(self.pki / "ca.pem")]
        return program(*head, "-w", "\n%{http_code}", *options, self.url + resource)

    def post(self, resource: str, body: Path, *options: str) -> tuple[str, str]:
        kind = ["-H", "Content-Type: application/pkcs10", "--data-binary", f"@{body}"]
        text, _, status = self.curl(resource, *kind, *options).rpartition("\n")
        return status, text

    def certificate(self, text: str, stem: str) -> Path:
        """Read a reply with openssl; return the certificate in PEM."""
        der, pem = self.folder / f"{stem}.p7", self.folder / f"{stem}.pem"
        der.write_bytes(base64.b64decode(text))
        out = program("openssl", "pkcs7", "-inform", "DER", "-in", str(der), "-print_certs")
        pem.write_text(out)
        return pem


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[EstSite]:
    created = EstSite(tmp_path, capsys)
    yield created
    created.stop()


def test_a_unit_enrolls_once_and_again_with_its_certificate(
    site: EstSite,
) -> None:
    """A lost reply is repeated for the same key; the old certificate is revoked after a while."""
    assert "BEGIN CERTIFICATE" in site.certificate(
        site.curl("cacerts").rpartition("\n")[0], "ca"
    ).read_text()  # fmt: skip
    password = site.invite(UNIT)
    body = request(site.folder, UNIT, "first")
    status, text = site.post("simpleenroll", body, "-u", f"{UNIT}:{password}")
    assert status == "200", text
    first = site.certificate(text, "first")
    check = ["openssl", "verify", "-CAfile", str(site.pki / "ca.pem"), str(first)]
    assert program(*check).endswith(": OK\n")
    assert f"user {UNIT}\n" in (site.pki / "acl").read_text()
    assert not (site.pki / f"{UNIT}.key").exists()
    assert site.post("simpleenroll", body, "-u", f"{UNIT}:{password}") == (status, text)
    unknown = request(site.folder, UNIT, "unknown")
    assert site.post("simpleenroll", unknown, "-u", f"{UNIT}:{password}")[0] == "401"  # once
    again = request(site.folder, UNIT, "second")
    shown = ["--cert", str(first), "--key", str(site.folder / "first.key")]
    status, text = site.post("simplereenroll", again, *shown)
    assert status == "200", text
    second = site.certificate(text, "second")
    assert program(*check[:-1], str(second)).endswith(": OK\n")
    assert site.post("simplereenroll", again, *shown) == (status, text)
    assert site.post("simplereenroll", unknown, *shown)[0] == "403"
    crl = x509.load_pem_x509_crl((site.pki / "crl.pem").read_bytes())
    assert not list(crl)
    table = {UNIT: [int(time.time())]}
    store.write_table(site.pki / "replaced", table)
    assert site.post("simplereenroll", again, *shown)[0] == "403"  # it is revoked
    crl = x509.load_pem_x509_crl((site.pki / "crl.pem").read_bytes())
    old = x509.load_pem_x509_certificate(first.read_bytes())
    assert [entry.serial_number for entry in crl] == [old.serial_number]
    assert f"user {UNIT}\n" in (site.pki / "acl").read_text()


def test_a_new_intermediate_and_a_revocation_need_no_restart_of_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server takes the present files for each connection."""
    root = tmp_path / "root"
    root.mkdir()
    authority.create_root(root, "test")
    signer = authority.load_authority(root, "")
    site = EstSite(tmp_path, capsys, signer)
    try:
        authority.renew(site.pki, "test", "", signer)
        pem = authority.issue(site.pki, UNIT, "unit", [])
        show = ["--cert", str(pem), "--key", str(pem.with_suffix(".key"))]
        body = request(tmp_path, UNIT, "next")
        assert site.post("simplereenroll", body, *show)[0] == "200"
        authority.revoke(site.pki, UNIT)
        assert site.post("simplereenroll", body, *show)[0] in ("000", "403")
        (site.pki / "crl.pem").write_text("damaged")
        assert site.curl("cacerts").endswith("200"), "the earlier files are used"
    finally:
        site.stop()


def test_an_unknown_unit_gets_no_certificate(site: EstSite) -> None:
    password = site.invite(UNIT)
    own, other = request(site.folder, UNIT, "own"), request(site.folder, "s1.u2", "other")
    bad = site.folder / "bad"
    bad.write_bytes(b"AAAA")
    long = site.folder / "long"
    long.write_bytes(b"A" * 9000)
    user = ["-u", f"{UNIT}:{password}"]
    for resource, body, options, status in (
        ("simpleenroll", own, [], "401"),
        ("simpleenroll", own, ["-u", f"{UNIT}:x"], "401"),
        ("simpleenroll", own, ["-u", f"s1.u2:{password}"], "401"),
        ("simpleenroll", own, ["-H", "Authorization: Basic !"], "401"),
        ("simpleenroll", other, user, "400"),
        ("simpleenroll", bad, user, "400"),
        ("simpleenroll", long, user, "400"),
        ("simplereenroll", own, user, "403"),
        ("serverkeygen", own, user, "404"),
    ):
        found = site.post(resource, body, *options)
        assert found[0] == status, (resource, options, found)
    assert not (site.pki / f"{UNIT}.pem").exists()
    assert site.post("simpleenroll", own, *user)[0] == "200"
    with pytest.raises(OpsError, match="has a certificate"):
        est.invite(site.pki, UNIT)
    with pytest.raises(OpsError, match="not a name of a unit"):
        est.invite(site.pki, "../x")


def test_a_revoked_unit_does_not_enroll_again(site: EstSite) -> None:
    """Also at a server that runs since before the revocation."""
    authority.issue(site.pki, UNIT, "unit", [])
    body = request(site.folder, UNIT, "own")
    shown = ["--cert", str(site.pki / f"{UNIT}.pem"), "--key", str(site.pki / f"{UNIT}.key")]
    assert site.post("simplereenroll", body, *shown)[0] == "200"
    shown = ["--cert", str(site.pki / f"{UNIT}.pem"), "--key", str(site.folder / "own.key")]
    authority.revoke(site.pki, UNIT)
    assert site.post("simplereenroll", body, *shown)[0] in ("000", "403")  # 000: no handshake
    assert f"user {UNIT}\n" not in (site.pki / "acl").read_text()


def test_a_slow_client_does_not_keep_others_out(
    site: EstSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(est, "_TIMEOUT_S", 1.0)
    context = ssl.create_default_context(cafile=str(site.pki / "ca.pem"))
    place = ("127.0.0.1", site.server.server_port)
    with (
        socket.create_connection(place) as silent,  # no handshake
        socket.create_connection(place) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as slow,
    ):
        stop = threading.Event()

        def send_slowly() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.1):
                    slow.sendall(b"G")

        thread = threading.Thread(target=send_slowly)
        thread.start()
        assert site.curl("cacerts").endswith("\n200")
        stop.set()
        thread.join()
        assert silent.fileno() >= 0


def test_silent_connections_do_not_keep_others_out(site: EstSite) -> None:
    place, idle = ("127.0.0.1", site.server.server_port), []
    try:
        idle = [socket.create_connection(place) for _ in range(12)]
        started = time.monotonic()
        assert site.curl("cacerts", "--interface", "127.0.0.2").endswith("\n200")
        assert time.monotonic() - started < 1.5, "before the time limit of a handshake"
        wait_until("the place is free", lambda: site.curl("cacerts").endswith("\n200"))
    finally:
        for link in idle:
            link.close()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"s1.u1": 1}', '{"s1.u1": ["x", 1, 0]}', "[" * 9999]
)
@pytest.mark.parametrize("name", ["invitations", "replaced"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    authority.create(tmp_path, "test")
    (tmp_path / name).write_text(text)
    read = est.invite if name == "invitations" else authority.revoke_replaced
    with pytest.raises(OpsError, match=f"{name}.*damaged"):
        read(tmp_path, UNIT)


def test_a_revocation_takes_the_replaced_certificate_too(site: EstSite) -> None:
    first = authority.issue(site.pki, UNIT, "unit", []).read_bytes()
    serials = [x509.load_pem_x509_certificate(first).serial_number]
    shown = ["--cert", str(site.pki / f"{UNIT}.pem"), "--key", str(site.pki / f"{UNIT}.key")]
    assert site.post("simplereenroll", request(site.folder, UNIT, "own"), *shown)[0] == "200"
    authority.revoke(site.pki, UNIT)
    second = (site.pki / f"{UNIT}.pem").read_bytes()
    serials.append(x509.load_pem_x509_certificate(second).serial_number)
    crl = x509.load_pem_x509_crl((site.pki / "crl.pem").read_bytes())
    assert sorted(entry.serial_number for entry in crl) == sorted(serials)


def test_an_operator_does_not_become_a_unit(site: EstSite) -> None:
    """The certificate of an operator enrolls for its own name only, with its own rights."""
    authority.issue(site.pki, "alice", "operator", [])
    body = request(site.folder, UNIT, "own")
    shown = ["--cert", str(site.pki / "alice.pem"), "--key", str(site.pki / "alice.key")]
    assert site.post("simplereenroll", body, *shown)[0] == "403"
    assert not (site.pki / f"{UNIT}.pem").exists()
