"""UTC from the controller's monotonic clock, the receiver's fixes and its pulses.

It takes the fixes that the receiver's driver calls valid, and believes them only as far as they
agree with each other, with the site and with the oscillator.

How it works. UTC = monotonic time + offset. Two lines of that offset are learned
(`agent.clock.oscillator`): a *coarse* one from the arrival of sentences, a *fine* one from pulses,
each married to the fix that names its second. The first `CONSISTENT_COUNT` fixes that agree set the
label once; from then on the offset is slewed towards the better line by at most 1 % of a period a
tick, so that no step ever reaches a control loop. Only while the leap seconds are not known, and at
a leap second, may the label step, by whole seconds: ticks lie at the same places in every second.

A fix that is off by a time that no delay explains, or away from the site, is refused at once. A
block of samples that leaves its line faster than temperature moves the oscillator is refused too;
what the last blocks taught is forgotten, and that source stays refused until it agrees again.

States: free (never set), sync, holdover (nothing believable for `_FIX_TIMEOUT`), untrusted
(something was refused, and not yet `CONSISTENT_COUNT` good fixes since). The bound is a sum: what a
line's samples leave open, what a lie may move before it is seen, what is still to be slewed, what
the oscillator may have done since the line's last block (`agent.clock.holdover`).
"""

from agent.clock.evidence import EvidenceLog
from agent.clock.holdover import Holdover
from agent.clock.leap_second import UNCERTAIN_BOUND, LeapSecondTracker, whole_seconds
from agent.clock.oscillator import FittedLine, OffsetFit, isqrt
from agent.clock.position_check import PositionCheck
from agent.clock.time_source import CONSISTENT_COUNT, TimeSource
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.kept_time import KeptTime
    from drivers.gnss.receiver import Fix

_FIX_TIMEOUT = 3 * SECOND
_TOLERANCE = 200 * MILLISECOND
"""Arrival of a sentence wobbles by up to 170 ms on some receivers (gpsd-time-service-howto)."""
_MAX_LATE = 900 * MILLISECOND
"""A sentence later than `_TOLERANCE` but not than this was held up: not used, no lie when alone."""
_LATENCY_ALLOWANCE_NS = 10_000_000
"""What a receiver's real latency may differ from the mean that its configuration states."""
_JITTER_NS = 25_000_000
"""Assumed spread of the sentences' arrival."""
_ASSOCIATION_WINDOW = 400 * MILLISECOND
_SLEW_DIVISOR = 100
_SIGMAS = 6
_NS = 1_000
_ROLLOVER = ("week rollover",)
_SECOND_60 = ("leap second",)
_MAX_OFF_TIME = 10 * 366 * 86_400 * SECOND
"""A date put right for a rollover may lie so long after the last UTC that was kept, no longer."""


