# SPDX-License-Identifier: Apache-2.0
"""Ed25519 signatures by the libcrypto that the interpreter has loaded already.

Not a general signer: one unencrypted PKCS #8 key (RFC 8410), for a server with little memory. The
package `cryptography` needs 18 MiB more. `load_plain_key` returns None where the interpreter has no
shared libcrypto with Ed25519, or for any other file; the caller then uses `cryptography`.
"""

import base64
import binascii
import ctypes
from functools import cache
from typing import Any

_BEGIN, _END = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""Head of an Ed25519 key in PKCS #8 (RFC 8410, section 7); the 32 bytes of the key follow."""
_NID_ED25519 = 1087
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


class PlainKey:
    """A private key of 32 bytes. `sign` follows RFC 8032, not pre-hashed."""

    def __init__(self, library: Any, secret: bytes) -> None:
        self._library = library
        self._key = library.EVP_PKEY_new_raw_private_key(_NID_ED25519, None, secret, len(secret))
        if not self._key:
            raise ValueError("libcrypto does not accept the key")

    def public_hex(self) -> str:
        """Return the public key: 64 hexadecimal digits."""
        data = ctypes.create_string_buffer(_KEY_BYTES)
        size = ctypes.c_size_t(_KEY_BYTES)
        if self._library.EVP_PKEY_get_raw_public_key(self._key, data, ctypes.byref(size)) != 1:
            raise ValueError("libcrypto has no public key")
        return data.raw.hex()

    def sign(self, data: bytes, /) -> bytes:
        """Return a signature of 64 bytes. Raises ValueError: libcrypto refuses."""
        library = self._library
        signature = ctypes.create_string_buffer(_SIGNATURE_BYTES)
        size = ctypes.c_size_t(_SIGNATURE_BYTES)
        context = library.EVP_MD_CTX_new()
        try:
            if (
                library.EVP_DigestSignInit(context, None, None, None, self._key) != 1
                or library.EVP_DigestSign(context, signature, ctypes.byref(size), data, len(data))
                != 1
            ):
                raise ValueError("libcrypto cannot sign")
        finally:
            library.EVP_MD_CTX_free(context)
        return signature.raw[: size.value]


def load_plain_key(pem: bytes) -> PlainKey | None:
    """Return the key of a PEM file; None: another kind of key, or no libcrypto."""
    lines = [line.strip() for line in pem.strip().splitlines()]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        return None
    try:
        data = base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error:
        return None
    library = _libcrypto()
    if library is None or len(data) != len(_PKCS8) + _KEY_BYTES or not data.startswith(_PKCS8):
        return None
    try:
        return PlainKey(library, data[len(_PKCS8) :])
    except ValueError:
        return None


@cache
def _libcrypto() -> Any:
    """Return libcrypto with the types of its functions; None: the interpreter has no shared one."""
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    size_of = ctypes.POINTER(size)
    try:
        import _hashlib  # noqa: PLC0415 - it is linked with libcrypto

        library = ctypes.CDLL(_hashlib.__file__)
        for name, result, arguments in (
            ("EVP_PKEY_new_raw_private_key", pointer,
             [ctypes.c_int, pointer, ctypes.c_char_p, size]),
            ("EVP_PKEY_get_raw_public_key", ctypes.c_int, [pointer, ctypes.c_char_p, size_of]),
            ("EVP_MD_CTX_new", pointer, []),
            ("EVP_MD_CTX_free", None, [pointer]),
            ("EVP_DigestSignInit", ctypes.c_int, [pointer] * 5),
            ("EVP_DigestSign", ctypes.c_int,
             [pointer, ctypes.c_char_p, size_of, ctypes.c_char_p, size]),
        ):  # fmt: skip
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return library
