# SPDX-License-Identifier: Apache-2.0
"""Whole seconds of UTC: leap seconds, and time scales that a receiver reports as UTC by mistake.

Does not handle fractions of a second; see `agent.clock.oscillator`.

After a cold start a receiver derives UTC from satellite time and the leap seconds in its firmware.
GPS sends the right number once in 12.5 minutes. Until then UTC can be wrong by whole seconds, and
the clock reports that. Typical errors (BeiDou time has had no leap seconds since 2006, GPS time
none since 1980; UTC as of 2017): output of BDT is 4 s ahead, BDT taken for GPST is 14 s off, output
of GPST is 18 s ahead. GPS weeks count to 1024: a date that is 1024 weeks early is before the
earliest valid UTC.
"""

from protocols.calendar import civil_from_utc, utc_from_civil
from protocols.time_units import SECOND

UNCERTAIN_FOR = 780 * SECOND
"""GPS sends its leap seconds once in 12.5 minutes, plus its frame of 30 s (IS-GPS-200)."""
UNCERTAIN_BOUND = 19 * SECOND
"""The largest error of an uncertain UTC: the largest known error plus one second."""
MAX_STEP_S = 18
LEAP_S = 18
"""GPS time minus UTC since 1 January 2017, in s (IERS Bulletin C 52)."""
BDT_BEHIND_GPST = 14
_GAP = 10 * SECOND
"""A cold start without a fix is longer than this: the receiver needs a frame with the ephemeris."""


def whole_seconds(step_us: int, tolerance_us: int) -> int:
    """Return the whole seconds of a step, 0 if it is not whole within the tolerance."""
    seconds = (step_us + SECOND // 2) // SECOND
    return seconds if abs(step_us - seconds * SECOND) <= tolerance_us else 0


def time_scale_name(step_us: int, tolerance_us: int, leap_s: int = LEAP_S) -> "str | None":
    """Name the time scale that explains a step while GPS time is `leap_s` ahead, or None."""
    seconds = abs(whole_seconds(step_us, tolerance_us))
    names = {BDT_BEHIND_GPST: "BDT as GPST", leap_s - BDT_BEHIND_GPST: "BDT", leap_s: "GPST"}
    return names.get(seconds)


def may_have_leap_second(utc_us: int) -> bool:
    """Return whether a leap second may just have passed: first hour of 1 January or 1 July (ITU-R
    TF.460).

    A clock that missed it is one second ahead; the hour covers that.
    """
    _, month, day, of_day = civil_from_utc(utc_us)
    return day == 1 and month in (1, 7) and of_day < 3600 * SECOND


def next_month(utc_us: int) -> int:
    """Return the next midnight after `utc_us` with a possible leap second (ITU-R TF.460)."""
    year, month, _, _ = civil_from_utc(utc_us)
    return utc_from_civil(year + month // 12, month % 12 + 1, 1)


class LeapSecondTracker:
    """Tracks whether the leap seconds are known, which takes `UNCERTAIN_FOR` of uninterrupted
    fixes.

    After a gap the time starts again: the receiver may have missed the message or had a cold start.
    `known`: UTC can be checked otherwise, for example by a stored UTC.

    A leap second is possible at the end of a month. From `month_end_us` + 1 s on it is unknown
    whether one was inserted, until a later fix is accepted. Until then the error bound is one
    second wider. `second_60_seen`: 23:59:60 was received, and UTC must still step. `applied`: UTC
    has stepped.
    """

    def __init__(self, known: bool) -> None:
        self.uncertain = not known
        self.leap_s = LEAP_S
        """GPS time minus UTC in s, as observed."""
        self.month_end_us = 0
        self.second_60_seen = self.applied = False
        self._since = 0
        self._last: int | None = None

    def set_known(self) -> None:
        """The leap seconds are known."""
        self.uncertain = False

    def on_second_60(self) -> None:
        """Handle 23:59:60: UTC must step when this second is over."""
        self.second_60_seen = True

    def on_applied(self) -> None:
        """Handle the step of UTC after 23:59:60."""
        self.second_60_seen, self.applied = False, True

    def set_leap_s(self, leap_s: int) -> None:
        """Set GPS time minus UTC, s."""
        self.leap_s = leap_s

    def max_step_s(self, utc_us: int) -> int:
        """Return the largest step of UTC at the time of a fix, in s."""
        if self.uncertain:
            return MAX_STEP_S
        return 1 if may_have_leap_second(utc_us) else 0

    def expect_month_end(self, utc_us: int) -> None:
        """Set `month_end_us` to the end of the month of `utc_us`."""
        self.month_end_us = next_month(utc_us)
        self.second_60_seen = self.applied = False

    def is_leap_possible(self, latest_us: int) -> bool:
        """Return whether a leap second may have passed unseen. `latest_us`: latest possible UTC."""
        return self.second_60_seen or self.applied or latest_us >= self.month_end_us + SECOND

    def confirm(self, utc_us: int) -> None:
        """Handle the time of a fix that agrees. After the end of a month it confirms UTC."""
        if not self.second_60_seen and utc_us >= self.month_end_us + (
            0 if self.applied else SECOND
        ):
            self.expect_month_end(utc_us)

    def track(self, now: int) -> None:
        """Handle the time of an accepted fix."""
        if self._last is None or now - self._last > _GAP:
            self._since = now
        self._last = now
        if now - self._since >= UNCERTAIN_FOR:
            self.uncertain = False
