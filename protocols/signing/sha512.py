"""SHA-512 (FIPS 180-4), in slices: `update` only gathers, `step` does the work of a few blocks.

MicroPython has no SHA-512. Not for secrets (nothing here is constant-time) and not for speed: on
CPython, `hashlib` is a thousand times faster. The caller bounds the message.

The constants are the first 64 bits of the fractional parts of the cube roots (`_K`) and square
roots (`_START`) of the first primes (FIPS 180-4, 4.2.3 and 5.3.5), written down, since a board
would take long to compute them; the tests do.
"""

BLOCK = 128
_ROUNDS = 80
_MASK = (1 << 64) - 1


_CUBES = (
    "428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc3956c25bf348b538"
    "59f111f1b605d019923f82a4af194f9bab1c5ed5da6d8118d807aa98a303024212835b0145706fbe"
    "243185be4ee4b28c550c7dc3d5ffb4e272be5d74f27b896f80deb1fe3b1696b19bdc06a725c71235"
    "c19bf174cf692694e49b69c19ef14ad2efbe4786384f25e30fc19dc68b8cd5b5240ca1cc77ac9c65"
    "2de92c6f592b02754a7484aa6ea6e4835cb0a9dcbd41fbd476f988da831153b5983e5152ee66dfab"
    "a831c66d2db43210b00327c898fb213fbf597fc7beef0ee4c6e00bf33da88fc2d5a79147930aa725"
    "06ca6351e003826f142929670a0e6e7027b70a8546d22ffc2e1b21385c26c9264d2c6dfc5ac42aed"
    "53380d139d95b3df650a73548baf63de766a0abb3c77b2a881c2c92e47edaee692722c851482353b"
    "a2bfe8a14cf10364a81a664bbc423001c24b8b70d0f89791c76c51a30654be30d192e819d6ef5218"
    "d69906245565a910f40e35855771202a106aa07032bbd1b819a4c116b8d2d0c81e376c085141ab53"
    "2748774cdf8eeb9934b0bcb5e19b48a8391c0cb3c5c95a634ed8aa4ae3418acb5b9cca4f7763e373"
    "682e6ff3d6b2b8a3748f82ee5defb2fc78a5636f43172f6084c87814a1f0ab728cc702081a6439ec"
    "90befffa23631e28a4506cebde82bde9bef9a3f7b2c67915c67178f2e372532bca273eceea26619c"
    "d186b8c721c0c207eada7dd6cde0eb1ef57d4f7fee6ed17806f067aa72176fba0a637dc5a2c898a6"
    "113f9804bef90dae1b710b35131c471b28db77f523047d8432caab7b40c724933c9ebe0a15c9bebc"
    "431d67c49c100d4c4cc5d4becb3e42b6597f299cfc657e2a5fcb6fab3ad6faec6c44198c4a475817"
)
_SQUARES = (
    "6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1510e527fade682d1"
    "9b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179"
)


def _numbers(digits: str) -> "list[int]":
    return [int(digits[i : i + 16], 16) for i in range(0, len(digits), 16)]


_K, _START = _numbers(_CUBES), _numbers(_SQUARES)


class Sha512:
    """The hash of `message`: call `step` until it says True, then take `digest`."""

    def __init__(self, message: bytes) -> None:
        zeros = -(len(message) + 17) % BLOCK
        length = (8 * len(message)).to_bytes(16, "big")
        self._padded = message + b"\x80" + bytes(zeros) + length
        self._at = 0
        self._state = list(_START)

    def step(self, blocks: int = 1) -> bool:
        """Work off at most `blocks` blocks of 128 bytes; say whether the hash is complete."""
        for _ in range(blocks):
            if self._at >= len(self._padded):
                break
            self._compress(self._padded[self._at : self._at + BLOCK])
            self._at += BLOCK
        return self._at >= len(self._padded)

    def digest(self) -> bytes:
        """Give the 64 bytes of the hash, once `step` has said True."""
        return b"".join([word.to_bytes(8, "big") for word in self._state])

    def _compress(self, block: bytes) -> None:
        # A rotation by n is a shift of the word written twice: (x << 64 | x) >> n.
        mask = _MASK
        words = [int.from_bytes(block[i : i + 8], "big") for i in range(0, BLOCK, 8)]
        for i in range(16, _ROUNDS):
            x, y = words[i - 15], words[i - 2]
            xx, yy = x << 64 | x, y << 64 | y
            low = (xx >> 1 ^ xx >> 8 ^ x >> 7) & mask
            high = (yy >> 19 ^ yy >> 61 ^ y >> 6) & mask
            words.append((words[i - 16] + low + words[i - 7] + high) & mask)
        a, b, c, d, e, f, g, h = self._state
        for i in range(_ROUNDS):
            ee = e << 64 | e
            mix = (ee >> 14 ^ ee >> 18 ^ ee >> 41) & mask
            first = h + mix + (g ^ (e & (f ^ g))) + _K[i] + words[i]
            aa = a << 64 | a
            mix = (aa >> 28 ^ aa >> 34 ^ aa >> 39) & mask
            h, g, f, e = g, f, e, (d + first) & mask
            d, c, b, a = c, b, a, (first + mix + ((a & b) ^ (c & (a ^ b)))) & mask
        after = (a, b, c, d, e, f, g, h)
        self._state = [(x + y) & mask for x, y in zip(self._state, after)]


def sha512(message: bytes) -> bytes:
    """Hash `message` at once."""
    work = Sha512(message)
    while not work.step():
        pass
    return work.digest()
