"""Whole numbers from floats."""

from protocols.rounding import nearest_whole, of_decimal
from tests.portable.support.check import eq


def test_halves_go_away_from_zero():
    for value, whole in ((0.0, 0), (0.5, 1), (-0.5, -1), (2.5, 3), (-2.5, -3), (1.25, 1)):
        eq(nearest_whole(value), whole)


def test_a_decimal_that_is_read_a_step_too_low_is_still_a_half():
    eq(of_decimal(2.4999999), 3)
    eq(of_decimal(-2.4999999), -3)
    eq(of_decimal(2.499), 2)
    eq(of_decimal(7), 7)
