"""What makes a fix one to trust, and its date one to believe: rules shared by fixes and epochs."""

from protocols import calendar

VALID_MODES = (b"A", b"D", b"F", b"P", b"R")
"""Modes that measure: not E (dead reckoning), M (manual), S (simulator), N (none)."""

MIN_UTC_US = calendar.utc_from_civil(2017, 1, 1)
"""No fix is older. Dates that are 1024 weeks too early lie before it until August 2036."""

ROLLOVER_US = 1024 * 7 * calendar.DAY
"""GPS counts weeks in ten bits; a receiver that forgot a turn is off by this."""


_RECENT_US = 2 * 366 * calendar.DAY


def undo_week_rollover(utc_us: int, min_utc_us: int) -> int:
    """The first time that is not before `min_utc_us`, whole week counter periods later.

    A date shortly before the floor (two years) is left as it is: it is no rollover but an old
    recording, and would become a date in twenty years that looks good.
    """
    if utc_us >= min_utc_us - _RECENT_US:
        return utc_us
    return utc_us + (min_utc_us - utc_us + ROLLOVER_US - 1) // ROLLOVER_US * ROLLOVER_US


def is_month_end(year: int, month: int, day: int) -> bool:
    """Whether a leap second may follow: it ends a month (ITU-R TF.460-6)."""
    return not calendar.is_date(year, month, day + 1)
