# SPDX-License-Identifier: Apache-2.0
"""HMAC-SHA256 (RFC 2104): MicroPython has no module for it. Does not compare codes."""

from hashlib import sha256

_BLOCK = 64  # bytes of a block of SHA-256
_INNER, _OUTER = 0x36, 0x5C


def hmac(key: bytes, message: bytes) -> bytes:
    """Return the code of `message`, 32 bytes."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    inner = sha256(bytes([byte ^ _INNER for byte in key]) + message).digest()
    return sha256(bytes([byte ^ _OUTER for byte in key]) + inner).digest()
