# SPDX-License-Identifier: Apache-2.0
"""The signed report of a unit: JSON text whose last pair is the signature.

    {"version":3, ... ,"config":"<hash>","signature":"<128 hexadecimal digits>"}

The signature covers the name of the unit and the exact bytes of the object without its last pair.
`config` is the hash of the configuration that the unit publishes, without secrets. So the report
vouches for it. A tool that does not know the pair reads the report as before.

Does not sign and does not verify.
"""

SIGNATURE_BYTES = 64
_DOMAIN = b"coldloop report, 1\n"
"""Separates these signatures from signatures of other formats (domain separation)."""
_HEAD = b',"signature":"'
_TAIL = b'"}'


def signing_input(unit: str, text: bytes) -> bytes:
    """Return the bytes that the signature covers. `unit`: SITE/UNIT; `text`: the object."""
    return _DOMAIN + unit.encode() + b"\n" + text


def join(text: bytes, signature: bytes) -> bytes:
    """Return the report with its signature."""
    return text[:-1] + _HEAD + signature.hex().encode() + _TAIL


def split(payload: bytes) -> "tuple[bytes, bytes]":
    """Return the signed text and the signature; empty if the report has none."""
    start = len(payload) - len(_HEAD) - 2 * SIGNATURE_BYTES - len(_TAIL)
    head = payload[start : start + len(_HEAD)] if start > 0 else b""
    if head != _HEAD or payload[-len(_TAIL) :] != _TAIL:
        return payload, b""
    try:
        signature = bytes.fromhex(payload[start + len(_HEAD) : -len(_TAIL)].decode())
    except ValueError:
        return payload, b""
    return payload[:start] + b"}", signature if len(signature) == SIGNATURE_BYTES else b""
