# SPDX-License-Identifier: Apache-2.0
"""Check of an RTU frame by a few operations on one large integer, instead of a step for each byte.

Not for boards: `protocols.modbus.crc` uses it on interpreters that count bits in C. It does not
compute the CRC; it only tells whether a frame with its CRC is intact.

The polynomial of the CRC is (x + 1)(x^15 + x + 1) over GF(2). A frame, with the start value added
to its first 16 bits, is a multiple of it exactly if it is a multiple of both factors. For x + 1 the
number of one bits is even. For the other factor the frame is folded. The first bit sent is bit 0
here, so the factor is reversed: x^15 + x^14 + 1. Squaring keeps its three terms: with m a power of
two, x^15m + x^14m + 1 is a multiple of it. Hence the low 14m bits can be added again at 14m and at
15m, and then cut off. After the last fold 15 bits remain, which must be 0.

A fold of fewer bits than it can take is right, too. So the folds of the usual sizes stand in a
fixed sequence, with their masks as constants: a loop over a list of them takes twice as long when
the caches of the processor are cold, as they are after each wait for a reply.
"""

_BITS = 14
_FOLDS = [(_BITS * m, (1 << _BITS * m) - 1, m) for m in (256, 128, 64, 32, 16)]
_SHORT, _MEDIUM = 30, 58
"""Bytes that the folds of 112 and of 224 bits can take."""


def _fold_long(bits: int, size: int) -> int:
    """Return `bits`, of a frame of `size` bytes, folded to at most 240 bits."""
    count = 8 * size
    for cut, mask, shift in _FOLDS:
        while count > (_BITS + 1) * shift:
            low = bits & mask
            bits = bits >> cut ^ low ^ low << shift
            count = max(count - cut, (_BITS + 1) * shift)
    return bits


def is_intact(frame: bytes) -> bool:
    """Return whether the CRC of `frame`, which includes it, is 0. A frame has at least 2 bytes."""
    size = len(frame)
    if size < 2:
        return False
    bits = int.from_bytes(frame, "little") ^ 0xFFFF
    if bits.bit_count() & 1:
        return False
    if size > _SHORT:
        if size > _MEDIUM:
            bits = _fold_long(bits, size)
        else:
            low = bits & 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
            bits = bits >> 224 ^ low ^ low << 16
    low = bits & 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF
    bits = bits >> 112 ^ low ^ low << 8
    low = bits & 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF
    bits = bits >> 112 ^ low ^ low << 8
    low = bits & 0xFFFFFFFFFFFFFF
    bits = bits >> 56 ^ low ^ low << 4
    low = bits & 0xFFFFFFFFFFFFFF
    bits = bits >> 56 ^ low ^ low << 4
    low = bits & 0xFFFFFFF
    bits = bits >> 28 ^ low ^ low << 2
    low = bits & 0xFFFFFFF
    bits = bits >> 28 ^ low ^ low << 2
    low = bits & 0x3FFF
    bits = bits >> 14 ^ low ^ low << 1
    low = bits & 0x3FFF
    return bits >> 14 == low ^ low << 1
