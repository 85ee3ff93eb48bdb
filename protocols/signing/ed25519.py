# SPDX-License-Identifier: Apache-2.0
"""Ed25519 verification (RFC 8032, 5.1.7), in slices, so that a signature delays no control cycle.

Does not sign: see `protocols.signing.ed25519_sign` for the reports of a unit. The secret keys of
operators stay in a constant-time library. This module handles no secrets and is not constant-time.

    check = Verification(public_key, message, signature)
    while check.valid is None:
        check.step()                        # a fraction of a millisecond each on a server
        check.step(True)                    # a part of the same work, for a board

The rules are stricter than the RFC, so that one message has one signature (Chalkias et al., "Taming
the many EdDSAs", 2020). S must be below the group order (no malleability). The key must be the
canonical encoding of a point that is not of small order. R is compared byte by byte (cofactorless).

The curve is -x² + y² = 1 + d x² y² over the integers mod 2^255 - 19. Points are (X, Y, Z, T),
extended coordinates. Sums and doublings: Hisil et al., "Twisted Edwards curves revisited" (2008),
sections 3.1 and 3.3. R = [S]B - [k]A is computed in one pass over both numbers, two bits at a time,
with a table of the sixteen sums iB - jA (Strauss' and Shamir's method).
"""

from protocols.signing.sha512 import Sha512

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Point = tuple[int, int, int, int]

KEY_BYTES = 32
SIGNATURE_BYTES = 64

_P = (1 << 255) - 19
ORDER = (1 << 252) + 27742317777372353535851937790883648493
_D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
"""-121665 / 121666"""
_D2 = 2 * _D % _P
_SQRT_MINUS_1 = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
"""2^((p - 1) / 4)"""
IDENTITY = (0, 1, 1, 0)
_DIGITS = 127
"""Both numbers are below 2^253: digits of two bits, 126 to 0."""

_DIGITS_A_STEP = 8
HASH_ROUNDS = 2
"""Rounds of SHA-512 in a part."""
_HASH, _KEY, _ORDER, _TABLE, _MULTIPLY, _COMPARE = 0, 1, 2, 3, 4, 5


def add_points(a: "Point", b: "Point") -> "Point":
    """Return the sum of two points."""
    ax, ay, az, at = a
    bx, by, bz, bt = b
    p = _P
    m = (ay - ax) * (by - bx) % p
    n = (ay + ax) * (by + bx) % p
    o = at * bt % p * _D2 % p
    q = 2 * az * bz % p
    e, f, g, h = n - m, q - o, q + o, n + m
    return e * f % p, g * h % p, f * g % p, e * h % p


def double_point(a: "Point") -> "Point":
    """Return twice a point."""
    x, y, z, _ = a
    p = _P
    xx, yy = x * x % p, y * y % p
    xy = x + y
    h = xx + yy
    e = h - xy * xy % p
    g = xx - yy
    f = 2 * z * z % p + g
    return e * f % p, g * h % p, f * g % p, e * h % p


class _Power:
    """x^(2^250 - 1) in parts: the exponent has fifty digits of 31, each five squares, a product."""

    def __init__(self, x: int) -> None:
        value = x
        for _ in range(4):
            value = value * value % _P * x % _P
        self.value = self._x31 = value
        self.left = 49

    def step(self) -> None:
        """Do one digit."""
        self.value = _square(self.value, 5) * self._x31 % _P
        self.left -= 1


def _square(x: int, count: int) -> int:
    """Return x^(2^count)."""
    for _ in range(count):
        x = x * x % _P
    return x


class _Decoder:
    """Decodes a point (RFC 8032, 5.1.3), in parts.

    `point` is None if it is not canonical or not on the curve.
    """

    def __init__(self, data: bytes) -> None:
        number = from_little_endian(data)
        self.point: Point | None = None
        self._sign, self._y = number >> 255, number & ((1 << 255) - 1)
        yy = self._y * self._y % _P
        self._u, self._v = (yy - 1) % _P, (_D * yy + 1) % _P
        v3 = self._v * self._v % _P * self._v % _P
        self._uv3 = self._u * v3 % _P
        self._uv7 = self._uv3 * v3 % _P * self._v % _P
        self._power = _Power(self._uv7)

    def step(self) -> bool:
        """Do a part; return whether `point` is decided."""
        if self._y < _P and self._power.left:
            self._power.step()
            return False
        if self._y < _P:
            self._take_root()
        return True

    def _take_root(self) -> None:
        p = _P
        # (u v^7)^((p - 5) / 8): the exponent is 4 (2^250 - 1) + 1
        x = _square(self._power.value, 2) * self._uv7 % p * self._uv3 % p
        square = self._v * x % p * x % p
        if square != self._u:
            if square != p - self._u:
                return
            x = x * _SQRT_MINUS_1 % p
        if x == 0 and self._sign:
            return
        if x & 1 != self._sign:
            x = p - x
        self.point = x, self._y, 1, x * self._y % p


