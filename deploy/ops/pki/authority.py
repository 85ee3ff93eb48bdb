# SPDX-License-Identifier: Apache-2.0
"""Private certificate authority of a fleet: clients of the broker, their names and their rights.

    FOLDER/ca.pem, ca.key          the authority; ca.key stays with the operators, encrypted
    FOLDER/ca.old-N.*              earlier intermediates; their certificates stay valid
    FOLDER/NAME.pem, NAME.key      a broker, a unit (SITE.UNIT), an operator, a reader
    FOLDER/acl                     rights at the broker, one block for each name
    FOLDER/crl.pem                 the revoked certificates, one list for each intermediate

With a root (`create_root`, in a folder of its own on a machine without a network), the authority is
an intermediate: `create` and `renew` need the root, `issue` and `revoke` do not. `ca.pem` holds the
intermediates and the root, NAME.pem the certificate and its intermediate.

Keys are EC P-256, which all TLS libraries of the agent support, also on boards. A certificate is
for a server or for a client. The broker uses the common name as the user name and as the client
identifier. So a client cannot disconnect another one, and each running tool needs its own name. A
unit can make its key itself: `issue` signs its request (PKCS #10). Names are checked, because they
stand in file names and in the access list. The clock of a unit
can be wrong when it connects (docs/engineer/security.md). So lifetimes are long, and revocation
ends a certificate.
"""

import datetime as dt
import fcntl
import ipaddress
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops.pki import access_list
from deploy.ops.private_file import replace_private

ROLES = ("broker", "unit", "operator", "reader")
"""A reader has no right to send. An operator and a reader can be limited to one site."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252})")
_CA_YEARS, _LEAF_YEARS = 30, 10
_LONGEST_NAME = 40
_END_OF_CRL = b"-----END X509 CRL-----\n"
_BACKDATING = dt.timedelta(days=1)
_YEAR = dt.timedelta(days=365)


@dataclass(frozen=True)
class SigningAuthority:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def create_root(folder: Path, organisation: str, passphrase: str = "") -> Path:
    """Make the root, which signs intermediates only; return its ca.pem. Raises `OpsError`."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_authority(key, f"{_checked(organisation)} coldloop root", None)
    _write_key(folder / "ca.key", key, passphrase)
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return folder / "ca.pem"


def create(
    folder: Path, organisation: str, passphrase: str = "", root: SigningAuthority | None = None
) -> Path:
    """Make the authority; return ca.pem. Raises `OpsError` if the folder has one.

    `root`: it signs the authority, which is an intermediate then.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    number = "" if root is None else " " + secrets.token_hex(4)  # each has its own name
    certificate = _sign_authority(key, f"{_checked(organisation)} coldloop CA{number}", root, 0)
    _write_key(folder / "ca.key", key, passphrase)
    path = folder / "ca.pem"
    chain = [certificate] if root is None else [certificate, root.certificate]
    path.write_bytes(b"".join(part.public_bytes(Encoding.PEM) for part in chain))
    (folder / "acl").write_text(access_list.head())
    _write_crl(folder, SigningAuthority(key, certificate), [])
    return path


def renew(folder: Path, organisation: str, passphrase: str, root: SigningAuthority) -> Path:
    """Make a new intermediate; return ca.pem. Certificates of the earlier ones stay valid.

    Revoke those, or rotate them one after another. Raises `OpsError`.
    """
    load_authority(folder, passphrase)  # the folder has one, and the passphrase is right
    number = len(list(folder.glob("ca.old-*.pem"))) + 1
    old = (folder / "ca.pem").read_bytes()
    crl = (folder / "crl.pem").read_bytes()
    for ending in ("pem", "key"):
        (folder / f"ca.{ending}").replace(folder / f"ca.old-{number}.{ending}")
    acl = (folder / "acl").read_text()
    path = create(folder, organisation, passphrase, root)
    (folder / "acl").write_text(acl)
    first = x509.load_pem_x509_certificates(path.read_bytes())[0]
    path.write_bytes(first.public_bytes(Encoding.PEM) + old)
    (folder / "crl.pem").write_bytes((folder / "crl.pem").read_bytes() + crl)
    return path


def _checked(organisation: str) -> str:
    if not 1 <= len(organisation) <= _LONGEST_NAME or not organisation.isprintable():
        raise OpsError("the organisation needs 1 to 40 printable characters")
    return organisation


def _sign_authority(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    root: SigningAuthority | None,
    path_length: int = 1,
) -> x509.Certificate:
    """Return a certificate of an authority, by itself or by a root."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if root is None else root.certificate.subject
    signer = key if root is None else root.key
    public = key.public_key()
    return (
        _make_builder(subject, issuer, public, _CA_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, SHA256())
    )


