# SPDX-License-Identifier: Apache-2.0
"""A counter at a steady rate as a straight line: y = start + floor(offset + slope * t).

Not a general fit. It accepts only a column that never turns back and stays within two counts of its
chord, so that noise is rejected after a few values. The slope is that of the chord, corrected by up
to a count over the column in 1/64 of a count: the first and the last value are rounded down. The
offset has the same unit. Version 1 of the format corrected by half a count only.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Ramp = tuple[int, int, int]
    """Rise from the first to the last value; correction of the slope, offset (1/64)."""

PARTS = 64
MIDDLE, MIDDLE_V1 = 64, 32
"""Number of the slope of the chord; the largest number is twice that, less 1."""
_STRIDE = 8
_UNIT = 1 << 16


def _slope(rise: int, part: int, steps: int, middle: int = MIDDLE) -> int:
    """Return the slope in 1/65536 of a count per step."""
    return (rise * PARTS + part - middle) * (_UNIT // PARTS) // steps


def fit(values: "Sequence[int]") -> "Ramp | None":
    """Fit the line of a counter; None if the column is not a counter."""
    steps = len(values) - 1
    rise = values[steps] - values[0]
    if steps < 8 or not rise:
        return None
    previous = values[0]
    for value in values:
        if (value < previous) if rise > 0 else (value > previous):
            return None
        previous = value
    best_part, _, _ = _search(values, rise, range(0, 2 * MIDDLE, _STRIDE))
    if best_part < 0:
        return None
    near = range(max(best_part - _STRIDE + 1, 0), min(best_part + _STRIDE, 2 * MIDDLE))
    best_part, _, offset = _search(values, rise, near)
    return rise, best_part, max(0, min(offset, PARTS - 1))


def _search(values: "Sequence[int]", rise: int, parts: range) -> "tuple[int, int, int]":
    """Return the part with the narrowest band, its width, the offset; part -1 for none.

    The width is a convex function of the slope, so a search in two steps finds the minimum.
    """
    best_part, narrowest, offset = -1, 2 * _UNIT, 0
    for part in parts:
        low, high = _residual_band(values, _slope(rise, part, len(values) - 1))
        if high - low < narrowest:
            best_part, narrowest = part, high - low
            offset = (high + low + _UNIT) * PARTS // (2 * _UNIT)
    return best_part, narrowest, offset


def _residual_band(values: "Sequence[int]", slope: int) -> "tuple[int, int]":
    """Return the lowest and the highest difference from a line through the first value."""
    start = values[0]
    at = low = high = 0
    for value in values:
        excess = ((value - start) << 16) - at
        if excess < low:
            low = excess
        elif excess > high:
            high = excess
        at += slope
        if high - low > 2 * _UNIT:
            break
    return low, high


def residuals(values: "Sequence[int]", ramp: "Ramp") -> "Iterator[int]":
    """Return the difference from the line for each value except the first."""
    rise, part, offset = ramp
    slope = _slope(rise, part, len(values) - 1)
    at = offset * (_UNIT // PARTS) - slope
    start = values[0]
    first = True
    for value in values:
        at += slope
        if first:
            first = False
            continue
        yield value - start - (at >> 16)


def restore(
    differences: "list[int]", start: int, ramp: "Ramp", middle: int = MIDDLE
) -> "list[int]":
    """Reverse `residuals`; the first of `differences` is a placeholder for the first value."""
    rise, part, offset = ramp
    slope = _slope(rise, part, len(differences) - 1, middle)
    at = offset * (_UNIT // PARTS)
    values = []
    for t, difference in enumerate(differences):
        values.append(start + difference + ((at + slope * t) >> 16) if t else start)
    return values
