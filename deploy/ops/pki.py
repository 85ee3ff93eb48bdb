# SPDX-License-Identifier: Apache-2.0
"""Private certificate authority of a fleet: clients of the broker, their names and their rights.

    FOLDER/ca.pem, ca.key          the authority; ca.key stays with the operators, mode 0600
    FOLDER/NAME.pem, NAME.key      a broker, a unit (its name is SITE.UNIT) or an operator
    FOLDER/acl                     rights at the broker, one block for each name
    FOLDER/crl.pem                 the revoked certificates

Keys are EC P-256, which all TLS libraries of the agent support, also on boards. A certificate is
for a server or for a client. The broker uses the common name as the user name. The clock of a unit
can be wrong when it connects (docs/engineer/security.md). So lifetimes are long, and revocation
ends a certificate.
"""

import datetime as dt
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.errors import OpsError

ROLES = ("broker", "unit", "operator")
_CA_YEARS, _LEAF_YEARS = 30, 10
_BACKDATING = dt.timedelta(days=1)
_YEAR = dt.timedelta(days=365)
_UNIT_WRITE_TOPICS = ("tele", "state", "event", "cfg/reported", "cfg/config", "cfg/record/+", "ack")
_UNIT_READ_TOPICS = ("cfg/desired", "cfg/chunk", "cmd", "ack")


def create(folder: Path, organisation: str) -> Path:
    """Make the authority; return ca.pem. Raises `OpsError` if the folder has one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} coldloop CA")])
    usage = _key_usage(authority=True)
    certificate = (
        _make_builder(name, name, key.public_key(), _CA_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    _write_key(folder / "ca.key", key)
    path = folder / "ca.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "acl").write_text(_acl_head())
    _write_crl(folder, key, certificate, [])
    return path


def issue(folder: Path, name: str, role: str, hosts: list[str]) -> Path:
    """Issue a certificate; return NAME.pem. Raises `OpsError` if the folder has one.

    `name`: SITE.UNIT for a unit, otherwise any; `hosts`: the host names of a broker.
    """
    if role not in ROLES:
        raise OpsError(f"{role}: unknown role; use one of {', '.join(ROLES)}")
    if role == "unit" and name.count(".") != 1:
        raise OpsError(f"{name}: not a name of a unit; write SITE.UNIT")
    if role == "broker" and not hosts:
        raise OpsError(f"{name}: a broker needs --host, its host name")
    ca_key, ca = _load_authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    purpose = (
        ExtendedKeyUsageOID.SERVER_AUTH if role == "broker" else ExtendedKeyUsageOID.CLIENT_AUTH
    )
    builder = (
        _make_builder(subject, ca.subject, key.public_key(), _LEAF_YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(ca_key, SHA256())
    _write_key(folder / f"{name}.key", key)
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    if role != "broker":
        _add_acl_entry(folder, name, role)
    return path


def revoke(folder: Path, name: str) -> Path:
    """Revoke the certificate of `name`; return crl.pem."""
    ca_key, ca = _load_authority(folder)
    serial = _load_certificate(folder / f"{name}.pem").serial_number
    old = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
    revoked = [entry.serial_number for entry in old]
    _write_crl(folder, ca_key, ca, sorted({*revoked, serial}))
    return folder / "crl.pem"


def rotate(folder: Path, name: str, hosts: list[str]) -> Path:
    """Replace the certificate of `name`: revoke the old one, rename its files to `.old`."""
    old = _load_certificate(folder / f"{name}.pem")
    purposes = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    is_broker = ExtendedKeyUsageOID.SERVER_AUTH in purposes
    if is_broker and not hosts:
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
        hosts += [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    revoke(folder, name)
    for ending in (".pem", ".key"):
        (folder / (name + ending)).replace(folder / (name + ending + ".old"))
    role = "broker" if is_broker else ("unit" if _is_unit(folder, name) else "operator")
    return issue(folder, name, role, hosts)


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


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OpsError(f"{path}: exists; `config pki rotate` replaces it") from None
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None
    with open(descriptor, "wb") as file:
        file.write(pem)


def _load_authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError):
        raise OpsError(f"{folder}: no authority; `config pki create` makes it") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OpsError(f"{folder / 'ca.key'}: not a key of this authority")
    return key, _load_certificate(folder / "ca.pem")


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise OpsError(f"{path}: not a certificate") from None


def _write_crl(
    folder: Path, key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, serials: list[int]
) -> None:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.subject)
    builder = builder.last_update(now - _BACKDATING).next_update(now + _CA_YEARS * _YEAR)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    crl = builder.sign(key, SHA256())
    (folder / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))


def _acl_head() -> str:
    return "# Written by `coldloop config pki`; each user has only the rights below its name.\n"


def _add_acl_entry(folder: Path, name: str, role: str) -> None:
    """Add the rights of `name` to the access list of the broker, once."""
    path = folder / "acl"
    existing = path.read_text() if path.exists() else _acl_head()
    if f"\nuser {name}\n" in existing:
        return
    if role == "unit":
        base = "coldloop/v1/" + name.replace(".", "/")
        lines = [f"topic write {base}/{topic}" for topic in _UNIT_WRITE_TOPICS]
        lines += [f"topic read {base}/{topic}" for topic in _UNIT_READ_TOPICS]
    else:
        lines = [f"topic write coldloop/v1/+/+/{topic}" for topic in _UNIT_READ_TOPICS]
        lines += ["topic read coldloop/v1/#"]
    path.write_text(existing + f"\nuser {name}\n" + "\n".join(lines) + "\n")


def _is_unit(folder: Path, name: str) -> bool:
    base = "coldloop/v1/" + name.replace(".", "/")
    return f"topic write {base}/tele\n" in (folder / "acl").read_text()
