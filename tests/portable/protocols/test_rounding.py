# SPDX-License-Identifier: Apache-2.0
"""Integers from floats."""

from protocols.rounding import round_decimal, round_half_away
from tests.portable.support.check import eq


def test_halves_go_away_from_zero():
    for value, whole in ((0.0, 0), (0.5, 1), (-0.5, -1), (2.5, 3), (-2.5, -3), (1.25, 1)):
        eq(round_half_away(value), whole)


def test_decimal_below_half_rounds_up():
    eq(round_decimal(2.4999999), 3)
    eq(round_decimal(-2.4999999), -3)
    eq(round_decimal(2.499), 2)
    eq(round_decimal(7), 7)
