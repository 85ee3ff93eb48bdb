# SPDX-License-Identifier: Apache-2.0
"""Floats of registers (IEEE 754, sections 3.4 and 3.5) to counts of steps and back.

Loaded with the first such value, because few devices have floats. There is no float value between
the bits and the count: the arithmetic is in integers. Thus all interpreters get the same count,
also those with 32-bit floats.
"""

from protocols.rounding import divide_rounded

_MAX_COUNT = 0x7FFFFFFFFFFFFFFF
# single and double precision: bits of the fraction, highest exponent, power of two of the last bit
# of the fraction at exponent 0
_IEEE = ((23, 0xFF, -150), (52, 0x7FF, -1075))


def float_to_count(bits: int, is_double: bool, numerator: int, denominator: int) -> "int | None":
    """Return the integer nearest to (the float with these bits) * numerator / denominator.

    `denominator` is above 0. Halves round away from zero. Return None for "not a number",
    infinity, or more than 63 bits.
    """
    size, max_exponent, last_exponent = _IEEE[is_double]
    exponent = bits >> size & max_exponent
    if exponent == max_exponent:
        return None
    fraction = bits & ((1 << size) - 1)
    if exponent:
        fraction |= 1 << size
    shift = (exponent or 1) + last_exponent
    if shift > 128 and fraction:
        return None
    if shift < -192:
        return 0
    scaled = fraction * numerator
    count = (
        divide_rounded(scaled << shift, denominator)
        if shift >= 0
        else divide_rounded(scaled, denominator << -shift)
    )
    if not -_MAX_COUNT <= count <= _MAX_COUNT:
        return None
    return -count if bits >> (63 if is_double else 31) & 1 else count


def ratio_to_float(numerator: int, denominator: int, is_double: bool) -> int:
    """Return the bits of the float nearest to numerator / denominator, ties to even.

    `denominator` is above 0. A quotient that is too large gives infinity. A quotient that is too
    small for a normal float gives 0. No set-point has such a value.
    """
    size, max_exponent, last_exponent = _IEEE[is_double]
    sign = (1 << (63 if is_double else 31)) if numerator < 0 else 0
    numerator = abs(numerator)
    if not numerator:
        return sign
    shift = 0  # the fraction with its leading 1 is numerator / denominator * 2 ** shift
    while numerator << shift < denominator << size:
        shift += 1
    while shift <= 0 and numerator >= denominator << (size + 1 - shift):
        shift -= 1
    dividend, divisor = (
        (numerator << shift, denominator) if shift >= 0 else (numerator, denominator << -shift)
    )
    fraction, remainder = divmod(dividend, divisor)
    if 2 * remainder > divisor or (2 * remainder == divisor and fraction & 1):
        fraction += 1
    if fraction >> (size + 1):
        fraction >>= 1
        shift -= 1
    exponent = -shift - last_exponent
    if exponent >= max_exponent:
        return sign | max_exponent << size
    return sign | exponent << size | fraction & ((1 << size) - 1) if exponent > 0 else sign
