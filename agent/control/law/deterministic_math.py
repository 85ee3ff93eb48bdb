# SPDX-License-Identifier: Apache-2.0
"""Exponential, logarithm and power from the four basic operations.

Not fast: for tables, not for each tick. The C libraries behind `math` and `**` differ in the last
bit between builds. These functions have the same result everywhere. So two interpreters (and a
board) send the same register count to an actuator. The relative error is below 1e-13 for |exponent|
<= 50. Method: reduction by powers of two, then the Taylor series of exp and the series of the
inverse hyperbolic tangent (Abramowitz and Stegun, 4.2.1 and 4.1.27).
"""

_LN2 = 6931471805599453 / 10000000000000000


def exp(x: float) -> float:
    """Return e to the power of `x`, for `x` from -700 to 700."""
    n = int(x / _LN2 + (0.5 if x >= 0 else -0.5))
    r = x - n * _LN2
    term = total = 1.0
    for i in range(1, 16):
        term = term * r / i
        total += term
    factor = 2.0 if n >= 0 else 0.5
    for _ in range(n if n >= 0 else -n):
        total *= factor
    return total


def log(x: float) -> float:
    """Return the natural logarithm of `x` > 0. Raises `ValueError` if `x` is not above 0."""
    if not x > 0:
        raise ValueError("a logarithm needs a number above 0")
    n = 0
    while x > 1.5:
        x *= 0.5
        n += 1
    while x < 0.75:
        x *= 2.0
        n -= 1
    y = (x - 1.0) / (x + 1.0)
    square = y * y
    term, total = y, 0.0
    for i in range(1, 40, 2):
        total += term / i
        term *= square
    return 2.0 * total + n * _LN2


def pow_det(base: float, exponent: float) -> float:
    """Return `base` (0 or more) to the power of `exponent`."""
    return exp(exponent * log(base)) if base > 0 else 0.0


def sqrt_det(x: float) -> float:
    """Return the square root of `x` (0 or more)."""
    return x**0.5 if x > 0 else 0.0
