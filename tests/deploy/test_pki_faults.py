# SPDX-License-Identifier: Apache-2.0
"""The authority keeps roles and revocations: after faults, edits of files and wrong words."""

import base64
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from deploy.errors import OpsError
from deploy.ops import keys
from deploy.ops.pki import authority, certificates, est, store
from deploy.ops.pki.certificates import Rights
from deploy.ops.private_file import replace_private

UNIT = "s1.u1"
NAMES = (
    ("eve", "reader", "s1"),
    ("bob", "operator", "s1"),
    ("al", "operator", ""),
    (UNIT, "unit", ""),
)


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def block(folder: Path, name: str) -> str:
    found = (folder / "acl").read_text().partition(f"\nuser {name}\n")[2]
    return found.partition("\nuser ")[0].strip()


def make_request(name: str, curve: ec.EllipticCurve | None = None) -> bytes:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(("name", "role", "site"), NAMES)
@pytest.mark.parametrize("revoked", [False, True])
def test_a_rotation_keeps_the_role(
    tmp_path: Path, name: str, role: str, site: str, revoked: bool
) -> None:
    authority.create(tmp_path, "test")
    authority.issue(tmp_path, name, role, [], site=site)
    before = block(tmp_path, name)
    if revoked:
        authority.revoke(tmp_path, name)
        assert block(tmp_path, name) == ""
    authority.rotate(tmp_path, name, [])
    assert block(tmp_path, name) == before
    authority.rotate(tmp_path, name, [], rights=Rights(role, site))
    with pytest.raises(OpsError, match="it keeps"):
        authority.rotate(tmp_path, name, [], rights=Rights("operator", "s9"))


def test_a_certificate_without_a_role_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.create(tmp_path, "test")
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "NameOID", _WithoutUnits)
        authority.issue(tmp_path, UNIT, "unit", [])
    before = state(tmp_path)
    with pytest.raises(OpsError, match="--role"):
        authority.rotate(tmp_path, UNIT, [])
    assert state(tmp_path) == before
    authority.rotate(tmp_path, UNIT, [], rights=Rights("unit"))


class _WithoutUnits:
    """Puts the role where older certificates have none."""

    COMMON_NAME = NameOID.COMMON_NAME
    ORGANIZATIONAL_UNIT_NAME = NameOID.TITLE


