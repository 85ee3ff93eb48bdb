# SPDX-License-Identifier: Apache-2.0
"""Helpers for the portable tests, where pytest is not there to help."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EPSILON = 1.2e-7 if float(16_777_217) == 16_777_216.0 else 2.3e-16
"""Half of the relative resolution of a float of this interpreter: 32 or 64 bits."""


def eq(got: object, expected: object) -> None:
    """Assert that two values are equal, and show both when they are not."""
    assert got == expected, "got %r, want %r" % (got, expected)


def near(got: float, expected: float, tolerance: float, roundings: int = 16) -> None:
    """Assert that two floats differ by at most `tolerance` and some roundings."""
    limit = tolerance + roundings * EPSILON * max(abs(got), abs(expected))
    assert -limit < got - expected < limit, "got %r, want %r" % (got, expected)


def raises(kind: "type[Exception]", call: "Callable[..., object]", *args: object) -> Exception:
    """Assert that `call(*args)` raises `kind`, and return what it raised."""
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError("%s not raised" % kind.__name__)
