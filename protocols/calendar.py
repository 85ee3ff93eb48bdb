# SPDX-License-Identifier: Apache-2.0
"""The civil calendar in integers: dates, time of day, UTC microseconds, ISO 8601 text.

UTC is one integer here: microseconds since 1970-01-01T00:00:00Z. Every day counts 86,400 s, as in
POSIX. Does not read a clock and has no leap-second table. A leap second has its own time of day:
86,400,000,000 to 86,400,999,999 (23:59:60). As UTC microseconds it is equal to the first second of
the next day. A flag beside the integer tells them apart.

The range is years 1 to 9999 of the proleptic Gregorian calendar. A value out of range raises
`DecodeError`; the text names the part. Nothing carries over to the next day or month.

Days and dates: Howard Hinnant, `days_from_civil` and `civil_from_days` ("chrono-compatible
low-level date algorithms", 2014). An era has 400 years. A year begins in March, so that the leap
day is its last day.
"""

from protocols.errors import DecodeError
from protocols.time_units import SECOND

DAY = 86_400 * SECOND
"""Microseconds in a day without a leap second."""

_DAYS_IN_ERA = 146_097
_DAYS_TO_1970 = 719_468  # from 0000-03-01
_MONTH_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ISO_SHAPE = "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"


def is_leap_year(year: int) -> bool:
    """Return True if `year` has a 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def is_date(year: int, month: int, day: int) -> bool:
    """Return True if the calendar has this date (years 1 to 9999)."""
    if not (1 <= year <= 9999 and 1 <= month <= 12 and day >= 1):
        return False
    if month == 2 and is_leap_year(year):
        return day <= 29
    return day <= _MONTH_LENGTHS[month]


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date that `is_date` accepts; negative before 1970."""
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_IN_ERA + day_of_era - _DAYS_TO_1970


def civil_from_days(days: int) -> "tuple[int, int, int]":
    """Return (year, month, day) of a day number counted from 1970-01-01."""
    days += _DAYS_TO_1970
    era = days // _DAYS_IN_ERA
    day_of_era = days - era * _DAYS_IN_ERA
    leaps = day_of_era // 1460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leaps) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    month = march_month + 3 if march_month < 10 else march_month - 9
    year = year_of_era + era * 400
    return (year + 1 if month <= 2 else year, month, day)


def is_time(hour: int, minute: int, second: int) -> bool:
    """Return True if a UTC day can have this time; second 60 exists only at 23:59.

    A leap second is at the end of a UTC day (ITU-R TF.460-6).
    """
    if 0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59:
        return True
    return hour == 23 and minute == 59 and second == 60


def time_of_day(hour: int, minute: int, second: int, microsecond: int = 0) -> int:
    """Return the microseconds since midnight; `DecodeError` if `is_time` rejects the time."""
    if not is_time(hour, minute, second):
        raise DecodeError("no time %02d:%02d:%02d" % (hour, minute, second))
    if not 0 <= microsecond < SECOND:
        raise DecodeError("microsecond %d is not 0 to 999999" % microsecond)
    return (hour * 3600 + minute * 60 + second) * SECOND + microsecond


def utc_from_civil(year: int, month: int, day: int, time_us: int = 0) -> int:
    """Return the UTC microseconds of a date and a time of day; `DecodeError` if one does not exist.

    A `time_us` in the leap second (see `in_leap_second`) gives the integers of the next midnight.
    """
    if not is_date(year, month, day):
        raise DecodeError("no date %04d-%02d-%02d" % (year, month, day))
    if not 0 <= time_us < DAY + SECOND:
        raise DecodeError("time of day %d us" % time_us)
    return days_from_civil(year, month, day) * DAY + time_us


def civil_from_utc(utc_us: int) -> "tuple[int, int, int, int]":
    """Return (year, month, day, time of day in microseconds) of UTC microseconds since 1970."""
    days, time_us = divmod(utc_us, DAY)
    year, month, day = civil_from_days(days)
    return year, month, day, time_us


def in_leap_second(time_us: int) -> bool:
    """Return True if a time of day is in 23:59:60."""
    return time_us >= DAY


def iso8601(utc_us: int, leap: bool = False) -> str:
    """Return text such as `2026-11-25T00:53:04.250Z`, rounded down to the millisecond.

    With `leap`, the text is 23:59:60 of the day before. The instant must then be in the first
    second after midnight. A wrong `leap`, or a year out of 1 to 9999, raises `DecodeError`.
    """
    days, time_us = divmod(utc_us, DAY)
    if leap:
        if time_us >= SECOND:
            raise DecodeError("no leap second at %d us" % utc_us)
        days -= 1
        time_us += DAY
    year, month, day = civil_from_days(days)
    if not 1 <= year <= 9999:
        raise DecodeError("year %d is not 1 to 9999" % year)
    second, micros = divmod(time_us, SECOND)
    minute = min(second // 60, 1439)  # the leap second belongs to the last minute
    return _ISO_SHAPE % (
        year,
        month,
        day,
        minute // 60,
        minute % 60,
        second - minute * 60,
        micros // 1000,
    )


def parse_iso8601(text: str) -> "tuple[int, bool]":
    """Return (UTC microseconds, in a leap second) of `YYYY-MM-DDTHH:MM:SS[.f]Z`, f of 1 to 6
    digits.

    No other shape is valid: no offset, lower case, space or week date. Raises `DecodeError`.
    """
    raw = text.encode()
    well_formed = raw[4:5] + raw[7:8] + raw[10:11] + raw[13:14] + raw[16:17] + raw[-1:] == b"--T::Z"
    fraction = raw[19:-1]
    if not well_formed or len(raw) < 20 or len(raw) > 27 or len(fraction) == 1:
        raise DecodeError("%r is not YYYY-MM-DDTHH:MM:SS[.f]Z" % text)
    if fraction and fraction[:1] != b".":
        raise DecodeError("%r is not YYYY-MM-DDTHH:MM:SS[.f]Z" % text)
    parts = (raw[0:4], raw[5:7], raw[8:10], raw[11:13], raw[14:16], raw[17:19])
    for part in parts + ((fraction[1:],) if fraction else ()):
        if not part.isdigit():  # int() alone accepts "+1", " 1" and "1_0"
            raise DecodeError("%r has something else where digits belong" % text)
    year, month, day, hour, minute, second = [int(part) for part in parts]
    micros = int((fraction[1:] + b"000000")[:6])
    time_us = time_of_day(hour, minute, second, micros)
    return utc_from_civil(year, month, day, time_us), in_leap_second(time_us)
