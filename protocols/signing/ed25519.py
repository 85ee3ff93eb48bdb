# SPDX-License-Identifier: Apache-2.0
"""Ed25519 verification (RFC 8032, 5.1.7), in slices, so that a signature delays no control cycle.

Does not sign: see `protocols.signing.ed25519_sign` for the reports of a unit. The secret keys of
operators stay in a constant-time library. This module handles no secrets and is not constant-time.

    check = Verification(public_key, message, signature)
    while check.valid is None:
        check.step()                        # a fraction of a millisecond each on a server
        check.step(True)                    # the same work in smaller slices, for a board

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
    from collections.abc import Generator
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
_SQUARES_A_SLICE = 16
PART, STEP = 0, 1
"""What ends: a small slice for a board, or also a step of a server."""


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


def _square(x: int, count: int) -> "Generator[int, None, int]":
    """Return x^(2^count), in slices."""
    for i in range(count):
        if i % _SQUARES_A_SLICE == _SQUARES_A_SLICE - 1:
            yield PART
        x = x * x % _P
    return x


def _power_250(x: int) -> "Generator[int, None, tuple[int, int]]":
    """Return x^(2^250 - 1) and x^11: 249 squares and 11 products (the usual addition chain)."""
    p = _P
    x2 = x * x % p
    x9 = (x2 * x2 % p) * (x2 * x2 % p) % p * x % p
    x11 = x9 * x2 % p
    a5 = x11 * x11 % p * x9 % p
    a10 = (yield from _square(a5, 5)) * a5 % p
    a20 = (yield from _square(a10, 10)) * a10 % p
    a40 = (yield from _square(a20, 20)) * a20 % p
    a50 = (yield from _square(a40, 10)) * a10 % p
    a100 = (yield from _square(a50, 50)) * a50 % p
    a200 = (yield from _square(a100, 100)) * a100 % p
    a250 = (yield from _square(a200, 50)) * a50 % p
    return a250, x11


def _decode(data: bytes) -> "Generator[int, None, Point | None]":
    """Decode a point (RFC 8032, 5.1.3); None if it is not canonical or not on the curve."""
    p = _P
    number = from_little_endian(data)
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= p:
        return None
    u, v = (y * y - 1) % p, (_D * y * y + 1) % p
    v3 = v * v * v % p
    base = u * v3 * v3 * v % p
    power, _ = yield from _power_250(base)
    power = (yield from _square(power, 2)) * base % p  # base^((p - 5) / 8)
    x = u * v3 * power % p
    square = v * x * x % p
    if square != u:
        if square != p - u:
            return None
        x = x * _SQRT_MINUS_1 % p
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = p - x
    return x, y, 1, x * y % p


def encode_slices(point: "Point") -> "Generator[int, None, bytes]":
    """Encode a point (RFC 8032, 5.1.2): 32 bytes, in slices."""
    x, y, z, _ = point
    power, z11 = yield from _power_250(z)
    inverse = (yield from _square(power, 5)) * z11 % _P  # z^(p - 2)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")


def encode_point(point: "Point") -> bytes:
    """Encode a point in one call: 32 bytes."""
    encoded: bytes = complete(encode_slices(point))
    return encoded


def decode_point(data: bytes) -> "Point | None":
    """Decode a point in one call; None if it is not canonical or not on the curve."""
    point: Point | None = complete(_decode(data))
    return point


def complete(slices: "Generator[int, None, Any]") -> "Any":
    """Do all slices; return the result."""
    try:
        while True:
            next(slices)
    except StopIteration as end:
        return end.value


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
        if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES or self._s >= ORDER:
            self.valid = False
        self._work = self._verify(self._r + public + message)

    def step(self, is_small: bool = False) -> None:
        """Do the next slice of work: at most about 25 point sums.

        `is_small`: at most three sums, 16 squares, or a part of a block of the hash.
        """
        if self.valid is not None:
            return
        try:
            while next(self._work) == PART and not is_small:
                pass
        except StopIteration as end:
            self.valid = end.value

    def _verify(self, hashed: bytes) -> "Generator[int, None, bool]":
        """Return whether the signature is valid."""
        sha = Sha512(hashed)
        is_complete = False
        while not is_complete:
            for _ in sha.block_slices():
                yield PART
            is_complete = sha.is_complete()
            yield STEP
        k = from_little_endian(sha.digest()) % ORDER
        key = yield from _decode(self._public)
        if key is None or _has_small_order(key):
            return False
        yield STEP
        x, y, z, t = key
        table: list[Point] = []
        yield from _fill_table(table, (_P - x, y, z, _P - t))
        yield STEP
        point: Point = IDENTITY
        for count in range(_DIGITS):
            if count:
                yield PART if count % _DIGITS_A_STEP else STEP
            shift = 2 * (_DIGITS - 1 - count)
            point = double_point(double_point(point))
            index = (self._s >> shift & 3) << 2 | k >> shift & 3
            if index:
                point = add_points(point, table[index])
        yield STEP
        return (yield from encode_slices(point)) == self._r


def _fill_table(table: "list[Point]", minus_key: "Point") -> "Generator[int, None, None]":
    """Compute iB - jA at index 4 i + j."""
    for i in range(4):
        for j in range(4):
            if j:
                point = add_points(table[-1], minus_key)
            elif i:
                point = add_points(table[4 * i - 4], BASE)
            else:
                point = IDENTITY
            table.append(point)
            if j == 1:
                yield PART


def _has_small_order(point: "Point") -> bool:
    """Return whether a signature under this key proves nothing."""
    x, y, z, _ = double_point(double_point(double_point(point)))
    return x == 0 and y == z


def is_valid_key(public: bytes) -> bool:
    """Return whether a signature can be valid under `public`. Takes as long as two slices."""
    point = decode_point(public) if len(public) == KEY_BYTES else None
    return point is not None and not _has_small_order(point)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Verify in one call. For tools and tests only: it takes too long for the agent."""
    verification = Verification(public, message, signature)
    while verification.valid is None:
        verification.step()
    return verification.valid
