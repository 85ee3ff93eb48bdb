# SPDX-License-Identifier: Apache-2.0
"""The names of the number formats and byte orders of device profiles.

Only loading and checking a profile need them; a board unloads them. `number_format` converts.

Formats (`TYPES`): u16 to i64; f32 and f64 (IEEE 754, sections 3.4 and 3.5); "bcd", one decimal
digit in four bits, 4 digits a register; "split", a sum of registers, each with its weight (for
example seconds, minutes and hours in three registers), which can be BCD.

Orders (`ORDERS`): the letters name the bytes in the order of the wire. A is the most significant
byte of the value. "ABCD" is the order of the standard, "CDAB" has the low word first, "BADC" has
swapped bytes.
"""

from collections import namedtuple

from drivers.device.number_format import ByteOrder

NumberType = namedtuple("NumberType", ("registers", "low", "high"))
"""Size and range of a number type. 0 registers: the entry of the profile gives the size."""

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