def issue(
    folder: Path,
    name: str,
    role: str,
    hosts: list[str],
    passphrase: str = "",
    request: bytes | None = None,
    site: str = "",
) -> Path:
    """Issue a certificate; return NAME.pem. Raises `OpsError` if the folder has one.

    `name`: SITE.UNIT for a unit; `hosts`: the host names of a broker; `passphrase`: of ca.key;
    `request`: a signing request in PEM, whose key stays where it is; `site`: the only site of an
    operator or a reader.
    """
    _check_names(name, role, hosts, site)
    with _locked(folder):
        return _issue(folder, name, role, hosts, passphrase, request, site)


def _issue(
    folder: Path,
    name: str,
    role: str,
    hosts: list[str],
    passphrase: str,
    request: bytes | None,
    site: str = "",
) -> Path:
    path = folder / f"{name}.pem"
    if path.exists():
        raise OpsError(f"{path}: exists; `config pki rotate` replaces it")
    issuer = load_authority(folder, passphrase)
    key = None if request is not None else ec.generate_private_key(ec.SECP256R1())
    public = requested_key(request or b"", name) if key is None else key.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    purpose = (
        ExtendedKeyUsageOID.SERVER_AUTH if role == "broker" else ExtendedKeyUsageOID.CLIENT_AUTH
    )
    builder = (
        _make_builder(subject, issuer.certificate.subject, public, _LEAF_YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(issuer.key, SHA256())
    if key is not None:
        _write_key(folder / f"{name}.key", key)
    chain = [certificate]
    if issuer.certificate.issuer != issuer.certificate.subject:
        chain.append(issuer.certificate)  # the other side may know the root only
    path.write_bytes(b"".join(part.public_bytes(Encoding.PEM) for part in chain))
    if role != "broker":
        access_list.add_entry(folder, name, role, site or "+")
    return path


def _check_names(name: str, role: str, hosts: list[str], site: str) -> None:
    if role not in ROLES:
        raise OpsError(f"{role}: unknown role; use one of {', '.join(ROLES)}")
    _check_name(name)
    parts = name.split(".")
    if role == "unit" and (len(parts) != 2 or not all(map(is_valid_name, parts))):
        raise OpsError(f"{name}: not a name of a unit; write SITE.UNIT")
    if role == "broker" and not hosts:
        raise OpsError(f"{name}: a broker needs --host, its host name")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise OpsError(f"{host!r}: not a host name or an address")
    if site and (role not in ("operator", "reader") or not is_valid_name(site)):
        raise OpsError(f"{site!r}: a site limits an operator or a reader")


def is_name(name: str) -> bool:
    """Return whether it is no pattern of the access list, no other line of it, no other file."""
    is_own = name in ("ca", "acl", "crl", "invitations") or name.startswith("ca.old-")
    return bool(_NAME.fullmatch(name)) and not is_own


def _check_name(name: str) -> None:
    if not is_name(name):
        raise OpsError(f"{name!r}: a name has letters, digits, '.', '_' and '-', 64 at most")


def requested_key(request: bytes, name: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a signing request. Its other content is not used."""
    try:
        parsed = x509.load_pem_x509_csr(request)
    except ValueError:
        raise OpsError("not a signing request in PEM (PKCS #10)") from None
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    public = parsed.public_key()
    if not parsed.is_signature_valid or [str(n.value) for n in names] != [name]:
        raise OpsError(f"the signing request is not for {name}, or its signature is not valid")
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise OpsError("the signing request needs a key of the curve P-256")
    return public


def revoke(folder: Path, name: str, passphrase: str = "") -> Path:
    """Revoke the certificate of `name` and remove its rights; return crl.pem.

    The broker reads both after a SIGHUP. Then an open connection has no rights any more.
    """
    _check_name(name)
    with _locked(folder):
        path = _revoke_certificate(folder, name, passphrase)
        access_list.remove_entry(folder, name)
    return path


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Change the folder alone: the enrolment server and a command can work at the same time."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise OpsError(f"{folder}: no authority; `config pki create` makes it") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_revoked(folder: Path, certificate: x509.Certificate) -> bool:
    """Return whether a certificate is in the lists of the folder now."""
    number = certificate.serial_number
    return any(crl.get_revoked_certificate_by_serial_number(number) for crl in _load_crls(folder))


def _revoke_certificate(folder: Path, name: str, passphrase: str) -> Path:
    certificate = _load_certificate(folder / f"{name}.pem")
    issuer = _issuer_of(certificate, folder, passphrase)
    revoked = {certificate.serial_number}
    others = []
    for crl in _load_crls(folder):
        if crl.issuer == issuer.certificate.subject:
            revoked.update(entry.serial_number for entry in crl)
        else:
            others.append(crl)
    _write_crl(folder, issuer, sorted(revoked), others)
    return folder / "crl.pem"


def _load_crls(folder: Path) -> list[x509.CertificateRevocationList]:
    parts = (folder / "crl.pem").read_bytes().split(_END_OF_CRL)[:-1]
    return [x509.load_pem_x509_crl(part + _END_OF_CRL) for part in parts]


def _issuer_of(certificate: x509.Certificate, folder: Path, passphrase: str) -> SigningAuthority:
    """Return the authority that has issued a certificate: the present one or an earlier one."""
    for path in [folder / "ca.pem", *sorted(folder.glob("ca.old-*.pem"))]:
        found = load_authority(folder, passphrase, path.stem)
        if found.certificate.subject == certificate.issuer:
            return found
    raise OpsError(f"{folder}: has not issued this certificate")


def rotate(
    folder: Path,
    name: str,
    hosts: list[str],
    passphrase: str = "",
    request: bytes | None = None,
) -> Path:
    """Replace the certificate of `name`: revoke the old one, rename its files to `.old`.

    `request`: a signing request with the new key, which stays where it is.
    """
    _check_name(name)
    with _locked(folder):
        return _rotate(folder, name, hosts, passphrase, request)


def _rotate(
    folder: Path, name: str, hosts: list[str], passphrase: str, request: bytes | None
) -> Path:
    old = _load_certificate(folder / f"{name}.pem")
    purposes = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    is_broker = ExtendedKeyUsageOID.SERVER_AUTH in purposes
    if is_broker and not hosts:
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
        hosts += [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    _revoke_certificate(folder, name, passphrase)
    for ending in (".pem", ".key"):
        if not (folder / (name + ending)).exists():
            continue  # the key of a signing request is elsewhere
        (folder / (name + ending)).replace(folder / (name + ending + ".old"))
    role = "broker" if is_broker else ("unit" if access_list.is_unit(folder, name) else "operator")
    return _issue(folder, name, role, hosts, passphrase, request)


def _make_builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, years: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATING)
        .not_valid_after(now + years * _YEAR)
    )


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: str = "") -> None:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OpsError(f"{path}: exists; `config pki rotate` replaces it") from None
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None
    with open(descriptor, "wb") as file:
        file.write(pem)


def is_encrypted(folder: Path) -> bool:
    """Return whether the key of the authority needs a passphrase."""
    path = folder / "ca.key"
    return path.exists() and b"ENCRYPTED" in path.read_bytes()


def load_authority(folder: Path, passphrase: str, stem: str = "ca") -> SigningAuthority:
    """Return the authority of a folder. Raises `OpsError`: none, or a wrong passphrase."""
    try:
        pem = (folder / f"{stem}.key").read_bytes()
        secret = passphrase.encode() if b"ENCRYPTED" in pem else None
        key = load_pem_private_key(pem, secret)
    except OSError:
        raise OpsError(f"{folder}: no authority; `config pki create` makes it") from None
    except (ValueError, TypeError):
        raise OpsError(f"{folder / 'ca.key'}: no key, or the passphrase is wrong") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OpsError(f"{folder / 'ca.key'}: not a key of this authority")
    return SigningAuthority(key, _load_certificate(folder / f"{stem}.pem"))


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise OpsError(f"{path}: not a certificate") from None


def _write_crl(
    folder: Path,
    issuer: SigningAuthority,
    serials: list[int],
    others: list[x509.CertificateRevocationList] | None = None,
) -> None:
    """Write the list of an issuer, and the lists of the other ones again."""
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(now - _BACKDATING).next_update(now + _CA_YEARS * _YEAR)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    lists = [builder.sign(issuer.key, SHA256()), *(others or [])]
    data = b"".join(crl.public_bytes(Encoding.PEM) for crl in lists)
    replace_private(folder / "crl.pem", data.decode())
