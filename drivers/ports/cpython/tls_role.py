# SPDX-License-Identifier: Apache-2.0
"""The role of Modbus/TCP Security in a certificate: what a device may permit its owner.

For messages to a person only: the device reads and decides, see MB-TCP-Security V36 (Modbus
Organization), section 8.3. The role is the extension 1.3.6.1.4.1.50316.802.1, a UTF8String. It is
found by the bytes of its object identifier, without a parser of certificates: the agent has none.
"""

import ssl

_IDENTIFIER = bytes.fromhex("060b2b060104018389" + "0c862201")
_CRITICAL = b"\x01\x01\xff"
_OCTETS, _UTF8 = 0x04, 0x0C
_LONGEST = 100  # bytes; a length in one byte


def find_role(certificate: bytes) -> str:
    """Return the role in a certificate (DER); empty without a role or with an unreadable one."""
    _, found, rest = certificate.partition(_IDENTIFIER)
    if not found:
        return ""
    if rest.startswith(_CRITICAL):
        rest = rest[len(_CRITICAL) :]
    size = rest[3] if len(rest) > 3 else 0
    if rest[:3] != bytes((_OCTETS, size + 2, _UTF8)) or not 0 < size <= _LONGEST:
        return ""
    return rest[4 : 4 + size].decode("utf-8", "replace")


def describe_role(path: str) -> str:
    """Return what a device learns from the certificate in a PEM file; empty: no certificate."""
    if not path:
        return "the device takes the role from a certificate, and the address has no cert"
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
        start = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----", start) + len("-----END CERTIFICATE-----")
        role = find_role(ssl.PEM_cert_to_DER_cert(text[start:end]))
    except (OSError, ValueError):
        return ""
    shown = "the role %s" % role if role.isprintable() and role else "no role"
    return "the device takes the role from the certificate, and %s has %s" % (path, shown)
