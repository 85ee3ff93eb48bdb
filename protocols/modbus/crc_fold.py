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
"""

_BITS = 14
_FOLDS = [(_BITS * m, (1 << _BITS * m) - 1, m) for m in (256, 128, 64, 32, 16, 8, 4, 2, 1)]
_plans: "dict[int, list[tuple[int, int, int]]]" = {}


def _plan_folds(size: int) -> "list[tuple[int, int, int]]":
    """Return the folds (bits cut off, their mask, shift) of a frame of `size` bytes."""
    plan = []
    bits = 8 * size
    for fold in _FOLDS:
        rest = (_BITS + 1) * fold[2]
        while bits > rest:
            plan.append(fold)
            bits = max(bits - fold[0], rest)
    return plan


def is_intact(frame: bytes) -> bool:
    """Return whether the CRC of `frame`, which includes it, is 0. A frame has at least 2 bytes."""
    size = len(frame)
    if size < 2:
        return False
    bits = int.from_bytes(frame, "little") ^ 0xFFFF
    if bits.bit_count() & 1:
        return False
    plan = _plans.get(size)
    if plan is None:
        plan = _plans[size] = _plan_folds(size)
    for cut, mask, shift in plan:
        low = bits & mask
        bits = bits >> cut ^ low ^ low << shift
    return bits == 0
