# SPDX-License-Identifier: Apache-2.0
"""Ed25519 signatures of a unit (RFC 8032, 5.1.6), in slices, so that one delays no control cycle.

Not for the keys of operators: they sign with a constant-time library. Big integers of Python are
not constant-time. The order of the sums and doublings does not depend on the secret, but the time
of each one can. So the time of a signature must not be measurable by others on the same machine.

    signature = Signature(seed, public, message)
    while not signature.step():             # a fraction of a millisecond each
        pass
    signature.value                         # 64 bytes

R = [r]B is computed with four bits at a time and a table of the sixteen multiples of B.
"""

from protocols.signing.ed25519 import (
    BASE,
    IDENTITY,
    ORDER,
    PART,
    STEP,
    add_points,
    complete,
    double_point,
    encode_point,
    encode_slices,
    from_little_endian,
)
from protocols.signing.sha512 import Sha512, sha512

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from protocols.signing.ed25519 import Point

SEED_BYTES = 32
_DIGITS = 64
"""A number below 2^256 has 64 digits of four bits."""
_DIGITS_A_STEP = 4
_TABLE_SIZE = 16
_SUMS_A_SLICE = 4


def secret_number(hashed: bytes) -> int:
    """Return the secret number of the hash of a seed (RFC 8032, 5.1.5)."""
    return (from_little_endian(hashed[:32]) & ((1 << 254) - 8)) | 1 << 254


def _multiply_base(number: int) -> "Generator[int, None, Point]":
    """Return [number]B, in slices."""
    table: list[Point] = [IDENTITY, BASE]
    while len(table) < _TABLE_SIZE:
        if len(table) % _SUMS_A_SLICE == 0:
            yield PART
        table.append(add_points(table[-1], BASE))
    yield STEP
    point: Point = IDENTITY
    for count in range(_DIGITS):
        if count:
            yield PART if count % _DIGITS_A_STEP else STEP
        point = double_point(double_point(double_point(double_point(point))))
        digit = number >> 4 * (_DIGITS - 1 - count) & _TABLE_SIZE - 1
        point = add_points(point, table[digit])
    return point


def _hash_slices(message: bytes) -> "Generator[int, None, int]":
    """Return the hash of a message as a number, in slices."""
    sha = Sha512(message)
    while True:
        for _ in sha.block_slices():
            yield PART
        if sha.is_complete():
            return from_little_endian(sha.digest())
        yield STEP


class Signature:
    """Signs `message` with the key of `seed`; `public` must be its public key."""

    def __init__(self, seed: bytes, public: bytes, message: bytes) -> None:
        self.value = b""
        hashed = sha512(seed)
        self._work = self._sign(secret_number(hashed), hashed[32:], public, message)

    def step(self, is_small: bool = False) -> bool:
        """Do the next slice of work; return whether `value` is complete.

        `is_small`: a slice of a board; see `protocols.signing.ed25519`.
        """
        try:
            while not self.value and next(self._work) == PART and not is_small:
                pass
        except StopIteration as end:
            self.value = end.value
        return bool(self.value)

    def _sign(
        self, secret: int, prefix: bytes, public: bytes, message: bytes
    ) -> "Generator[int, None, bytes]":
        """Return the signature."""
        r = (yield from _hash_slices(prefix + message)) % ORDER
        yield STEP
        point = yield from _multiply_base(r)
        first = yield from encode_slices(point)
        yield STEP
        k = yield from _hash_slices(first + public + message)
        s = (r + k * secret) % ORDER
        return first + s.to_bytes(32, "little")


def public_key(seed: bytes) -> bytes:
    """Return the public key of a seed, in one call: once, when a unit gets its key."""
    point: Point = complete(_multiply_base(secret_number(sha512(seed))))
    return encode_point(point)


def sign(seed: bytes, public: bytes, message: bytes) -> bytes:
    """Sign in one call. For tools and tests only: it takes too long for the agent."""
    signature = Signature(seed, public, message)
    while not signature.step():
        pass
    return signature.value
