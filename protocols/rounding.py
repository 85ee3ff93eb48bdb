"""Whole numbers from floats, to the nearest, halves away from zero; the same on every interpreter.

Python's `round` is not used: it rounds halves to even, and MicroPython's may differ. A decimal that
was read from text may lie a step of the float below what was written (0.0005 is no float), and
interpreters read it differently by that step; `round_decimal` rounds such a half up on all of them.
"""

_HALF = 0.500001


def round_half_away(value: float) -> int:
    """Give the nearest whole number to a value that was measured or computed."""
    return int(value + (0.5 if value >= 0 else -0.5))


def round_decimal(value: "float | int") -> int:
    """Give the nearest whole number to a decimal from text, times a power of ten."""
    return int(value + (_HALF if value >= 0 else -_HALF))
