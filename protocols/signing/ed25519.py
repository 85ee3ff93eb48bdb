# SPDX-License-Identifier: Apache-2.0
"""Ed25519 verification (RFC 8032, 5.1.7), in slices, so that a signature delays no control cycle.

Does not sign: see `protocols.signing.ed25519_sign` for the reports of a unit. The secret keys of
operators stay in a constant-time library. This module handles no secrets and is not constant-time.

    check = Verification(public_key, message, signature)
    while check.valid is None:
        check.step()                        # a fraction of a millisecond each

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

_HASH, _KEY, _TABLE, _MULTIPLY, _COMPARE, _DONE = 0, 1, 2, 3, 4, 5


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


def _decode(data: bytes) -> "Point | None":
    """Decode a point (RFC 8032, 5.1.3); None if it is not canonical or not on the curve."""
    number = from_little_endian(data)
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P) % _P, (_P - 5) // 8, _P) % _P
    square = v * x * x % _P
    if square != u:
        if square != _P - u:
            return None
        x = x * _SQRT_MINUS_1 % _P
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def encode_point(point: "Point") -> bytes:
    """Encode a point (RFC 8032, 5.1.2): 32 bytes."""
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")


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
        self._minus_key: Point = IDENTITY
        self._table: list[Point] = []
        self._digit = _DIGITS
        self._phase = _HASH
        if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES or self._s >= ORDER:
            self._finish(False)
        else:
            self._hash = Sha512(self._r + public + message)

    def _finish(self, valid: bool) -> None:
        self.valid = valid
        self._phase = _DONE
        self._table = []

    def step(self) -> None:
        """Do the next slice of work: at most about 25 point sums."""
        if self._phase == _HASH:
            if self._hash.step():
                self._k = from_little_endian(self._hash.digest()) % ORDER
                self._phase = _KEY
        elif self._phase == _KEY:
            self._decode_key()
        elif self._phase == _TABLE:
            self._fill_table()
        elif self._phase == _MULTIPLY:
            self._multiply(8)
        elif self._phase == _COMPARE:
            self._finish(encode_point(self._point) == self._r)

    def _decode_key(self) -> None:
        key = _decode(self._public)
        if key is None or _has_small_order(key):
            self._finish(False)
            return
        x, y, z, t = key
        self._minus_key = (_P - x, y, z, _P - t)
        self._phase = _TABLE

    def _fill_table(self) -> None:
        """Compute iB - jA at index 4 i + j."""
        for i in range(4):
            for j in range(4):
                if j:
                    point = add_points(self._table[-1], self._minus_key)
                elif i:
                    point = add_points(self._table[4 * i - 4], BASE)
                else:
                    point = IDENTITY
                self._table.append(point)
        self._phase = _MULTIPLY

    def _multiply(self, digits: int) -> None:
        point = self._point
        for _ in range(digits):
            if self._digit == 0:
                self._phase = _COMPARE
                break
            self._digit -= 1
            shift = 2 * self._digit
            point = double_point(double_point(point))
            index = (self._s >> shift & 3) << 2 | self._k >> shift & 3
            if index:
                point = add_points(point, self._table[index])
        self._point = point


def _has_small_order(point: "Point") -> bool:
    """Return whether a signature under this key proves nothing."""
    x, y, z, _ = double_point(double_point(double_point(point)))
    return x == 0 and y == z


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
