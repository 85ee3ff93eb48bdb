# SPDX-License-Identifier: Apache-2.0
"""Number formats against published examples, in both directions."""

from drivers.device import float_format, number_format, number_types
from protocols import rounding
from tests.portable.support.check import eq

STANDARD_ORDERS = {size: number_types.compile_order("", size) for size in (1, 2, 4)}


def test_orders_of_two_and_four_words():
    cases = (
        ("ABCD", (0x0102, 0x0304)),
        ("CDAB", (0x0304, 0x0102)),
        ("BADC", (0x0201, 0x0403)),
        ("DCBA", (0x0403, 0x0201)),
    )
    for order, words in cases:
        made = number_types.compile_order(order, 2)
        eq((order, number_format.join_words(words, 0, made)), (order, 0x01020304))
        eq(number_format.split_words(0x01020304, made), list(words))
    for order in number_types.ORDERS[4]:
        letters = [ord(letter) - ord("A") + 1 for letter in order]
        words = tuple([letters[i] << 8 | letters[i + 1] for i in (0, 2, 4, 6)])
        made = number_types.compile_order(order, 4)
        eq((order, number_format.join_words(words, 0, made)), (order, 0x0102030405060708))
        eq(number_format.split_words(0x0102030405060708, made), list(words))
    eq(number_format.join_words((0x3412,), 0, number_types.compile_order("BA", 1)), 0x1234)


def test_signed_integers():
    cases = (
        ("u16", (65535,), 65535),
        ("i16", (65535,), -1),
        ("i16", (0x8000,), -32768),
        ("i32", (0xFFFF, 0xFFFE), -2),
        ("u32", (0xFFFF, 0xFFFE), 4294967294),
        ("i64", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFD), -3),
        ("i64", (0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF), 9223372036854775807),
        ("u64", (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), 18446744073709551615),
    )
    for kind, words, value in cases:
        order = STANDARD_ORDERS[len(words)]
        eq((kind, number_format.decode(kind, words, 0, order)), (kind, value))
        eq(tuple(number_format.encode(kind, value, order)), words)


def test_floats_are_decoded_without_float_arithmetic():
    # Bits from the tables of IEEE 754: value * numerator / denominator, halves away from zero.
    cases = (
        (0x3F800000, False, 100, 1, 100),
        (0xBF800000, False, 100, 1, -100),
        (0x42F6E979, False, 1000, 1, 123456),  # 123.456001
        (0x3F000000, False, 1, 1, 1),  # 0.5
        (0xBF000000, False, 1, 1, -1),
        (0x3EFFFFFF, False, 1, 1, 0),  # just below 0.5
        (0x00000001, False, 1, 1, 0),  # the smallest number
        (0x80000000, False, 1, 1, 0),
        (0x7F800000, False, 1, 1, None),  # infinite
        (0xFF800000, False, 1, 1, None),
        (0x7FC00000, False, 1, 1, None),  # not a number
        (0x7F7FFFFF, False, 1, 1, None),  # 3.4e38: beyond 63 bits
        (0x5F000000, False, 1, 1, None),  # 2 ** 63
        (0x5EFFFFFF, False, 1, 1, 9223371487098961920),
        (0x400921FB54442D18, True, 1000000, 1, 3141593),
        (0xC00921FB54442D18, True, 1, 1, -3),
        (0x7FF8000000000000, True, 1, 1, None),
        (0x0000000000000001, True, 1000000000, 1, 0),
        (0x41DFFFFFFFC00000, True, 1, 1, 2147483647),
        (0x44C80000, False, -1, 10, -160),
    )
    for bits, is_double, numerator, denominator, count in cases:
        eq(
            (hex(bits), float_format.float_to_count(bits, is_double, numerator, denominator)),
            (hex(bits), count),
        )


def test_floats_are_encoded():
    cases = (
        (1, 1, 0x3F800000, 0x3FF0000000000000),
        (-1, 1, 0xBF800000, 0xBFF0000000000000),
        (0, 1, 0, 0),
        (1, 10, 0x3DCCCCCD, 0x3FB999999999999A),
        (1, 3, 0x3EAAAAAB, 0x3FD5555555555555),
        (16777217, 1, 0x4B800000, 0x4170000010000000),  # a tie goes to even
        (16777219, 1, 0x4B800002, 0x4170000030000000),
        (33554431, 1, 0x4C000000, 0x417FFFFFF0000000),  # rounded up, one bit longer
        (123456, 1000, 0x42F6E979, 0x405EDD2F1A9FBE77),
        (10**40, 1, 0x7F800000, 0x483D6329F1C35CA5),
        (1, 10**40, 0, 0x37B6C3B18FC49A0C),
    )
    for top, bottom, narrow, _ in cases:
        eq(
            (top, bottom, hex(float_format.ratio_to_float(top, bottom, False))),
            (top, bottom, hex(narrow)),
        )
    for top, bottom, _, is_double in cases[:9]:
        eq(
            (top, bottom, hex(float_format.ratio_to_float(top, bottom, True))),
            (top, bottom, hex(is_double)),
        )


def test_float_round_trip():
    seed = 12345
    for _ in range(300):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        count = seed % 2000001 - 1000000
        words = tuple(number_format.encode("f32", count, STANDARD_ORDERS[2], (100, 1)))
        eq(number_format.decode("f32", words, 0, STANDARD_ORDERS[2], (100, 1)), count)


def test_bcd():
    eq(number_format.decode("bcd", (0x1234,), 0, STANDARD_ORDERS[1]), 1234)
    eq(number_format.decode("bcd", (0x0012, 0x3456), 0, STANDARD_ORDERS[2]), 123456)
    eq(number_format.decode("bcd", (0x123A,), 0, STANDARD_ORDERS[1]), None)
    eq(number_format.encode("bcd", 90817263, STANDARD_ORDERS[2]), [0x9081, 0x7263])
    eq(number_format.decode_split((9, 59, 58, 1), 0, (1, 60, 3600, 86400), False), 298749)
    eq(number_format.decode_split((0x59, 0x23), 0, (1, 60), True), 59 + 23 * 60)
    eq(number_format.decode_split((0x5A, 0x23), 0, (1, 60), True), None)


def test_text():
    eq(number_format.decode_text((0x4142, 0x4320)), "ABC")
    eq(number_format.decode_text((0x4241, 0x2043), True), "ABC")
    eq(number_format.decode_text((0x4100, 0x4242)), "A")
    eq(number_format.decode_text((0xFF07, 0x41E9)), "??A?")
    eq(number_format.decode_text((0, 0)), "")


def test_division_rounds_half_away_from_zero():
    cases = ((5, 2, 3), (-5, 2, -3), (4, 3, 1), (-4, 3, -1), (0, 7, 0), (7, 7, 1), (1, 3, 0))
    for top, bottom, value in cases:
        eq((top, bottom, rounding.divide_rounded(top, bottom)), (top, bottom, value))
