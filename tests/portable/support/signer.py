# SPDX-License-Identifier: Apache-2.0
"""Ed25519 signing for the tests (RFC 8032, 5.1.6); slow, and its keys are not secret."""

from protocols.signing import ed25519
from protocols.signing.sha512 import sha512


def _multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = ed25519.add_points(result, point)
        point = ed25519.double_point(point)
        scalar >>= 1
    return result


class Signer:
    """A key pair made from a number."""

    def __init__(self, number):
        hashed = sha512(bytes(31) + bytes((number,)))
        secret = int.from_bytes(hashed[:32], "little")
        self._secret = (secret & ((1 << 254) - 8)) | 1 << 254
        self._prefix = hashed[32:]
        self.public = ed25519.encode_point(_multiply(self._secret, ed25519.BASE))

    def sign(self, message):
        order = ed25519.ORDER
        r = int.from_bytes(sha512(self._prefix + message), "little") % order
        first = ed25519.encode_point(_multiply(r, ed25519.BASE))
        k = int.from_bytes(sha512(first + self.public + message), "little") % order
        return first + ((r + k * self._secret) % order).to_bytes(32, "little")