class PointEncoder:
    """Encodes a point (RFC 8032, 5.1.2), in parts. `value`: 32 bytes when it is done."""

    def __init__(self, point: "Point") -> None:
        self.value = b""
        self._point = point
        self._power = _Power(point[2])

    def step(self) -> bool:
        """Do a part; return whether `value` is complete."""
        if self._power.left:
            self._power.step()
            return False
        x, y, z, _ = self._point
        # z^(p - 2): the exponent is 32 (2^250 - 1) + 11
        z11 = _square(z, 3) * z % _P * z % _P * z % _P
        inverse = _square(self._power.value, 5) * z11 % _P
        x, y = x * inverse % _P, y * inverse % _P
        self.value = (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")
        return True


def encode_point(point: "Point") -> bytes:
    """Encode a point in one call: 32 bytes."""
    encoder = PointEncoder(point)
    while not encoder.step():
        pass
    return encoder.value


def from_little_endian(data: bytes) -> int:
    """Return the number of bytes with the lowest first."""
    return int.from_bytes(data, "little")


BASE: "Point" = (
    0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A,
    0x6666666666666666666666666666666666666666666666666666666666666658,
    1,
    0x67875F0FD78B766566EA4E8E64ABE37D20F09F80775152F56DDE8AB3A5B7DDA3,
)
"""The base point (RFC 8032, 5.1): y = 4/5, x even. The tests compute these constants."""


class Verification:
    """Verifies `signature` (64 bytes) over `message` with the key `public` (32 bytes).

    `valid` is None until the steps are complete.
    """

    def __init__(self, public: bytes, message: bytes, signature: bytes) -> None:
        self.valid: bool | None = None
        self._public = public
        self._r = signature[:KEY_BYTES]
        self._s = from_little_endian(signature[KEY_BYTES:])
        self._k = 0
        self._point: Point = IDENTITY
        self._key: Point = IDENTITY
        self._table: list[Point] = []
        self._digit = _DIGITS
        self._turn = 0
        self._phase = _HASH
        self._work: Any = None
        if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES or self._s >= ORDER:
            self.valid = False
        else:
            self._work = Sha512(self._r + public + message)
        self._parts = (
            self._hash_part,
            self._key_part,
            self._order_part,
            self._table_part,
            self._multiply_part,
            self._compare_part,
        )

    def step(self, is_small: bool = False) -> None:
        """Do the next slice of work: at most about 25 point sums.

        `is_small`: at most two sums, or two rounds of the hash.
        """
        while self.valid is None:
            if self._parts[self._phase]() or is_small:
                return

    # Each part returns whether it ends a slice of a server.

    def _hash_part(self) -> bool:
        is_complete: bool = self._work.step(HASH_ROUNDS)
        if is_complete:
            self._k = from_little_endian(self._work.digest()) % ORDER
            self._phase = _KEY
            self._work = None
        return is_complete or bool(self._work.round == 0)

    def _key_part(self) -> bool:
        if self._work is None:
            self._work = _Decoder(self._public)
        elif self._work.step():
            if self._work.point is None:
                self.valid = False
            else:
                self._point = self._key = self._work.point
                self._phase = _ORDER
        return False

    def _order_part(self) -> bool:
        """Compute 8A: a signature under a key of small order proves nothing."""
        if self._turn < 3:
            self._point = double_point(self._point)
            self._turn += 1
            return False
        self._turn = 0
        if _is_identity(self._point):
            self.valid = False
        x, y, z, t = self._key
        self._key = (_P - x, y, z, _P - t)
        self._point = IDENTITY
        self._phase = _TABLE
        return True

    def _table_part(self) -> bool:
        """Compute iB - jA at index 4 i + j."""
        table, size = self._table, len(self._table)
        if size % 4:
            table.append(add_points(table[-1], self._key))
        else:
            table.append(add_points(table[-4], BASE) if size else IDENTITY)
        if size == 15:
            self._phase = _MULTIPLY
        return size == 15

    def _multiply_part(self) -> bool:
        if self._turn < 2:
            self._point = double_point(self._point)
            self._turn += 1
            return False
        self._turn = 0
        self._digit -= 1
        shift = 2 * self._digit
        index = (self._s >> shift & 3) << 2 | self._k >> shift & 3
        if index:
            self._point = add_points(self._point, self._table[index])
        if self._digit == 0:
            self._phase = _COMPARE
            self._table = []
            self._work = PointEncoder(self._point)
        return self._digit == 0 or (_DIGITS - self._digit) % _DIGITS_A_STEP == 0

    def _compare_part(self) -> bool:
        if self._work.step():
            self.valid = self._work.value == self._r
        return False


def _is_identity(point: "Point") -> bool:
    x, y, z, _ = point
    return x == 0 and y == z


def _has_small_order(point: "Point") -> bool:
    """Return whether a signature under this key proves nothing."""
    return _is_identity(double_point(double_point(double_point(point))))


def _decode(data: bytes) -> "Point | None":
    """Decode a point in one call."""
    decoder = _Decoder(data)
    while not decoder.step():
        pass
    return decoder.point


def is_valid_key(public: bytes) -> bool:
    """Return whether a signature can be valid under `public`. Takes as long as two slices."""
    point = _decode(public) if len(public) == KEY_BYTES else None
    return point is not None and not _has_small_order(point)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Verify in one call. For tools and tests only: it takes too long for the agent."""
    verification = Verification(public, message, signature)
    while verification.valid is None:
        verification.step()
    return verification.valid
