# SPDX-License-Identifier: Apache-2.0
"""Whole seconds of UTC: leap seconds, and time scales that a receiver reports as UTC by mistake.

Does not handle fractions of a second; see `agent.clock.estimate.oscillator`.

After a cold start a receiver derives UTC from satellite time and the leap seconds in its firmware.
GPS sends the right number once in 12.5 minutes. Until then UTC can be wrong by whole seconds, and
the clock reports that. Typical errors (BeiDou time has had no leap seconds since 2006, GPS time
none since 1980; UTC as of 2017): output of BDT is 4 s ahead, BDT taken for GPST is 14 s off, output
of GPST is 18 s ahead. GPS weeks count to 1024: a date that is 1024 weeks early is before the
earliest valid UTC.
"""

from protocols.calendar import civil_from_utc, utc_from_civil
from protocols.time_units import SECOND

UNCERTAIN_FOR = 1_560 * SECOND
"""GPS sends its leap seconds once in 12.5 minutes, plus its frame of 30 s (IS-GPS-200). A receiver
can miss one page, so two are awaited."""
UNCERTAIN_BOUND = 19 * SECOND
"""The largest error of an uncertain UTC: the largest known error plus one second."""
_STATED_AFTER_US = 60 * SECOND
"""Receivers repeat the count each second to each minute."""
MAX_STEP_S = 18
LEAP_S = 18
"""GPS time minus UTC since 1 January 2017, in s (IERS Bulletin C 52)."""
BDT_BEHIND_GPST = 14
_GAP_US = 10 * SECOND
"""A cold start without a fix is longer than this: the receiver needs a frame with the ephemeris."""
_CONFIRM_FOR_US = 86_400 * SECOND
"""Nothing but an independent source tells a leap second from a false one. As in every other
contradiction the former time stays in the bound for a day (`agent.clock.estimate.time_source`)."""


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

    A leap second is possible at the end of a month. From one second before it (a negative one) it
    is unknown whether UTC steps, until a later fix is accepted. Until then the error bound is one
    second wider. At the end of June and December fixes must agree for `UNCERTAIN_FOR`, because a
    receiver can have missed the message. `second_60_seen`: 23:59:60 was received. `applied`: UTC
    has stepped. After either, fixes must agree for `_CONFIRM_FOR_US`, because a receiver can send a
    false 23:59:60. The seconds before each step are in the bound. An independent source ends these
    waits (`agrees`).
    """

    def __init__(self, known: bool) -> None:
        self.uncertain = not known
        self.leap_s = LEAP_S
        """GPS time minus UTC in s, as observed."""
        self.month_end_us = 0
        self.second_60_seen = self.applied = False
        self._last_second_seen = False
        self._agreed_since = 0
        self._low_s = self._high_s = 0
        """Seconds of UTC before steps that are not confirmed, relative to UTC."""
        self._is_suspect_kept = False
        self._since = 0
        self._last: int | None = None

    def is_suspect(self) -> bool:
        """Return whether 23:59:60, a step by a second or its absence is not confirmed yet."""
        return self.second_60_seen or self.applied or self._agreed_since != 0

    def restore(self, leap_s: int, is_suspect: bool) -> None:
        """Set GPS time minus UTC, s, as stored.

        `is_suspect`: the last start had not confirmed the second; the wait of a day begins again.
        """
        self.leap_s = leap_s
        if is_suspect:
            self._is_suspect_kept = self.applied = True
            self._low_s, self._high_s = -1, 1

    def set_known(self) -> None:
        """The leap seconds are known."""
        self.uncertain = False

    def wait_again(self) -> None:
        """The receiver has stepped by whole seconds: its count is as new as after a cold start."""
        self._last = None

    def agrees(self, utc_us: int) -> None:
        """An independent source agrees with UTC, `utc_us`, to less than half a second."""
        self.uncertain = False
        if self._is_suspect_kept or utc_us >= self.month_end_us + 2 * SECOND:
            self._is_suspect_kept = False
            self.expect_month_end(utc_us)

    def on_second_60(self) -> None:
        """Handle 23:59:60: UTC must step when this second is over."""
        self.second_60_seen = True

    def is_step_due(self, utc_us: int) -> bool:
        """Return whether UTC must step at `utc_us` (UTC of the clock): 23:59:60 is over.

        Only at the end of June and December; at the end of another month the next fixes decide.
        """
        if not self.second_60_seen or self.applied or utc_us < self.month_end_us + SECOND:
            return False
        return self._is_usual_month()

    def _is_usual_month(self) -> bool:
        """Return whether the month is June or December, which have had all leap seconds."""
        return civil_from_utc(self.month_end_us)[1] in (1, 7)

    def on_applied(self, seconds: int = -1) -> None:
        """Handle a step of UTC by one second at the end of a month; `seconds`: -1 or 1."""
        self.second_60_seen, self.applied = False, True
        self._agreed_since = 0
        self._low_s = min(self._low_s - seconds, 0)
        self._high_s = max(self._high_s - seconds, 0)

    def set_leap_s(self, leap_s: int) -> None:
        """Set GPS time minus UTC, s."""
        self.leap_s = leap_s

    def state_leap_s(self, leap_s: int, utc_us: int) -> None:
        """The receiver has a count from satellites, stated a minute after the end of a month.

        If it is that of UTC, the receiver missed no message. It does not confirm a step: satellites
        and count can be false together.
        """
        is_waiting = self.is_suspect() and not self.second_60_seen and not self.applied
        if is_waiting and leap_s == self.leap_s and utc_us >= self.month_end_us + _STATED_AFTER_US:
            self.expect_month_end(utc_us)

    def max_step_s(self, utc_us: int) -> int:
        """Return the largest step of UTC at the time of a fix, in s."""
        if self.uncertain:
            return MAX_STEP_S
        return 1 if may_have_leap_second(utc_us) else 0

    def expect_month_end(self, utc_us: int) -> None:
        """Set `month_end_us` to the end of the month of `utc_us`."""
        self.month_end_us = next_month(utc_us)
        self.second_60_seen = self._last_second_seen = False
        self.applied = self._is_suspect_kept
        self._low_s, self._high_s = (-1, 1) if self.applied else (0, 0)
        self._agreed_since = 0

    def is_leap_possible(self, latest_us: int) -> bool:
        """Return whether a leap second may have passed unseen. `latest_us`: latest possible UTC."""
        if self.second_60_seen or self.applied:
            return True
        return latest_us >= self.month_end_us + (SECOND if self._last_second_seen else -SECOND)

    def error_us(self, latest_us: int) -> int:
        """Return the possible error of UTC in whole seconds, µs."""
        if self.uncertain:
            return UNCERTAIN_BOUND
        if not self.is_leap_possible(latest_us):
            return 0
        return max(1, self._high_s, -self._low_s) * SECOND

    def confirm(self, utc_us: int, now: int) -> None:
        """Handle the time of a fix that agrees. After the end of a month it confirms UTC."""
        since_end = utc_us - self.month_end_us
        if -SECOND <= since_end < 0 and not self._is_usual_month():
            self._last_second_seen = True
        wait = self._confirm_wait(since_end)
        if wait is None:
            return
        if not self._agreed_since:
            self._agreed_since = now
        if now - self._agreed_since < wait:
            return
        self._is_suspect_kept = False
        self.expect_month_end(utc_us)

    def _confirm_wait(self, since_end: int) -> "int | None":
        """Return how long fixes must agree, µs; None: a fix at this time confirms nothing."""
        if self.applied or self.second_60_seen:
            return _CONFIRM_FOR_US if since_end >= 0 or self._is_suspect_kept else None
        if since_end < SECOND:
            return None
        return UNCERTAIN_FOR if self._is_usual_month() else 0

    def track(self, now: int, period: int = SECOND) -> None:
        """Handle the time of an accepted fix. `period`: usual time between fixes, µs."""
        if self._last is None or now - self._last > max(_GAP_US, 3 * period):
            self._since = now
        self._last = now
        if now - self._since >= UNCERTAIN_FOR:
            self.uncertain = False
