# SPDX-License-Identifier: Apache-2.0
"""Rules for a usable fix and its date; shared by `receiver` (fixes) and `epoch`."""

from protocols import calendar

VALID_MODES = (b"A", b"D", b"F", b"P", b"R")
"""Measuring modes: not E (dead reckoning), M (manual), S (simulator), N (none)."""

MIN_UTC_US = calendar.utc_from_civil(2017, 1, 1)
"""The minimum UTC of a fix. Dates that are 1024 weeks too early are below it until August 2036."""

RELEASE_UTC_US = calendar.utc_from_civil(2026, 10, 1)
"""Before the release of this version: no controller runs it earlier, so such a date is false."""

ROLLOVER_US = 1024 * 7 * calendar.DAY
"""GPS counts weeks in ten bits; a receiver that misses a rollover is wrong by this."""


_RECENT_US = 2 * 366 * calendar.DAY


def undo_week_rollover(utc_us: int, min_utc_us: int) -> int:
    """Return `utc_us` plus the minimum number of rollover periods that reaches `min_utc_us`.

    A date up to two years before `min_utc_us` stays unchanged. It is from an old recording; a
    correction would give a plausible date 20 years later.
    """
    if utc_us >= min_utc_us - _RECENT_US:
        return utc_us
    return utc_us + (min_utc_us - utc_us + ROLLOVER_US - 1) // ROLLOVER_US * ROLLOVER_US


def is_month_end(year: int, month: int, day: int) -> bool:
    """Return True if the date ends a month, so that a leap second can follow (ITU-R TF.460-6)."""
    return not calendar.is_date(year, month, day + 1)


def isqrt(square: int) -> int:
    """Return the integer square root, by Newton's method; without floats, equal on all boards."""
    if square <= 0:
        return 0
    guess = square
    next_guess = (square + 1) // 2
    while next_guess < guess:
        guess = next_guess
        next_guess = (guess + square // guess) // 2
    return guess
