# SPDX-License-Identifier: Apache-2.0
"""Number formats of device profiles: registers to integers and back.

Does not read profiles and does not know points. All arithmetic is in integers, also for floats
(`float_format`). The names of the formats and of the byte orders are in `number_types`.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Words = tuple[int, ...]

ByteOrder = namedtuple("ByteOrder", ("positions", "swapped"))
"""A compiled order: the positions of the words, most significant first, and whether the bytes of
each word are swapped."""

FLOATS = ("f32", "f64")


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
        from drivers.device.float_format import float_to_count  # noqa: PLC0415 - few devices have floats

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
        from drivers.device.float_format import ratio_to_float  # noqa: PLC0415 - as above

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
    return "".join([chr(letter) if 32 <= letter < 127 else "?" for letter in letters]).rstrip()
