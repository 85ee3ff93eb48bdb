"""SHA-512 (FIPS 180-4), in slices: `update` only gathers, `step` does the work of a few blocks.

MicroPython has no SHA-512. Not for secrets (nothing here is constant-time) and not for speed: on
CPython, `hashlib` is a thousand times faster. The caller bounds the message.

The constants are the first 64 bits of the fractional parts of the cube roots (`_K`) and square
roots (`_START`) of the first primes (FIPS 180-4, 4.2.3 and 5.3.5); they are computed once, exactly,
by integer roots.
"""

BLOCK = 128
_ROUNDS = 80
_MASK = (1 << 64) - 1


def _primes(count: int) -> "list[int]":
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _root(value: int, power: int) -> int:
    """Give the integer part of the `power`-th root of `value`, by Newton's method."""
    root = 1 << (len(bin(value)) // power + 1)
    while True:
        less = ((power - 1) * root + value // root ** (power - 1)) // power
        if less >= root:
            return root
        root = less


def _constants() -> "tuple[list[int], list[int]]":
    primes = _primes(_ROUNDS)
    cubes = [_root(prime << 192, 3) & _MASK for prime in primes]
    squares = [_root(prime << 128, 2) & _MASK for prime in primes[:8]]
    return cubes, squares


_K, _START = _constants()


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