@pytest.mark.parametrize("damage", ["tele ", "other"])
def test_an_enrolment_gives_the_rights_of_a_unit_only(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the text of the access list is."""
    authority.create(tmp_path, "test")
    path = authority.issue(tmp_path, UNIT, "unit", [])
    expected = block(tmp_path, UNIT)
    acl = tmp_path / "acl"
    acl.write_text(acl.read_text().replace("/tele\n", f"/{damage}\n"))
    shown = x509.load_pem_x509_certificate(path.read_bytes())
    service = est.EstService(tmp_path, "")
    der = x509.load_pem_x509_csr(make_request(UNIT)).public_bytes(Encoding.DER)
    service.reenroll(shown, base64.encodebytes(der))
    assert block(tmp_path, UNIT) == expected
    bob = authority.issue(tmp_path, "s1.bob", "operator", [])
    shown = x509.load_pem_x509_certificate(bob.read_bytes())
    before = state(tmp_path)
    with pytest.raises(est.EnrolmentRefusedError, match="only a unit"):
        service.reenroll(shown, base64.encodebytes(der))
    assert state(tmp_path) == before


def test_a_revocation_removes_a_block_with_spaces(tmp_path: Path) -> None:
    authority.create(tmp_path, "test")
    authority.issue(tmp_path, "al", "operator", [])
    authority.issue(tmp_path, UNIT, "unit", [])
    acl = tmp_path / "acl"
    acl.write_text(acl.read_text().replace("user al\n", "user  al \n\n"))
    authority.revoke(tmp_path, "al")
    assert "+/+/cmd" not in acl.read_text()
    assert f"user {UNIT}\n" in acl.read_text()


def test_a_wrong_renewal_changes_nothing(tmp_path: Path) -> None:
    pki, signer = _make_authorities(tmp_path)
    authority.issue(pki, UNIT, "unit", [])
    authority.revoke(pki, UNIT)
    before = state(pki)
    for organisation, other in (("x" * 41, signer), ("", signer), ("test", _authority(pki))):
        with pytest.raises(OpsError):
            authority.renew(pki, organisation, "", other)
        assert state(pki) == before
    for missing in ("ca.pem", "ca.key"):
        (pki / missing).rename(pki / "kept")
        with pytest.raises(OpsError, match="exists"):
            authority.create(pki, "test", "", signer)
        (pki / "kept").rename(pki / missing)
    assert state(pki) == before


def _make_authorities(folder: Path) -> tuple[Path, certificates.SigningAuthority]:
    """Make a root and an intermediate; return the folder of the latter and the root's key."""
    root, pki = folder / "root", folder / "pki"
    root.mkdir()
    pki.mkdir()
    authority.create_root(root, "test")
    signer = _authority(root)
    authority.create(pki, "test", "", signer)
    return pki, signer


def _authority(folder: Path) -> certificates.SigningAuthority:
    return authority.load_authority(folder, "")


@pytest.mark.parametrize("name", ["acl", "crl.pem", "ca.old-1.pem"])
def test_a_new_authority_needs_an_empty_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    for make in (authority.create, authority.create_root):
        with pytest.raises(OpsError, match=name):
            make(tmp_path, "test")
    assert state(tmp_path) == {name: b"x"}


@pytest.mark.parametrize("count", range(8))
def test_a_full_disk_leaves_no_half_state(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the fault, the same command works, and the rights are those of the role."""
    root, pki = tmp_path / "root", tmp_path / "pki"
    root.mkdir()
    pki.mkdir()
    authority.create_root(root, "test")
    signer = authority.load_authority(root, "")

    def rotate() -> None:
        authority.rotate(pki, UNIT, [])

    for command in (
        lambda: authority.create(pki, "test", "", signer),
        lambda: authority.issue(pki, UNIT, "unit", []),
        lambda: authority.revoke(pki, UNIT),
        rotate,
        lambda: authority.renew(pki, "test", "", signer),
        rotate,
    ):
        with monkeypatch.context() as patch:
            fill_disk(patch, count)
            fault = fault_of(command)
        if fault is None:
            continue
        assert "No space" in fault
        command()
        assert not list(pki.glob("*.new"))
    authority.load_authority(pki, "")
    assert "cfg/reported" in block(pki, UNIT)
    assert "+/" not in block(pki, UNIT).replace("record/+", "")


class KilledError(BaseException):
    """The process dies here: nothing of it runs any more."""


@pytest.mark.parametrize("word", ["create", "issue", "revoke", "rotate", "renew"])
def test_a_process_killed_at_each_write_is_completed_or_done_again(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 0
    while True:
        folder = tmp_path / str(kills)
        folder.mkdir()
        root, pki = folder / "root", folder / "pki"
        root.mkdir()
        pki.mkdir()
        authority.create_root(root, "test")
        signer = authority.load_authority(root, "")
        commands: dict[str, Callable[[], object]] = {
            "create": functools.partial(authority.create, pki, "test", "", signer),
            "issue": functools.partial(authority.issue, pki, UNIT, "unit", []),
            "revoke": functools.partial(authority.revoke, pki, UNIT),
            "rotate": functools.partial(authority.rotate, pki, UNIT, []),
            "renew": functools.partial(authority.renew, pki, "test", "", signer),
        }
        before = {"create": 0, "issue": 1}.get(word, 2)
        for command in list(commands.values())[:before]:
            command()
        with monkeypatch.context() as patch:
            kill_at(patch, kills)
            try:
                commands[word]()
            except KilledError:
                kills += 1
            else:
                break
        with store.locked(pki):
            assert not (pki / "pending").exists()
        again = fault_of(commands[word])
        assert again is None or "exists" in again
        authority.load_authority(pki, "")
        if word != "create":
            check_pair(pki, UNIT, is_revoked=word == "revoke")
    assert kills >= 4


def kill_at(patch: pytest.MonkeyPatch, count: int) -> None:
    """End the process before its operation `count` on a file."""
    left = [count]

    def mortal(real: Callable[..., object]) -> Callable[..., object]:
        def operation(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return real(*arguments, **options)

        return operation

    patch.setattr(os, "replace", mortal(os.replace))
    patch.setattr(os, "fsync", mortal(os.fsync))
    patch.setattr(Path, "unlink", mortal(Path.unlink))


def test_a_key_of_an_operator_is_whole_after_a_kill_at_each_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 0
    while True:
        folder = tmp_path / str(kills)
        folder.mkdir()
        with monkeypatch.context() as patch:
            kill_at(patch, kills)
            try:
                keys.make_key(folder, "alice", 1, "operate", "a passphrase")
            except KilledError:
                kills += 1
            else:
                break
        if not (folder / "alice.json").exists():
            keys.make_key(folder, "alice", 1, "operate", "a passphrase")
        assert keys.load(folder / "alice.key", "a passphrase").number == 1
    assert kills >= 4
    for missing in ((), ("alice.key",)):
        for name in missing:
            (folder / name).unlink()
        with pytest.raises(OpsError, match="exists"):
            keys.make_key(folder, "alice", 1, "operate", "a passphrase")


def check_pair(pki: Path, name: str, is_revoked: bool) -> None:
    """Check that a name has a certificate, its key, and its rights; all three or none."""
    certificate = store.load_certificate(pki / f"{name}.pem")
    key = load_pem_private_key((pki / f"{name}.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == certificate.public_key()
    assert authority.is_revoked(pki, certificate) == is_revoked
    assert bool(block(pki, name)) != is_revoked


def test_no_certificate_outlives_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_CA_YEARS", 3)
    pki, signer = _make_authorities(tmp_path)
    monkeypatch.setattr(certificates, "_CA_YEARS", 30)
    authority.issue(pki, UNIT, "unit", [])
    authority.renew(pki, "test", "", signer)
    ends = [
        store.load_certificate(pki / name).not_valid_after_utc
        for name in (f"{UNIT}.pem", "ca.old-1.pem", "ca.pem")
    ]
    assert ends[0] == ends[1]
    assert ends[2] == signer.certificate.not_valid_after_utc


def fault_of(command: Callable[[], object]) -> str | None:
    try:
        command()
    except OpsError as error:
        return str(error)
    return None


def fill_disk(patch: pytest.MonkeyPatch, count: int) -> None:
    """Let `count` files be replaced; then there is space for none until one has been refused."""
    left, real = [count], replace_private

    def full(path: Path, text: str, mode: int = 0o600) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, text, mode)

    patch.setattr(store, "replace_private", full)


def test_an_expired_authority_issues_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_CA_YEARS", -1)
    monkeypatch.setattr(certificates, "_BACKDATING", 3 * certificates._YEAR)
    authority.create_root(tmp_path, "root")
    expired = authority.load_authority(tmp_path, "")
    pki = tmp_path / "pki"
    pki.mkdir()
    with pytest.raises(OpsError, match="expired"):
        authority.create(pki, "test", "", expired)
    authority.create(pki, "test")
    with pytest.raises(OpsError, match="expired"):
        authority.issue(pki, UNIT, "unit", [])
    assert not (pki / f"{UNIT}.pem").exists()


def test_a_request_with_another_curve_is_refused(tmp_path: Path) -> None:
    authority.create(tmp_path, "test")
    for curve in (ec.SECP384R1(), ec.SECP256K1()):
        with pytest.raises(OpsError, match="P-256"):
            authority.issue(tmp_path, UNIT, "unit", [], request=make_request(UNIT, curve))
    der = x509.load_pem_x509_csr(make_request(UNIT)).public_bytes(Encoding.DER)
    p256 = bytes.fromhex("06082a8648ce3d030107")
    unknown = der.replace(p256, bytes.fromhex("06082a8648ce3d03017f"))
    assert unknown != der
    service = est.EstService(tmp_path, "")
    with pytest.raises(est.EnrolmentRefusedError, match="signing request"):
        service._request(UNIT, base64.encodebytes(unknown))


@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "crl.pem", "acl"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_missing_file_is_named(tmp_path: Path, name: str, is_folder: bool) -> None:
    pki, signer = _make_authorities(tmp_path)
    authority.issue(pki, UNIT, "unit", [])
    (pki / name).unlink()
    if is_folder:
        (pki / name).mkdir()
    for command in (
        lambda: authority.renew(pki, "test", "", signer),
        lambda: authority.rotate(pki, UNIT, []),
        lambda: authority.revoke(pki, UNIT),
    ):
        fault = fault_of(command)
        assert fault is None or str(pki) in fault
