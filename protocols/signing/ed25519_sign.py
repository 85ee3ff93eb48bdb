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
    add_points,
    double_point,
    encode_point,
    from_little_endian,
)
from protocols.signing.sha512 import Sha512, sha512

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.signing.ed25519 import Point

SEED_BYTES = 32
_DIGITS = 64
"""A number below 2^256 has 64 digits of four bits."""
_DIGITS_A_STEP = 4
_TABLE_SIZE = 16


def secret_number(hashed: bytes) -> int:
    """Return the secret number of the hash of a seed (RFC 8032, 5.1.5)."""
    return (from_little_endian(hashed[:32]) & ((1 << 254) - 8)) | 1 << 254


class BaseMultiple:
    """[number]B in steps; `point` is the result when `step` returns True."""

    def __init__(self, number: int) -> None:
        self.point: Point = IDENTITY
        self._number = number
        self._table: list[Point] = [IDENTITY, BASE]
        self._digit = _DIGITS

    def step(self) -> bool:
        """Do the next slice: at most about 20 sums; return whether the multiple is complete."""
        if len(self._table) < _TABLE_SIZE:
            while len(self._table) < _TABLE_SIZE:
                self._table.append(add_points(self._table[-1], BASE))
            return False
        point = self.point
        for _ in range(_DIGITS_A_STEP):
            self._digit -= 1
            point = double_point(double_point(double_point(double_point(point))))
            point = add_points(
                point, self._table[self._number >> 4 * self._digit & _TABLE_SIZE - 1]
            )
        self.point = point
        return self._digit == 0


class Signature:
    """Signs `message` with the key of `seed`; `public` must be its public key."""

    def __init__(self, seed: bytes, public: bytes, message: bytes) -> None:
        self.value = b""
        hashed = sha512(seed)
        self._secret = secret_number(hashed)
        self._public, self._message = public, message
        self._hash = Sha512(hashed[32:] + message)
        self._multiple: BaseMultiple | None = None
        self._r = 0
        self._first = b""

    def step(self) -> bool:
        """Do the next slice of work; return whether `value` is complete."""
        if self._first:
            if self._hash.step():
                k = from_little_endian(self._hash.digest())
                s = (self._r + k * self._secret) % ORDER
                self.value = self._first + s.to_bytes(32, "little")
        elif self._multiple is not None:
            if self._multiple.step():
                self._first = encode_point(self._multiple.point)
                self._hash = Sha512(self._first + self._public + self._message)
        elif self._hash.step():
            self._r = from_little_endian(self._hash.digest()) % ORDER
            self._multiple = BaseMultiple(self._r)
        return bool(self.value)


def public_key(seed: bytes) -> bytes:
    """Return the public key of a seed, in one call: once, when a unit gets its key."""
    multiple = BaseMultiple(secret_number(sha512(seed)))
    while not multiple.step():
        pass
    return encode_point(multiple.point)


def sign(seed: bytes, public: bytes, message: bytes) -> bytes:
    """Sign in one call. For tools and tests only: it takes too long for the agent."""
    signature = Signature(seed, public, message)
    while not signature.step():
        pass
    return signature.value
