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
    HASH_ROUNDS,
    IDENTITY,
    ORDER,
    PointEncoder,
    add_points,
    double_point,
    encode_point,
    from_little_endian,
)
from protocols.signing.sha512 import Sha512, sha512

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
    """[number]B in parts; `point` is the result when `is_complete`."""

    def __init__(self, number: int) -> None:
        self.point: Point = IDENTITY
        self.is_complete = False
        self._number = number
        self._table: list[Point] = [IDENTITY, BASE]
        self._digit = _DIGITS
        self._turn = 0

    def part(self) -> bool:
        """Do one sum; return whether it ends a slice of a server: at most about 20 sums."""
        if len(self._table) < _TABLE_SIZE:
            self._table.append(add_points(self._table[-1], BASE))
            return len(self._table) == _TABLE_SIZE
        if self._turn < 4:
            self.point = double_point(self.point)
            self._turn += 1
            return False
        self._turn = 0
        self._digit -= 1
        digit = self._number >> 4 * self._digit & _TABLE_SIZE - 1
        self.point = add_points(self.point, self._table[digit])
        self.is_complete = self._digit == 0
        return self._digit % _DIGITS_A_STEP == 0


class Signature:
    """Signs `message` with the key of `seed`; `public` must be its public key."""

    def __init__(self, seed: bytes, public: bytes, message: bytes) -> None:
        self.value = b""
        self._public, self._message = public, message
        self._work: Any = Sha512(seed)
        self._secret = self._r = 0
        self._first = b""
        self._next = self._hash_seed

    def step(self, is_small: bool = False) -> bool:
        """Do the next slice of work; return whether `value` is complete.

        `is_small`: a part of it, for a board; see `Verification.step`.
        """
        while not self.value:
            if self._next() or is_small:
                break
        return bool(self.value)

    # Each part returns whether it ends a slice of a server.

    def _hash_seed(self) -> bool:
        if self._work.step(HASH_ROUNDS):
            hashed = self._work.digest()
            self._secret = secret_number(hashed)
            self._work = Sha512(hashed[32:] + self._message)
            self._next = self._hash_message
        return False

    def _hash_message(self) -> bool:
        ends = False
        if self._work.step(HASH_ROUNDS):
            self._r = from_little_endian(self._work.digest()) % ORDER
            self._work = BaseMultiple(self._r)
            self._next = self._multiply
            ends = True
        return ends or self._work.round == 0

    def _multiply(self) -> bool:
        ends: bool = self._work.part()
        if self._work.is_complete:
            self._work = PointEncoder(self._work.point)
            self._next = self._encode
            return False
        return ends

    def _encode(self) -> bool:
        if not self._work.step():
            return False
        self._first = self._work.value
        self._work = Sha512(self._first + self._public + self._message)
        self._next = self._complete
        return True

    def _complete(self) -> bool:
        if self._work.step(HASH_ROUNDS):
            k = from_little_endian(self._work.digest())
            s = (self._r + k * self._secret) % ORDER
            self.value = self._first + s.to_bytes(32, "little")
        return bool(self._work.round == 0)


def public_key(seed: bytes) -> bytes:
    """Return the public key of a seed, in one call: once, when a unit gets its key."""
    multiple = BaseMultiple(secret_number(sha512(seed)))
    while not multiple.is_complete:
        multiple.part()
    return encode_point(multiple.point)


def sign(seed: bytes, public: bytes, message: bytes) -> bytes:
    """Sign in one call. For tools and tests only: it takes too long for the agent."""
    signature = Signature(seed, public, message)
    while not signature.step():
        pass
    return signature.value
