# SPDX-License-Identifier: Apache-2.0
"""Certificates of the authority: how they are built, and the role that stands in them.

Does not read or write files; see `deploy.ops.pki.authority`.

Keys are EC P-256, which all TLS libraries of the agent support, also on boards. A certificate is
for a server or for a client. Its subject holds the common name, the role as the first
organisational unit (OU), and the only site of an operator or a reader as the second one. The
authority signs them, so a rotation needs no other record of the rights.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.errors import OpsError

ROLES = ("broker", "unit", "operator", "reader", "relay")
"""A reader has no right to send. An operator and a reader can be limited to one site."""
_CA_YEARS, _LEAF_YEARS = 30, 10
_BACKDATING = dt.timedelta(days=1)
_YEAR = dt.timedelta(days=365)


@dataclass(frozen=True)
class SigningAuthority:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True)
class Rights:
    """What a certificate is for. `site`: the only site of another one than a unit, or empty."""

    role: str
    site: str = ""


def rights_of(certificate: x509.Certificate) -> Rights | None:
    """Return the role and the site in a certificate; None: an older one without a role."""
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    values = [str(unit.value) for unit in units]
    if values and values[0] in ROLES:
        return Rights(values[0], values[1] if len(values) > 1 else "")
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return Rights("broker") if ExtendedKeyUsageOID.SERVER_AUTH in purposes else None


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the host names and addresses of a broker."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = names.get_values_for_type(x509.DNSName)
    return hosts + [str(a) for a in names.get_values_for_type(x509.IPAddress)]


def check_time(issuer: SigningAuthority) -> None:
    """Raise `OpsError` if the certificate of an authority has expired."""
    end = issuer.certificate.not_valid_after_utc
    if end <= dt.datetime.now(dt.UTC):
        raise OpsError(f"the certificate of the authority has expired on {end:%Y-%m-%d}")


def check_root(root: SigningAuthority) -> None:
    """Raise `OpsError` unless it is a valid root, which can sign an intermediate."""
    check_time(root)
    limits = root.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    if root.certificate.issuer != root.certificate.subject or limits.path_length == 0:
        raise OpsError("the folder of --root has no root; `config pki root` makes it")


def sign_authority(
    key: ec.EllipticCurvePrivateKey, name: str, root: SigningAuthority | None, path_length: int = 1
) -> x509.Certificate:
    """Return a certificate of an authority, by itself or by a root."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if root is None else root.certificate.subject
    signer = key if root is None else root.key
    public = key.public_key()
    return (
        _make_builder(
            subject, issuer, public, _CA_YEARS, None if root is None else root.certificate
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, SHA256())
    )


def sign_leaf(
    issuer: SigningAuthority,
    name: str,
    rights: Rights,
    hosts: list[str],
    public: ec.EllipticCurvePublicKey,
) -> bytes:
    """Return a certificate and the intermediate that signs it, in PEM."""
    values = [rights.role, rights.site] if rights.site else [rights.role]
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        + [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, value) for value in values]
    )
    is_server = rights.role == "broker"
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
    signer = issuer.key.public_key()
    builder = (
        _make_builder(subject, issuer.certificate.subject, public, _LEAF_YEARS, issuer.certificate)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    chain = [builder.sign(issuer.key, SHA256())]
    if issuer.certificate.issuer != issuer.certificate.subject:
        chain.append(issuer.certificate)  # the other side may know the root only
    return to_pem(chain)


def to_pem(chain: list[x509.Certificate]) -> bytes:
    """Return certificates in PEM, one after another."""
    return b"".join(part.public_bytes(Encoding.PEM) for part in chain)


def requested_key(request: bytes, name: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a signing request. Its other content is not used."""
    try:
        parsed = x509.load_pem_x509_csr(request)
        public = parsed.public_key()
        is_valid = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise OpsError("not a signing request in PEM (PKCS #10) with a known key") from None
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not is_valid or [str(n.value) for n in names] != [name]:
        raise OpsError(f"the signing request is not for {name}, or its signature is not valid")
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise OpsError("the signing request needs a key of the curve P-256")
    return public


def make_crl(issuer: SigningAuthority, serials: list[int]) -> bytes:
    """Return a revocation list in PEM."""
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(now - _BACKDATING).next_update(now + _CA_YEARS * _YEAR)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.PEM)


def _make_builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    years: int,
    signer: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    """Start a certificate. It ends with that of its signer at the latest (RFC 5280, 6.1.3)."""
    now = dt.datetime.now(dt.UTC)
    end = now + years * _YEAR
    if signer is not None:
        end = min(end, signer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATING)
        .not_valid_after(end)
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
