"""Registers to integers and back: every number format that a device profile may name.

Not a reader of profiles and not a device: it knows formats, not points. Everything is integer
arithmetic, floats too: a float's bits are turned into a count of steps without ever making a
float, so that every interpreter gets the same count, also one whose floats have 32 bits.

Formats (`TYPES`): u16 to i64; f32 and f64 (IEEE 754, sections 3.4 and 3.5 of the standard); "bcd",
one decimal digit in four bits, 4 digits a register; "split", a sum of whole registers, each with
its weight (seconds, minutes and hours in three registers), which may be BCD themselves.

Orders (`ORDERS`): the letters name the bytes as they come on the wire, A being the most significant
of the value: "ABCD" is the standard's way, "CDAB" has the low word first, "BADC" swapped bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Words = tuple[int, ...]
    Order = tuple[tuple[int, ...], bool]

# type -> (registers, lowest, highest); 0 registers: as many as the entry says
TYPES = {
    "u16": (1, 0, 0xFFFF),
    "i16": (1, -0x8000, 0x7FFF),
    "u32": (2, 0, 0xFFFFFFFF),
    "i32": (2, -0x80000000, 0x7FFFFFFF),
    "u64": (4, 0, 0xFFFFFFFFFFFFFFFF),
    "i64": (4, -0x8000000000000000, 0x7FFFFFFFFFFFFFFF),
    "f32": (2, -0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF),
    "f64": (4, -0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF),
    "bcd": (0, 0, 9999999999999999),
    "split": (0, 0, 0x7FFFFFFFFFFFFFFF),
}
"""The range of a float is that of its counts: what lies outside is no number."""
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
"""Registers -> the orders their bytes may come in."""

_MAX_COUNT = 0x7FFFFFFFFFFFFFFF
# wide -> (bits of the fraction, highest exponent, exponent of the fraction's last bit at 0)
_IEEE = ((23, 0xFF, -150), (52, 0x7FF, -1075))


def divide_rounded(numerator: int, denominator: int) -> int:
    """The nearest integer to top / bottom (`denominator` above 0); halves away from zero."""
    if numerator < 0:
        return -((denominator - 2 * numerator) // (2 * denominator))
    return (denominator + 2 * numerator) // (2 * denominator)


def compile_order(order: str, registers: int) -> "Order":
    """Compile an order: which word is the highest, next …, and whether bytes are swapped.

    An empty order is the standard's: high word and high byte first.
    """
    if not order:
        return tuple(range(registers)), False
    pairs = [order[at : at + 2] for at in range(0, len(order), 2)]
    swapped = pairs[0][0] > pairs[0][1]
    ranked = sorted([(min(pair), position) for position, pair in enumerate(pairs)])
    return tuple([position for _, position in ranked]), swapped


def join_words(words: "Words", at: int, order: "Order") -> int:
    """The unsigned integer of the words from `at` on."""
    positions, swapped = order
    value = 0
    for position in positions:
        word = words[at + position]
        if swapped:
            word = (word & 0xFF) << 8 | word >> 8
        value = value << 16 | word
    return value


def split_words(value: int, order: "Order") -> "list[int]":
    """The words of an integer, negative ones in two's complement: the inverse of `join_words`."""
    positions, swapped = order
    words = [0] * len(positions)
    for position in reversed(positions):
        word = value & 0xFFFF
        words[position] = (word & 0xFF) << 8 | word >> 8 if swapped else word
        value >>= 16
    return words


def from_bcd(raw: int) -> "int | None":
    """The number that is written in decimal digits of four bits; None if one is above 9."""
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
    """A number of 0 or more in decimal digits of four bits."""
    raw, shift = 0, 0
    while value:
        raw |= value % 10 << shift
        value //= 10
        shift += 4
    return raw


def float_to_count(bits: int, is_double: bool, num: int, den: int) -> "int | None":
    """The nearest integer to (the float with these bits) * num / den, `den` above 0.

    Halves go away from zero. None: not a number, infinite, or beyond 63 bits.
    """
    size, max_exponent, last = _IEEE[is_double]
    exponent = bits >> size & max_exponent
    if exponent == max_exponent:
        return None
    fraction = bits & ((1 << size) - 1)
    if exponent:
        fraction |= 1 << size
    shift = (exponent or 1) + last
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
    """The bits of the float nearest to top / bottom (`denominator` above 0), ties to even.

    What is too large becomes infinite, what is too small for a normal float becomes 0: no set-point
    is either.
    """
    size, max_exponent, last = _IEEE[is_double]
    sign = (1 << (63 if is_double else 31)) if numerator < 0 else 0
    numerator = abs(numerator)
    if not numerator:
        return sign
    shift = 0  # the fraction with its leading one is top / bottom * 2 ** shift
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
    exponent = -shift - last
    if exponent >= max_exponent:
        return sign | max_exponent << size
    return sign | exponent << size | fraction & ((1 << size) - 1) if exponent > 0 else sign


def _join_signed(words: "Words", at: int, order: "Order") -> int:
    raw = join_words(words, at, order)
    sign = 1 << (16 * len(order[0]) - 1)
    return raw - 2 * sign if raw & sign else raw


def decode(
    kind: str, words: "Words", at: int, order: "Order", step: "tuple[int, int]" = (1, 1)
) -> "int | None":
    """The number of type `kind` (not "split") in `words` from `at` on; None if it is none.

    A float is given as the nearest count: float * step[0] / step[1].
    """
    if kind in FLOATS:
        return float_to_count(join_words(words, at, order), kind == "f64", step[0], step[1])
    if kind == "bcd":
        return from_bcd(join_words(words, at, order))
    return (_join_signed if kind[0] == "i" else join_words)(words, at, order)


def decode_split(words: "Words", at: int, weights: "Sequence[int]", bcd: bool) -> "int | None":
    """The sum of registers, each times its weight; None if a BCD digit is above 9."""
    total = 0
    for index, weight in enumerate(weights):
        part = from_bcd(words[at + index]) if bcd else words[at + index]
        if part is None:
            return None
        total += part * weight
    return total


def encode(kind: str, raw: int, order: "Order", step: "tuple[int, int]" = (1, 1)) -> "list[int]":
    """The words of a number of type `kind` (not "split"): the inverse of `decode`."""
    if kind in FLOATS:
        raw = ratio_to_float(raw * step[1], step[0], kind == "f64")
    elif kind == "bcd":
        raw = to_bcd(raw)
    return split_words(raw, order)


def decode_text(words: "Sequence[int]", swapped: bool = False) -> str:
    """ASCII of registers, high byte first, up to the first zero; what is no ASCII becomes "?".

    Blanks at the end are padding and go.
    """
    letters: list[int] = []
    for word in words:
        pair = (word & 0xFF, word >> 8) if swapped else (word >> 8, word & 0xFF)
        letters.extend(pair)
    if 0 in letters:
        letters = letters[: letters.index(0)]
    return "".join([chr(c) if 32 <= c < 127 else "?" for c in letters]).rstrip()
