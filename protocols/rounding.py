# SPDX-License-Identifier: Apache-2.0
"""Rounding to the nearest integer, halves away from zero, equal on all interpreters.

Python's `round` is not used: it rounds halves to even, and MicroPython can differ. A decimal
parsed from text can be one float step below its written value (0.0005 is not a float), and this
step differs between interpreters. `round_decimal` rounds such a half up on all of them.
"""

_HALF = 0.500001


def round_half_away(value: float) -> int:
    """Return the integer nearest to a measured or computed value."""
    return int(value + (0.5 if value >= 0 else -0.5))


def round_decimal(value: "float | int") -> int:
    """Return the integer nearest to a decimal from text times a power of ten."""
    return int(value + (_HALF if value >= 0 else -_HALF))


def divide_rounded(numerator: int, denominator: int) -> int:
    """Return numerator / denominator, rounded; halves away from zero. `denominator` is above 0."""
    if numerator < 0:
        return -((denominator - 2 * numerator) // (2 * denominator))
    return (denominator + 2 * numerator) // (2 * denominator)


def number_text(value: "float | int", places: int = 3) -> str:
    """Return the digits of a number, rounded to `places`, without zeros at the end.

    For texts that are hashed: `%s` and `%f` of a float differ between interpreters.
    """
    scaled = round_decimal(value * 10**places)
    sign, scaled = ("-", -scaled) if scaled < 0 else ("", scaled)
    digits = str(scaled)
    digits = "0" * (places + 1 - len(digits)) + digits
    whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :]
    fraction = fraction.rstrip("0")
    return sign + whole + ("." + fraction if fraction else "")
