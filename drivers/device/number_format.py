# SPDX-License-Identifier: Apache-2.0
"""Number formats of device profiles: registers to integers and back.

Does not read profiles and does not know points. All arithmetic is in integers, also for floats.
The bits of a float become a count of steps without a float value. Thus all interpreters get the
same count, also those with 32-bit floats.

Formats (`TYPES`): u16 to i64; f32 and f64 (IEEE 754, sections 3.4 and 3.5); "bcd", one decimal
digit in four bits, 4 digits a register; "split", a sum of registers, each with its weight (for
example seconds, minutes and hours in three registers), which can be BCD.

Orders (`ORDERS`): the letters name the bytes in the order of the wire. A is the most significant
byte of the value. "ABCD" is the order of the standard, "CDAB" has the low word first, "BADC" has
swapped bytes.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Words = tuple[int, ...]

NumberType = namedtuple("NumberType", ("registers", "low", "high"))
"""Size and range of a number type. 0 registers: the entry of the profile gives the size."""

ByteOrder = namedtuple("ByteOrder", ("positions", "swapped"))
"""A compiled order: the positions of the words, most significant first, and whether the bytes of
each word are swapped."""

TYPES = {
    "u16": NumberType(1, 0, 0xFFFF),
    "i16": NumberType(1, -0x8000, 0x7FFF),
    "u32": NumberType(2, 0, 0xFFFFFFFF),
    "i32": NumberType(2, -0x80000000, 0x7FFFFFFF),
    "u64": NumberType(4, 0, 0xFFFFFFFFFFFFFFFF),
    "i64": NumberType(4, -0x8000000000000000, 0x7FFFFFFFFFFFFFFF),
    "f32": NumberType(2, -0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF),
    "f64": NumberType(4, -0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF),
    "bcd": NumberType(0, 0, 9999999999999999),
    "split": NumberType(0, 0, 0x7FFFFFFFFFFFFFFF),
}
"""Type name -> size and range. The range of a float is the range of its counts; a float outside of
it is not a number."""
FLOATS = ("f32", "f64")
ORDERS = {
    1: ("AB", "BA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: (
        "ABCDEFGH",
        "GHEFCDAB",
        "EFGHABCD",
        "CDABGHEF",
        "BADCFEHG",
        "HGFEDCBA",
        "FEHGBADC",
        "DCBAHGFE",
    ),
}
"""Number of registers -> the possible orders of their bytes."""

_MAX_COUNT = 0x7FFFFFFFFFFFFFFF
# single and double precision: bits of the fraction, highest exponent, power of two of the last bit
# of the fraction at exponent 0
_IEEE = ((23, 0xFF, -150), (52, 0x7FF, -1075))


def divide_rounded(numerator: int, denominator: int) -> int:
    """Return numerator / denominator, rounded; halves away from zero. `denominator` is above 0."""
    if numerator < 0:
        return -((denominator - 2 * numerator) // (2 * denominator))
    return (denominator + 2 * numerator) // (2 * denominator)


def compile_order(order: str, registers: int) -> "ByteOrder":
    """Compile an order such as "CDAB".

    An empty order is the order of the standard: high word and high byte first.
    """
    if not order:
        return ByteOrder(tuple(range(registers)), False)
    pairs = [order[at : at + 2] for at in range(0, len(order), 2)]
    swapped = pairs[0][0] > pairs[0][1]
    ranked = sorted([(min(pair), position) for position, pair in enumerate(pairs)])
    return ByteOrder(tuple([position for _, position in ranked]), swapped)


def join_words(words: "Words", at: int, order: "ByteOrder") -> int:
    """Return the unsigned integer in the words from index `at` on."""
    swapped = order.swapped
    value = 0
    for position in order.positions:
        word = words[at + position]
        if swapped:
            word = (word & 0xFF) << 8 | word >> 8
        value = value << 16 | word
    return value


def split_words(value: int, order: "ByteOrder") -> "list[int]":
    """Return the words of an integer (two's complement); the inverse of `join_words`."""
    positions, swapped = order.positions, order.swapped
    words = [0] * len(positions)
    for position in reversed(positions):
        word = value & 0xFFFF
        words[position] = (word & 0xFF) << 8 | word >> 8 if swapped else word
        value >>= 16
    return words


def from_bcd(raw: int) -> "int | None":
    """Return the number in BCD digits of four bits; None if a digit is above 9."""
    value, weight = 0, 1
    while raw:
        digit = raw & 15
        if digit > 9:
            return None
        value += digit * weight
        weight *= 10
        raw >>= 4
    return value


def to_bcd(value: int) -> int:
    """Return a number of 0 or more as BCD digits of four bits."""
    raw, shift = 0, 0
    while value:
        raw |= value % 10 << shift
        value //= 10
        shift += 4
    return raw


def float_to_count(bits: int, is_double: bool, num: int, den: int) -> "int | None":
    """Return the integer nearest to (the float with these bits) * num / den; `den` is above 0.

    Halves round away from zero. Return None for "not a number", infinity, or more than 63 bits.
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
    scaled = fraction * num
    count = (
        divide_rounded(scaled << shift, den)
        if shift >= 0
        else divide_rounded(scaled, den << -shift)
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


def _join_signed(words: "Words", at: int, order: "ByteOrder") -> int:
    raw = join_words(words, at, order)
    sign = 1 << (16 * len(order.positions) - 1)
    return raw - 2 * sign if raw & sign else raw


def decode(
    kind: str, words: "Words", at: int, order: "ByteOrder", step: "tuple[int, int]" = (1, 1)
) -> "int | None":
    """Return the number of type `kind` (not "split") in `words` from index `at` on.

    Return None if the words hold no number. The result for a float is the nearest count:
    float * step[0] / step[1].
    """
    if kind in FLOATS:
        return float_to_count(join_words(words, at, order), kind == "f64", step[0], step[1])
    if kind == "bcd":
        return from_bcd(join_words(words, at, order))
    return (_join_signed if kind[0] == "i" else join_words)(words, at, order)


def decode_split(words: "Words", at: int, weights: "Sequence[int]", bcd: bool) -> "int | None":
    """Return the sum of registers, each times its weight; None if a BCD digit is above 9."""
    total = 0
    for index, weight in enumerate(weights):
        part = from_bcd(words[at + index]) if bcd else words[at + index]
        if part is None:
            return None
        total += part * weight
    return total


def encode(
    kind: str, raw: int, order: "ByteOrder", step: "tuple[int, int]" = (1, 1)
) -> "list[int]":
    """Return the words of a number of type `kind` (not "split"); the inverse of `decode`."""
    if kind in FLOATS:
        raw = ratio_to_float(raw * step[1], step[0], kind == "f64")
    elif kind == "bcd":
        raw = to_bcd(raw)
    return split_words(raw, order)


def decode_text(words: "Sequence[int]", swapped: bool = False) -> str:
    """Return the ASCII text of registers, high byte first, up to the first zero byte.

    Other characters become "?". Blanks at the end are padding and are removed.
    """
    letters: list[int] = []
    for word in words:
        pair = (word & 0xFF, word >> 8) if swapped else (word >> 8, word & 0xFF)
        letters.extend(pair)
    if 0 in letters:
        letters = letters[: letters.index(0)]
    return "".join([chr(c) if 32 <= c < 127 else "?" for c in letters]).rstrip()
