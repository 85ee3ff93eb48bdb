# SPDX-License-Identifier: Apache-2.0
"""The kind of a column: which simpler series represents it, and back.

    PERIODIC     repeats exactly after a number of rows, which is less than three quarters of them
    DIFFERENCES  the differences change less than half as much as the values: a smooth curve
    ALTERNATING  a value is nearer to the last but one than to the last: two levels in turn
    WRAP         a counter that begins again at a modulus of the list `MODULI`

`choose` reads the values once for each kind that is possible and needs two bytes a row. Does not
code values; see `block`. A wrapped counter is unwrapped; then it is a line, a smooth curve, or any
other series.
"""

from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIES, CONSTANT, COUNTER, ABSENT, GAPS, PERIODIC, DIFFERENCES, WRAP, ALTERNATING = range(9)

MODULI = (
    256, 360, 1000, 3600, 10_000, 36_000, 65_536, 100_000, 1_000_000, 10_000_000, 100_000_000,
    1_000_000_000, 1 << 32, 1 << 24,
)  # fmt: skip
"""Counters begin again at these values. Part of the format: new ones go to the end."""
_MIN_ROWS, _MIN_PERIODIC_ROWS = 4, 12


def choose(values: "Sequence[int]", lowest: int, highest: int) -> "tuple[int, int]":
    """Return the kind of varying values and its parameter: period, index of the modulus, or 0.

    A counter is not recognised here; see `linear_counter`.
    """
    count = len(values)
    if count < _MIN_ROWS:
        return VARIES, 0
    if count >= _MIN_PERIODIC_ROWS:
        period = _shortest_period(values)
        if 4 * period < 3 * count:
            return PERIODIC, period
    changes = curvature = swings = largest = 0
    before, last, slope = values[0], values[0], 0
    for value in values:
        new_slope = value - last
        change = abs(new_slope)
        changes += change
        if change > largest:
            largest = change
        curvature += abs(new_slope - slope)
        swings += abs(value - before)
        before, last, slope = last, value, new_slope
    if 2 * largest > highest - lowest:
        modulus = _find_modulus(values, lowest, highest, changes)
        if modulus >= 0:
            return WRAP, modulus
    if 2 * curvature < changes:
        return DIFFERENCES, 0
    return (ALTERNATING, 0) if 2 * swings < changes else (VARIES, 0)


def _shortest_period(values: "Sequence[int]") -> int:
    """Return the number of rows after which all values repeat (Knuth, Morris, Pratt)."""
    count = len(values)
    borders = array("H", bytes(2 * count))
    border = 0
    for i in range(1, count):
        value = values[i]
        while border and value != values[border]:
            border = borders[border - 1]
        if value == values[border]:
            border += 1
        borders[i] = border
    return count - border


def _find_modulus(values: "Sequence[int]", lowest: int, highest: int, changes: int) -> int:
    """Return the index of the modulus at which the counter wraps, or -1."""
    for index, modulus in enumerate(MODULI):
        signed = lowest < 0
        fits = -modulus <= 2 * lowest and 2 * highest < modulus if signed else highest < modulus
        if fits and 4 * (highest - lowest) > 3 * modulus:
            unwrapped = curvature = slope = 0
            last = values[0]
            for value in values:
                new_slope = _shortest_step(value - last, modulus)
                unwrapped += abs(new_slope)
                curvature += abs(new_slope - slope)
                last, slope = value, new_slope
            if 2 * min(unwrapped, curvature) < changes:
                return 2 * index + signed
    return -1


def _shortest_step(step: int, modulus: int) -> int:
    half = modulus >> 1
    return (step + half) % modulus - half


def unwrap(values: "Sequence[int]", parameter: int) -> "array[int] | list[int]":
    """Return the counter without its wraps; begins at the first value."""
    modulus = MODULI[parameter >> 1]
    result = []
    total = last = values[0]
    for value in values:
        total += _shortest_step(value - last, modulus)
        last = value
        result.append(total)
    return result


def wrap(values: "list[int]", parameter: int) -> "list[int]":
    """Reverse `unwrap`."""
    modulus = MODULI[parameter >> 1]
    low = -(modulus >> 1) if parameter & 1 else 0
    return [(value - low) % modulus + low for value in values]


def differences(values: "Sequence[int]", lag: int) -> "Iterator[int]":
    """Return the difference from the value `lag` rows before, from the value `lag` on."""
    for i in range(lag, len(values)):
        yield values[i] - values[i - lag]


def restore(steps: "Iterator[int]", values: "list[int]", lag: int) -> "list[int]":
    """Reverse `differences`; `values` has the first `lag` values."""
    for step in steps:
        values.append(values[len(values) - lag] + step)
    return values
