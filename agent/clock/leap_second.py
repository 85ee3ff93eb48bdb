"""Whole seconds: is the label UTC at all, and of this decade?

Not about fractions: those are `agent.clock.oscillator`'s. A receiver that was switched on cold
prints a time from satellite time and the leap seconds that its firmware knows. The satellites send
the right number once in 12.5 minutes, so until then the label may be wrong by whole seconds, and
says so. Signatures (BeiDou time has no leap seconds since 2006, GPS time none since 1980; UTC as of
2017): one that prints BDT is 4 s ahead, one that takes BDT for GPST 14 s off, one that prints GPST
18 s. A GPS week counts to 1024: a date 1024 weeks early is before the floor that was kept.
"""

from protocols.calendar import civil_from_utc, utc_from_civil
from protocols.time_units import SECOND

UNCERTAIN_FOR = 780 * SECOND
"""12.5 minutes, in which GPS sends its leap seconds once, and 30 s, its frame (IS-GPS-200)."""
UNCERTAIN_BOUND = 19 * SECOND
"""The largest signature and a second: no more can a label be off while it is uncertain."""
MAX_STEP_S = 18
LEAP_S = 18
"""GPS time is ahead of UTC by so many seconds since 1 January 2017 (IERS Bulletin C 52)."""
BDT_BEHIND_GPST = 14
_GAP = 10 * SECOND
"""No receiver has a fix so soon after a cold start: a frame with its ephemeris takes longer."""


def whole_seconds(step_us: int, tolerance_us: int) -> int:
    """Seconds of a step that is whole seconds within the tolerance, else 0."""
    seconds = (step_us + SECOND // 2) // SECOND
    return seconds if abs(step_us - seconds * SECOND) <= tolerance_us else 0


def time_scale_name(step_us: int, tolerance_us: int, leap_s: int = LEAP_S) -> "str | None":
    """Name the time scale that explains a step while GPS time is `leap_s` ahead, or None."""
    seconds = abs(whole_seconds(step_us, tolerance_us))
    names = {BDT_BEHIND_GPST: "BDT as GPST", leap_s - BDT_BEHIND_GPST: "BDT", leap_s: "GPST"}
    return names.get(seconds)


def may_have_leap_second(utc_us: int) -> bool:
    """Whether a leap second may just have been: first hour of 1 January or 1 July (ITU-R TF.460).

    A label that has not seen the leap is a second ahead, which the hour covers.
    """
    _, month, day, of_day = civil_from_utc(utc_us)
    return day == 1 and month in (1, 7) and of_day < 3600 * SECOND


def next_month(utc_us: int) -> int:
    """The first midnight after `utc_us` before which there may be a leap second (ITU-R TF.460)."""
    year, month, _, _ = civil_from_utc(utc_us)
    return utc_from_civil(year + month // 12, month % 12 + 1, 1)


class LeapSecondTracker:
    """Whether the leap seconds are known: not before `UNCERTAIN_FOR` of tracking in one piece.

    After a gap the count starts anew: the receiver may have missed the one message, or may have
    been started cold, and then the fixes from before tell nothing of what it knows now.

    `known`: the label can be checked otherwise, as by a UTC kept from before the restart.

    At the end of a month a second may be put in. From the label's `month_end_us` + 1 s on nobody
    knows whether it was, until a fix has been believed that is later than that: the month's *turn*
    is open, and the bound a second wider. `second_60_seen`: 23:59:60 was seen, and the label has
    still to follow; `applied`: it has.
    """

    def __init__(self, known: bool) -> None:
        self.uncertain = not known
        self.leap_s = LEAP_S
        """By how many seconds GPS time is ahead of UTC, as far as was seen."""
        self.month_end_us = 0
        self.second_60_seen = self.applied = False
        self._since = 0
        self._last: int | None = None

    def max_step_s(self, utc_us: int) -> int:
        """By how many seconds the label may move at the time that a fix names."""
        if self.uncertain:
            return MAX_STEP_S
        return 1 if may_have_leap_second(utc_us) else 0

    def expect_month_end(self, utc_us: int) -> None:
        """Wait for the end of the month of `utc_us`."""
        self.month_end_us = next_month(utc_us)
        self.second_60_seen = self.applied = False

    def is_leap_possible(self, latest_us: int) -> bool:
        """Whether a leap second may have gone by unseen, when UTC is `latest_us` at most."""
        return self.second_60_seen or self.applied or latest_us >= self.month_end_us + SECOND

    def confirm(self, utc_us: int) -> None:
        """Take the time of a fix that agrees with the label: after the turn it closes it."""
        if not self.second_60_seen and utc_us >= self.month_end_us + (
            0 if self.applied else SECOND
        ):
            self.expect_month_end(utc_us)

    def track(self, now: int) -> None:
        """Take the time of a believed fix."""
        if self._last is None or now - self._last > _GAP:
            self._since = now
        self._last = now
        if now - self._since >= UNCERTAIN_FOR:
            self.uncertain = False