class UtcClock:
    """UTC with a state and a bound.

    `drift_ppb`: how far the controller's oscillator may be off; `tempco_ppb`: how much its
    frequency changes with a degree, both parts per billion. `min_utc_us`: no UTC before it is
    believed. `leap_known`: the receiver's leap seconds are known to be right. `site_e7` and
    `radius_m`: see `agent.clock.evidence.PositionCheck`.

    `failed_checks` names the checks that refused something since the clock was last trusted, and
    `failed_signal_checks` how many votes make the signals suspect (`set_failed_signals`).
    """

    def __init__(
        self,
        drift_ppb: int,
        tempco_ppb: int = 1_000,
        min_utc_us: int = 0,
        leap_known: bool = False,
        site_e7: "tuple[int, int] | None" = None,
        radius_m: int = 100,
    ) -> None:
        self.drift_ppb = drift_ppb
        self.offset: int | None = None
        self.accepted = self.rejected = self.late = self.whole_second_steps = 0
        self.pulses = self.associated_pulses = 0
        self.failed_checks: list[str] = []
        self.failed_signal_checks = 0
        self.evidence_log = EvidenceLog()
        self.position_check = PositionCheck(site_e7, radius_m)
        self.leap = LeapSecondTracker(leap_known)
        self.holdover = Holdover(drift_ppb, tempco_ppb)
        self.min_utc_us = min_utc_us
        self.time_record: KeptTime | None = None
        self.rate_ppt = 0
        self.rate_skew_ppb = drift_ppb
        """The oscillator's rate before it is measured, and how far that may be off."""
        self.last_reference: tuple[int, int, int] | None = None
        self.disagreements = self.disagreement_us = 0
        self.confirmed_us = 0
        """No UTC before it is possible: a witness agreed."""
        nmea = OffsetFit(16, 64, 4, 2)
        self.nmea = TimeSource(nmea, self.holdover, ((0, 0),), 2_000_000, 16, 0, 8)
        pps = OffsetFit(8, 64, 1, 0)
        self.pps = TimeSource(pps, self.holdover, ((16, 4), (24, 16)), 1_000, 8, 8, 8)
        self._base = 0
        self._first_fixes: list[tuple[int, int]] = []
        self._level_fit = FittedLine(0, 0, 0, 0, 0, 0)
        self._target_fit = self._level_fit
        self._source: TimeSource | None = None
        self._last_good = self._last_pulse = 0
        self._good_count = self._late_count = 0
        self._untrusted = False
        self._step_count = 0
        self._step_s = 0
        self._pending_pulse: int | None = None
        self._rate_ppt = 0
        self._anchor = 0
        self._offset_ns = 0
        self._err_ns = 0

    def add_temperature(self, centi_c: int, now: int) -> None:
        """Take the temperature near the oscillator, hundredths of a degree Celsius."""
        self.holdover.add_temperature(centi_c, now)

    def set_failed_signals(self, count: int) -> None:
        """Take how many checks of the signals fail (`agent.gnss.component`); 0: believe fixes."""
        self.failed_signal_checks = count

    def cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> "bool | None":
        """Take another clock's word, such as a modem's network time; see `agent.clock.cross_check`.

        It was `utc_us`, give or take `uncertainty_us`, at the monotonic `now`. True: it agrees;
        False: it does not; None: there was nothing to compare with.
        """
        from agent.clock.cross_check import check_reference  # noqa: PLC0415 - most units have no witness

        return check_reference(self, utc_us, uncertainty_us, now)

    def raise_min_utc(self, utc_us: int, now: int) -> None:
        """Believe no UTC before `utc_us` from now on; an older label is forgotten."""
        self.min_utc_us = max(self.min_utc_us, utc_us)
        clock_utc = self.utc(now)
        if clock_utc is not None and clock_utc < self.min_utc_us:
            self.reset()
            self.reject("floor", now, clock_utc - self.min_utc_us, 0)

    def reset(self) -> None:
        """Be free again, as at the start: the next fixes that agree set the label."""
        self.offset = None
        self._first_fixes = []
        self.nmea.restart()
        self.pps.restart()
        self._source = None
        self._untrusted = False
        self.failed_checks = []
        self.disagreements = self.disagreement_us = 0

    def set_from_cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> None:
        """Set the label by a witness alone: holdover from the start."""
        self._base = utc_us - now
        self._level_fit = FittedLine(now, 0, 0, self.rate_ppt, 0, 0)
        self._target_fit = self._level_fit
        self._err_ns = uncertainty_us * _NS
        self._last_good = now - _FIX_TIMEOUT - 1
        self._set_utc(now)
        if uncertainty_us < SECOND // 2:
            self.leap.uncertain = False

    def clear_rejection(self) -> None:
        """Take back what a source was convicted of, and learn it anew; for a person to ask."""
        self.disagreements = self.disagreement_us = 0
        for source in (self.nmea, self.pps):
            if source.source_rejected:
                source.restart()

    # What arrives.

    def add_fix(self, fix: "Fix") -> bool:
        """Take one fix; return whether it was believed."""
        utc_us, now = fix.utc_us, fix.mono_us
        if utc_us is None or not (fix.valid or fix.reasons in (_ROLLOVER, _SECOND_60)):
            return False
        if self.failed_signal_checks:
            return self.reject("signals", now, self.failed_signal_checks, 1)
        margin = utc_us - self.min_utc_us
        if margin < 0 or (self.time_record is not None and fix.reasons and margin > _MAX_OFF_TIME):
            return self.reject("floor", now, margin, 0)
        distance = self.position_check.distance_m(fix)
        if distance > self.position_check.radius_m:
            return self.reject("position", now, distance, self.position_check.radius_m)
        if fix.line_overloaded or fix.reasons == _SECOND_60:
            return self._take_unusable_fix(fix.line_overloaded, utc_us, now)
        if self.leap.second_60_seen:
            self._apply_leap_second(now + _TOLERANCE)
        measured = utc_us - now
        if self.offset is None:
            return self._add_first_fix(measured, now)
        # Against other sentences, not pulses: a latency that is not configured is no lie.
        fit = self.nmea.fit or self._level_fit
        residual = (
            measured - self._base - (fit.level + fit.slope * (now - fit.t) // 1_000_000_000) // _NS
        )
        allowed = _TOLERANCE
        if now - self._last_good > _FIX_TIMEOUT:
            allowed += self._bound_ns(now) // _NS if not self._untrusted else 0
        if -allowed <= residual <= allowed:
            self._accept_fix(measured, now)
            return True
        return self._check_step(residual, now, allowed, utc_us)

    def add_pulse(self, now: int) -> None:
        """Take a pulse, the start of some UTC second, whose edge was at `now`."""
        self.pulses += 1
        fit = self.pps.fit
        if fit is not None:
            # The nearest second by the fine line: how far is the edge from it?
            utc_ns = (now + self._base) * _NS + fit.at(now) + self.pps.temp_drift_ns(now)
            residual = (utc_ns + 500_000_000) % 1_000_000_000 - 500_000_000
            limit = 20_000 + self.pps.open_error_ns(now)
            if abs(residual) > limit:
                self.reject("pulse", now, residual // _NS, limit // _NS)
                return
        self._pending_pulse = now

    def _add_first_fix(self, measured: int, now: int) -> bool:
        first_fixes = self._first_fixes
        if first_fixes and abs(measured - first_fixes[-1][1]) > _TOLERANCE:
            self._first_fixes = first_fixes = []
            self.rejected += 1
        first_fixes.append((now, measured))
        self.accepted += 1
        self._last_good = now
        self.leap.track(now)
        if len(first_fixes) < CONSISTENT_COUNT:
            return True
        self.failed_checks = []
        self._base = first_fixes[0][1]
        for t, m in first_fixes:
            self.nmea.offset_fit.add(t, (m - self._base) * _NS)
        self._fit_level(now)
        self._set_utc(now)
        if self.time_record is not None and self.time_record.monotonic_continued(
            self._base + now, now
        ):
            self.leap.uncertain = False
        return True

    def _set_utc(self, now: int) -> None:
        self._anchor = now
        self._offset_ns = self._target_fit.at(now)
        self.offset = self._base + self._offset_ns // _NS
        self.leap.expect_month_end(now + self.offset)

    def _take_unusable_fix(self, line_overloaded: bool, utc_us: int, now: int) -> bool:
        """Take a fix of a line that cannot keep up, which is late by nobody knows what: not used.

        Or a 23:59:60: the label follows when that second is over.
        """
        if line_overloaded:
            self.late += 1
            return False
        clock_utc, leap = self.utc(now), self.leap
        if clock_utc is None or leap.uncertain or self._untrusted or leap.applied:
            return False
        at_month_end = 0 <= utc_us - leap.month_end_us < SECOND
        if not at_month_end or abs(clock_utc - utc_us) > _TOLERANCE:
            return False
        leap.second_60_seen = True
        self._last_good = now
        return True

    def _apply_leap_second(self, now: int) -> None:
        """Let the label follow a leap second that was seen, once it is over at `now`."""
        leap = self.leap
        if self.offset is not None and now + self.offset >= leap.month_end_us + SECOND:
            leap.second_60_seen, leap.applied = False, True
            self.step_whole_seconds(-1)

    def _accept_fix(self, measured: int, now: int) -> None:
        if now - self._last_good > _FIX_TIMEOUT:
            self.nmea.offset_fit.drop_open()
            self.pps.offset_fit.drop_open()
        self.accepted += 1
        self._last_good = now
        self._step_count = self._late_count = 0
        self.leap.track(now)
        self.leap.confirm(measured + now)
        residual = self.nmea.add(now, (measured - self._base) * _NS)
        if residual:
            self.reject("rate", now, residual // _NS, self.nmea.rejected_limit_ns // _NS)
        self._associate_pulse(measured, now)
        self._select_source(now)
        self._good_count += 1
        source_rejected = (
            self.nmea.source_rejected or self.pps.source_rejected or self.disagreement_us
        )
        if self._good_count >= CONSISTENT_COUNT and not source_rejected:
            self._untrusted = False
            self.failed_checks = []

    def _associate_pulse(self, measured: int, now: int) -> None:
        """Give the pulse the second that this fix names, if it is of the same second."""
        pulse, self._pending_pulse = self._pending_pulse, None
        if pulse is None or not -_ASSOCIATION_WINDOW <= now - pulse <= _ASSOCIATION_WINDOW:
            return
        utc_us = measured + now
        if utc_us % SECOND:
            return
        pps = self.pps
        if pulse - self._last_pulse > 60 * SECOND and not pps.source_rejected:
            pps.offset_fit.clear()
        self._last_pulse = pulse
        self.associated_pulses += 1
        residual = pps.add(pulse, (utc_us - pulse - self._base) * _NS)
        if residual:
            self.reject("rate", now, residual // _NS, self.pps.rejected_limit_ns // _NS)

    def _check_step(self, residual: int, now: int, allowed: int, utc_us: int) -> bool:
        """Judge a fix that is off by more than a sentence's wobble."""
        if -_MAX_LATE < residual < 0:
            self.late += 1
            self._late_count += 1
            if self._late_count < CONSISTENT_COUNT:
                return False
        seconds = whole_seconds(residual, allowed)
        leap_possible = self.leap.is_leap_possible(utc_us - residual)
        if 0 < abs(seconds) <= max(self.leap.max_step_s(utc_us), 1 if leap_possible else 0):
            self._step_count = self._step_count + 1 if seconds == self._step_s else 1
            self._step_s = seconds
            if self._step_count >= CONSISTENT_COUNT:
                self.step_whole_seconds(seconds)
                return True
            if leap_possible and abs(seconds) == 1:
                return False  # no lie yet, and the bound has this second
        return self.reject("step", now, residual, allowed)

    def step_whole_seconds(self, seconds: int) -> None:
        """Move the label by whole seconds: now the receiver knows its leap seconds."""
        self._base += seconds * SECOND
        self.offset = self._base + self._offset_ns // _NS
        if self.leap.uncertain:
            self.leap.expect_month_end(self._anchor + self.offset)
        else:
            self.leap.leap_s -= seconds
        self.whole_second_steps += 1
        self._step_count = 0

    def reject(self, check: str, now: int, figure: int, limit: int) -> bool:
        """Do not believe what `check` (of `agent.clock.evidence.CHECKS`) saw: a figure, its limit."""
        self.rejected += 1
        self._untrusted = self.offset is not None
        self._good_count = 0
        if check not in self.failed_checks:
            self.failed_checks.append(check)
        self.evidence_log.add(check, now, figure, limit)
        return False

    # Which line is followed.

    def _fit_level(self, now: int) -> None:
        """Before a slope is known: the mean of what there is, level."""
        offset_fit = self.nmea.offset_fit
        blocks = offset_fit.points
        count, open_count = 16 * len(blocks), offset_fit.open_sample_count()
        t, level, n = 0, 0, count + open_count
        for block in blocks:
            t += 16 * (block[0] - now)
            level += 16 * block[1]
        if open_count:
            block = offset_fit.current_block()
            t += open_count * (block[0] - now)
            level += open_count * block[1]
        self._level_fit = FittedLine(now + t // n, level // n, 0, self.rate_ppt, 0, 0)
        self._target_fit = self._level_fit
        self._err_ns = _SIGMAS * _JITTER_NS // isqrt(n) + _LATENCY_ALLOWANCE_NS

    def _select_source(self, now: int) -> None:
        nmea, pps = self.nmea, self.pps
        if nmea.fit is not None:
            self._source = nmea
            self._target_fit = nmea.fit
            n = 16 * nmea.offset_fit.blocks_per_point * len(nmea.offset_fit.points)
            self._err_ns = _SIGMAS * _JITTER_NS // isqrt(n) + _LATENCY_ALLOWANCE_NS
        else:
            self._source = None
            self._fit_level(now)
        if pps.fit is None:
            return
        # The fine line, until in holdover it has become the worse of the two.
        if pps.open_error_ns(now) + 20_000 <= self._source_error_ns(now):
            self._source = pps
            self._target_fit = pps.fit
            self._err_ns = 20_000

    def _source_error_ns(self, now: int) -> int:
        """How far the line in use may be off at `now`, nanoseconds."""
        source = self._source
        if source is not None:
            return self._err_ns + source.open_error_ns(now)
        return self._err_ns + self.rate_skew_ppb * max(0, now - self._level_fit.t) // 1_000_000

    def _bound_ns(self, now: int) -> int:
        return self._source_error_ns(now) + abs(
            self._target_fit.at(now) + self._temp_drift_ns(now) - self._offset_at_ns(now)
        )

    def _temp_drift_ns(self, now: int) -> int:
        """What temperature has added since the line was learned, as far as that is known."""
        source = self._source
        return source.temp_drift_ns(now) if source is not None and self.holdover.tempco_model else 0

    # What the loops and the people read.

    def slew(self, period_us: int, now: int) -> None:
        """Move the offset to where its line is at `now`, by at most 1 % of `period_us`."""
        if self.offset is None:
            return
        if self.leap.second_60_seen:
            self._apply_leap_second(now)
        target = self._target_fit
        slope = target.slope
        goal = target.level + slope * (now - target.t) // 1_000_000_000
        if self.holdover.tempco_model is not None:
            goal += self._temp_drift_ns(now)
        step = goal - self._offset_at_ns(now)
        max_step = (
            period_us * _NS // _SLEW_DIVISOR - abs(self._rate_ppt) * period_us // 1_000_000_000
        )
        if step > max_step:
            step = max_step
        elif step < -max_step:
            step = -max_step
        self._offset_ns = self._offset_at_ns(now) + step
        self._anchor = now
        self._rate_ppt = slope
        self.offset = self._base + self._offset_ns // _NS

    def _offset_at_ns(self, now: int) -> int:
        return self._offset_ns + self._rate_ppt * (now - self._anchor) // 1_000_000_000

    def utc(self, now: int) -> "int | None":
        """UTC at `now` in microseconds since 1970, or None while it is not known."""
        return None if self.offset is None else now + self._base + self._offset_at_ns(now) // _NS

    def state(self, now: int) -> str:
        """Name the state: free, sync, holdover or untrusted."""
        if self.offset is None:
            return "free"
        if self._untrusted:
            return "untrusted"
        return "sync" if now - self._last_good <= _FIX_TIMEOUT else "holdover"

    def flags(self) -> "list[str]":
        """What to know beside the state: "leap_uncertain", and the checks that refused."""
        flags = ["leap_uncertain"] if self.leap.uncertain else []
        return flags + self.failed_checks

    def bound_us(self, now: int) -> "int | None":
        """How far UTC may be off at `now`, in microseconds, or None while it is not known."""
        if self.offset is None:
            return None
        bound = max(self._bound_ns(now) // _NS + 1, self.disagreement_us)
        if self.leap.uncertain:
            return bound + UNCERTAIN_BOUND
        return bound + SECOND if self.leap.is_leap_possible(now + self.offset + bound) else bound

    def subsecond_bound_us(self, now: int) -> "int | None":
        """How far UTC may be off, whole seconds and witnesses left aside."""
        return None if self.offset is None else self._bound_ns(now) // _NS + 1

    def rate(self) -> "tuple[int, int] | None":
        """The oscillator's measured rate and its uncertainty, parts per 10^12, None if unknown."""
        source = self._source
        if source is None or source.fit is None:
            return None
        return source.fit.slope, source.fit.skew

    def source(self) -> str:
        """What is followed: "pulses", "sentences" or "" before either is learned."""
        if self._source is None:
            return ""
        return "pulses" if self._source is self.pps else "sentences"
