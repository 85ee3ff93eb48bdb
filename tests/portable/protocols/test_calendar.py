# SPDX-License-Identifier: Apache-2.0
"""Dates, times of day and ISO text: known instants, every day of 800 years, rejected values."""

from protocols import calendar
from protocols.errors import DecodeError
from tests.portable.support.check import eq, raises

LONG = ("test_consecutive_days",)


def test_known_dates() -> None:
    for date, days in (
        ((1970, 1, 1), 0),
        ((1969, 12, 31), -1),
        ((2000, 2, 29), 11016),
        ((2000, 3, 1), 11017),
        ((2006, 1, 1), 13149),
        ((2026, 11, 25), 20782),
        ((1, 1, 1), -719162),
        ((9999, 12, 31), 2932896),
    ):
        eq(calendar.days_from_civil(*date), days)
        eq(calendar.civil_from_days(days), date)


def test_consecutive_days() -> None:
    walk(1900, 2120)


def test_days_of_years_with_and_without_a_leap_day() -> None:
    for first in (1899, 1999, 2023, 2099):
        walk(first, first + 3)


def walk(first: int, end: int) -> None:
    """Count the days from the start of one year to the start of another."""
    year, month, day = first - 1, 12, 31
    for days in range(calendar.days_from_civil(first, 1, 1), calendar.days_from_civil(end, 1, 1)):
        if calendar.is_date(year, month, day + 1):
            day += 1
        elif month < 12:
            month, day = month + 1, 1
        else:
            year, month, day = year + 1, 1, 1
        eq(calendar.civil_from_days(days), (year, month, day))
        eq(calendar.days_from_civil(year, month, day), days)
    eq((year, month, day), (end - 1, 12, 31))


def test_invalid_dates() -> None:
    for date in (
        (2026, 2, 29),
        (2024, 2, 30),
        (1900, 2, 29),
        (2026, 4, 31),
        (2026, 13, 1),
        (2026, 0, 1),
        (2026, 1, 0),
        (2026, 1, 32),
        (0, 1, 1),
        (10000, 1, 1),
    ):
        assert not calendar.is_date(*date)
        raises(DecodeError, calendar.utc_from_civil, *date)
    assert calendar.is_date(2000, 2, 29)
    assert calendar.is_date(2024, 2, 29)


def test_time_of_day() -> None:
    eq(calendar.time_of_day(0, 0, 0), 0)
    eq(calendar.time_of_day(23, 59, 59, 999999), calendar.DAY - 1)
    eq(calendar.time_of_day(1, 2, 3, 4), 3723000004)
    for bad in (
        (24, 0, 0),
        (25, 0, 0),
        (-1, 0, 0),
        (0, 60, 0),
        (0, 0, 61),
        (23, 59, 61),
        (0, 0, 60),
        (23, 58, 60),
        (0, 0, -1),
        (0, 0, 0, 1000000),
        (0, 0, 0, -1),
    ):
        raises(DecodeError, calendar.time_of_day, *bad)


def test_leap_second_is_explicit() -> None:
    time_us = calendar.time_of_day(23, 59, 60, 250000)
    eq(time_us, calendar.DAY + 250000)
    assert calendar.in_leap_second(time_us)
    assert not calendar.in_leap_second(calendar.DAY - 1)
    utc = calendar.utc_from_civil(2016, 12, 31, time_us)
    eq(utc, 1483228800250000)
    eq(calendar.iso8601(utc, True), "2016-12-31T23:59:60.250Z")
    eq(calendar.iso8601(utc), "2017-01-01T00:00:00.250Z")
    eq(calendar.parse_iso8601("2016-12-31T23:59:60.250Z"), (utc, True))
    eq(calendar.parse_iso8601("2017-01-01T00:00:00.250Z"), (utc, False))
    raises(DecodeError, calendar.iso8601, utc + 1000000, True)
    raises(DecodeError, calendar.utc_from_civil, 2016, 12, 31, calendar.DAY + 1000000)


def test_utc_and_back() -> None:
    eq(calendar.utc_from_civil(2026, 11, 25, 3723000004), 1795568523000004)
    eq(calendar.civil_from_utc(1795568523000004), (2026, 11, 25, 3723000004))
    eq(calendar.civil_from_utc(-1), (1969, 12, 31, calendar.DAY - 1))


def test_iso_text() -> None:
    eq(calendar.iso8601(0), "1970-01-01T00:00:00.000Z")
    eq(calendar.iso8601(1795568523004999), "2026-11-25T01:02:03.004Z")
    eq(calendar.iso8601(-1), "1969-12-31T23:59:59.999Z")
    eq(calendar.parse_iso8601("2026-11-25T01:02:03Z"), (1795568523000000, False))
    eq(calendar.parse_iso8601("2026-11-25T01:02:03.5Z"), (1795568523500000, False))
    eq(calendar.parse_iso8601("2026-11-25T01:02:03.000004Z"), (1795568523000004, False))
    seed = 1
    for _ in range(500):
        seed = (seed * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        utc = seed % (4102444800 * 1000) * 1000  # 1 ms before 2100
        eq(calendar.parse_iso8601(calendar.iso8601(utc)), (utc, False))
    raises(DecodeError, calendar.iso8601, 1 << 62)


def test_invalid_iso_text() -> None:
    for text in (
        "",
        "Z",
        "2026-11-25",
        "2026-11-25T01:02:03",
        "2026-11-25T01:02:03z",
        "2026-11-25 01:02:03Z",
        "2026-11-25T01:02:03.Z",
        "2026-11-25T01:02:03,5Z",
        "2026-11-25T01:02:03.0000004Z",
        "2026-11-25T01:02:03+00:00",
        "2026-11-25T01:02:+3Z",
        "2026-11-25T01:02: 3Z",
        "2026-11-25T01:02:1_Z",
        "2026-11-25T01:02:03.1_0Z",
        "2026-02-30T01:02:03Z",
        "2026-11-25T25:02:03Z",
        "2026-11-25T01:02:61Z",
        "2026-11-25T01:02:60Z",
        "26-11-25T01:02:03.000Z",
        "-026-11-25T01:02:03Z",
        "2026-11-25T01:02:0\u0663Z",
    ):
        raises(DecodeError, calendar.parse_iso8601, text)
