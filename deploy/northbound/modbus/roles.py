# SPDX-License-Identifier: Apache-2.0
"""Modbus/TCP Security: TLS with client certificates, and the role in a certificate.

Follows "MODBUS/TCP Security" (MB-TCP-Security V36, Modbus Organization): TLS 1.2 or later, both
sides with a certificate, port 802. The role of a client is an extension of its certificate, object
identifier 1.3.6.1.4.1.50316.802.1, a UTF8String. A certificate without a role has no rights: the
server answers all its requests with exception 01.

Does not issue certificates; see `deploy.ops.pki` and docs/operator.
"""

import math
import ssl
from collections.abc import Iterable
from pathlib import Path

from drivers.ports.cpython.certificate_files import load_authority, load_certificate

ROLE_OID = "1.3.6.1.4.1.50316.802.1"
"""Object identifier of the role (section 8.3 of the specification)."""
ROLES = ("ReadOnly", "Operator", "Administrator")
_UTF8_STRING = 0x0C
_LONGEST_ROLE = 64


def make_tls_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the settings of the server. Raises OSError: a file is missing or wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    load_certificate(context, certificate, key)
    load_authority(context, authority)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def find_role(certificate: bytes) -> tuple[str, str]:
    """Return role and common name in a DER certificate that the context has verified.

    The role is "" if there is none or an unknown one.
    """
    from cryptography import x509  # noqa: PLC0415 - only clients of Modbus/TCP Security need it
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    name = ""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(names[0].value)[:_LONGEST_ROLE] if names else ""
        value = parsed.extensions.get_extension_for_oid(x509.ObjectIdentifier(ROLE_OID)).value
    except _find_unreadable():
        return "", name
    role = decode_role(value.value) if isinstance(value, x509.UnrecognizedExtension) else ""
    return role if role in ROLES else "", name


def _find_unreadable() -> tuple[type[Exception], ...]:
    """Return the errors of a certificate without the extension, or with extensions of any content.

    The library parses all extensions, also those that nothing here needs.
    """
    from cryptography import x509  # noqa: PLC0415 - as in `find_role`

    return (
        ValueError,
        TypeError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    )


def find_end(chain: Iterable[bytes]) -> float:
    """Return when the first of the DER certificates expires, s since 1970; without one: never.

    TLS looks at the times in a handshake only, and not when a client resumes a session.
    """
    from cryptography import x509  # noqa: PLC0415 - as in `find_role`

    ends = (x509.load_der_x509_certificate(data).not_valid_after_utc for data in chain)
    return min((end.timestamp() for end in ends), default=math.inf)


def decode_role(data: bytes) -> str:
    """Return the text of a short UTF8String (DER); "" if it is none."""
    if len(data) < 2 or data[0] != _UTF8_STRING or data[1] != len(data) - 2:
        return ""
    return data[2 : 2 + _LONGEST_ROLE].decode("utf-8", "replace")


def encode_role(role: str) -> bytes:
    """Return the value of the extension for a certificate."""
    text = role.encode()
    return bytes((_UTF8_STRING, len(text))) + text
