# SPDX-License-Identifier: Apache-2.0
"""Impossible and false times as bytes: UTC stays as it is, or unknown.

`benchmarks.gnss.clock` counts `KINDS` too.
"""

from agent.clock.utc_clock import UtcClock
from drivers.gnss.receiver import ReceiverDriver
from protocols.calendar import civil_from_utc, utc_from_civil
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import gga, rmc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BAUD = 115_200
NOON = utc_from_civil(2026, 11, 26, 43_200 * SECOND)
MIDNIGHT = utc_from_civil(2026, 11, 27)
WEEKS = 1024 * 7 * 86_400


def sentences(
    utc_us: int, shift_s: int = 0, date: "str | None" = None, time: "str | None" = None
) -> bytes:
    """Return the sentences of a receiver at a second, with a fault."""
    year, month, day, of_day = civil_from_utc(utc_us + shift_s * SECOND)
    second = of_day // SECOND
    hms = "%02d%02d%02d.000" % (second // 3600, second // 60 % 60, second % 60)
    dmy = "%02d%02d%02d" % (day, month, year % 100)
    return rmc(time or hms, "A", "A", date or dmy) + gga(time or hms)


def shifted(seconds: int) -> "tuple[int, Callable[[int], bytes]]":
    return NOON, lambda utc: sentences(utc, seconds)


KINDS: "dict[str, tuple[int, Callable[[int], bytes]]]" = {
    "30 February": (NOON, lambda utc: sentences(utc, date="300226")),
    "31 November": (NOON, lambda utc: sentences(utc, date="311126")),
    "month 13": (NOON, lambda utc: sentences(utc, date="261326")),
    "day 0": (NOON, lambda utc: sentences(utc, date="001126")),
    "hour 25": (NOON, lambda utc: sentences(utc, time="250000.000")),
    "hour 24": (NOON, lambda utc: sentences(utc, time="240000.000")),
    "minute 60": (NOON, lambda utc: sentences(utc, time="126000.000")),
    "second 61": (NOON, lambda utc: sentences(utc, time="120061.000")),
    "a leap second in November": (NOON, lambda utc: sentences(utc, time="235960.000")),
    "1024 weeks ago": shifted(-WEEKS),
    "2048 weeks ago": shifted(-2 * WEEKS),
    "1024 weeks ahead": shifted(WEEKS),
    "BDT": shifted(4),
    "BDT, late": shifted(-4),
    "BDT as GPST": shifted(14),
    "GPST": shifted(18),
    "GPST, late": shifted(-18),
    "a second": shifted(1),
    "a second back": shifted(-1),
    "an hour": shifted(3600),
    "yesterday at midnight": (MIDNIGHT, lambda utc: sentences(utc, date="261126")),
    "tomorrow before midnight": (MIDNIGHT - 40 * SECOND, lambda utc: sentences(utc, date="271126")),
    "no date": (NOON, lambda utc: sentences(utc, date=",")),
}
"""The fault: when it begins, and the sentences at a second."""


def feed_clock(name: str, settled: bool, epochs: int = 30) -> "tuple[int, int]":
    """Feed a fault to a clock; return the number of accepted fixes and the change of UTC in us.

    `settled`: the clock had correct fixes for one minute before.
    """
    start, make_sentences = KINDS[name]
    receiver = ReceiverDriver(0, BAUD)
    clock = UtcClock(50_000, min_utc_us=NOON - 86_400 * SECOND, leap_known=True)
    receiver.raise_min_utc(clock.min_utc_us)
    mono = 0
    accepted = 0
    max_error = 0
    for i in range(-60 if settled else 0, epochs):
        utc = start + i * SECOND
        receiver.receive(sentences(utc) if i < 0 else make_sentences(utc), mono)
        before = clock.accepted
        for fix in receiver.take_fixes():
            clock.add_fix(fix)
        accepted += clock.accepted - before if i >= 0 else 0
        for tick in range(10):
            clock.slew(SECOND // 10, mono + tick * SECOND // 10)
        mono += SECOND
        clock_utc = clock.utc(mono)
        if i >= 0 and clock_utc is not None:
            max_error = max(max_error, abs(clock_utc - (utc + SECOND)))
    return accepted, max_error


def test_synced_clock_rejects_wrong_times() -> None:
    for name in KINDS:
        accepted, moved = feed_clock(name, True)
        eq((name, accepted), (name, 30 if name in ROLLOVERS else 0))  # those are corrected
        assert moved < 100_000, (name, moved)


def test_impossible_time_does_not_set_the_clock() -> None:
    for name in KINDS:
        impossible = KINDS[name][0] == NOON and name not in POSSIBLE_DATES
        if impossible:
            eq((name, feed_clock(name, False)), (name, (0, 0)))


ROLLOVERS = ("1024 weeks ago", "2048 weeks ago")
POSSIBLE_DATES = ROLLOVERS + (
    "1024 weeks ahead",
    "BDT",
    "BDT, late",
    "BDT as GPST",
    "GPST",
    "GPST, late",
    "a second",
    "a second back",
    "an hour",
)
"""A clock without a stored time cannot detect these; a week rollover is corrected."""


def test_week_rollover_is_corrected_by_min_utc() -> None:
    for name in ROLLOVERS:
        accepted, moved = feed_clock(name, False)
        eq((name, accepted > 20, moved < 100_000), (name, True, True))
