# SPDX-License-Identifier: Apache-2.0
"""Keys, certificates and requests of the HTTPS server, made by `cryptography`.

Does not keep files; see `certificate`. That library needs 18 MiB, so a server imports this module
only for a CSR or a new certificate. The first certificate is made by a process of its own:

    python -m deploy.northbound.http.certificate_maker NAME ADDRESS...

It writes the PEM of the key and of the certificate to standard output.
"""

import datetime as dt
import ipaddress
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from deploy.errors import OpsError

_YEARS = 10
_START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
"""Begin of a self-signed certificate: the clock of a unit can be wrong at the first start."""
_SUBJECT = {
    "CommonName": NameOID.COMMON_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "City": NameOID.LOCALITY_NAME,
    "State": NameOID.STATE_OR_PROVINCE_NAME,
    "Country": NameOID.COUNTRY_NAME,
}


@dataclass(frozen=True, slots=True)
class PemPair:
    """A private key and what was made for it, a certificate or a CSR; both PEM."""

    key: bytes
    result: bytes


def make_request(subject: dict[str, str], names: Sequence[str]) -> PemPair:
    """Make a new key and its CSR (PKCS #10). Raises OpsError: a value."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        attributes = [x509.NameAttribute(_SUBJECT[k], v) for k, v in subject.items()]
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
        if names:
            builder = builder.add_extension(_alternative_names(names), critical=False)
        request = builder.sign(key, SHA256())
    except (ValueError, TypeError) as error:
        raise OpsError(f"CSR: {error}") from error
    return PemPair(_key_pem(key), request.public_bytes(Encoding.PEM))


def read_chain(text: str, longest: int) -> tuple[bytes, bytes]:
    """Return a chain as PEM and the public key of its first certificate. Raises OpsError."""
    try:
        chain = x509.load_pem_x509_certificates(text.encode("ascii"))
    except ValueError as error:  # UnicodeError included
        raise OpsError("certificate: not a PEM certificate") from error
    if not 1 <= len(chain) <= longest:
        raise OpsError(f"certificate: 1 to {longest} certificates")
    pem = b"".join(entry.public_bytes(Encoding.PEM) for entry in chain)
    return pem, _raw(chain[0].public_key())


def public_key(pem: bytes) -> bytes:
    """Return the public key of a private one, to compare it with a certificate; b"": damaged or
    encrypted.
    """
    try:
        return _raw(load_pem_private_key(pem, None).public_key())
    except (ValueError, TypeError):  # TypeError: it has a passphrase
        return b""


def check_times(pem: bytes, utc: dt.datetime, bound: dt.timedelta) -> None:
    """Check that a chain is valid at `utc` ± `bound`. Raises OpsError, with the time.

    The times of a root certificate after the first one do not count: clients use their own copy.
    """
    for number, entry in enumerate(x509.load_pem_x509_certificates(pem)):
        if number and entry.subject == entry.issuer:
            continue
        name = "certificate" if not number else f"certificate {number + 1} of the chain"
        if utc - bound > entry.not_valid_after_utc:
            raise OpsError(f"{name}: it expired at {entry.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
        if utc + bound < entry.not_valid_before_utc:
            first = entry.not_valid_before_utc
            raise OpsError(f"{name}: it is not valid before {first:%Y-%m-%d %H:%M} UTC")


def make_own(name: str, addresses: Sequence[str]) -> PemPair:
    """Make a key and a self-signed certificate for a name and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_START)
        .not_valid_after(max(_START, dt.datetime.now(dt.UTC)) + dt.timedelta(365 * _YEARS))
        .add_extension(_alternative_names([name, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return PemPair(_key_pem(key), builder.sign(key, SHA256()).public_bytes(Encoding.PEM))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _raw(key: object) -> bytes:
    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return data


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


if __name__ == "__main__":
    made = make_own(sys.argv[1], sys.argv[2:])
    sys.stdout.buffer.write(made.key + made.result)
