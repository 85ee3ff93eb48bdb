# SPDX-License-Identifier: Apache-2.0
"""UTC from the monotonic clock of the controller, the fixes of the receiver and its pulses.

Does not parse sentences; see `drivers.gnss.receiver`. It uses valid fixes only if they agree with
each other, with the site and with the oscillator.

How it works. UTC = monotonic time + offset. Sentences and pulses are two sources of the offset
(`agent.clock.estimate.time_source`, `agent.clock.estimate.pulse_source`). Each has a line, which is
the estimate, and an interval, which contains the truth.
The first `CONSISTENT_COUNT` fixes that agree set UTC once.
From then on the offset is slewed towards the line of the better source, by at most 1 % of a period
in a tick. So no step reaches a control loop. UTC can step only by whole seconds, and the phase of
the ticks in a second then stays.

A fix is rejected if no delay explains its time error, or if it is away from the site. A source is
rejected if it contradicts its own interval. Nothing is rejected for ever (`agent.clock.dispute`).

States: see `agent.clock.clock_state`. The error bound is a sum of named terms: see
`agent.clock.estimate.error_budget`.
"""

from agent.clock import clock_state as states
from agent.clock.clock_output import FIRST_ERROR_NS, ClockOutput
from agent.clock.estimate.error_budget import CALIBRATED, StatedErrors
from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.oscillator import FittedLine
from agent.clock.estimate.time_source import CONSISTENT_COUNT
from agent.clock.evidence import EvidenceLog
from agent.clock.leap_second import LeapSecondTracker, whole_seconds
from agent.clock.position_check import PositionCheck
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock.clock_state import KeptTime
    from agent.clock.cross_check import CrossCheck
    from agent.clock.dispute import StepDispute
    from drivers.gnss.receiver import Fix

_FIX_TIMEOUT_US = 3 * SECOND
_MAX_PERIOD_US = 60 * SECOND
_TOLERANCE_US = 200 * MILLISECOND
"""The arrival of a sentence varies by up to 170 ms on some receivers (gpsd-time-service-howto)."""
_MAX_LATE_US = 900 * MILLISECOND
"""A sentence between `_TOLERANCE_US` and this was delayed. It is not used; alone it is not a false
time."""
_WINDOW_FOR_US = 4 * SECOND
_SAMPLE_SPACING_US = 450 * MILLISECOND
"""Quicker fixes are checked, but give no sample: their latencies are not independent."""
_NS = 1_000
_ROLLOVER = ("week rollover",)
_SECOND_60 = ("leap second",)
_MAX_OFF_US = 10 * 366 * 86_400 * SECOND
"""Largest difference between the earliest UTC and a date that was corrected for a week rollover."""


def _is_usable(fix: "Fix") -> bool:
    return bool(fix.valid or fix.reasons in (_ROLLOVER, _SECOND_60))


class UtcClock(ClockOutput):
    """UTC with a state and an error bound.

    `drift_ppb`: largest frequency error of the oscillator; `tempco_ppb_per_c`: its temperature
    coefficient per kelvin; both in parts per billion. `min_utc_us`: earliest valid UTC.
    `leap_known`: the leap seconds of the receiver are known. `site_e7`, `radius_m`: see
    `agent.clock.position_check.PositionCheck`. `stated`: errors that the configuration states.

    `failed_checks` names the failed checks since the clock was last trusted. `failed_signal_checks`
    is the number of signal checks that failed (`agent.gnss.component`).
    """

    def __init__(
        self,
        drift_ppb: int,
        tempco_ppb_per_c: int = 1_000,
        min_utc_us: int = 0,
        leap_known: bool = False,
        site_e7: "tuple[int, int] | None" = None,
        radius_m: int = 100,
        stated: StatedErrors = CALIBRATED,
    ) -> None:
        holdover = Holdover(drift_ppb, tempco_ppb_per_c, stated.host_slew_ppb)
        ClockOutput.__init__(self, holdover, LeapSecondTracker(leap_known), stated)
        self.drift_ppb = drift_ppb
        self.accepted = self.rejected = self.late = self.pulses = self.associated_pulses = 0
        self.failed_signal_checks = 0
        self.evidence_log = EvidenceLog()
        self.position_check = PositionCheck(site_e7, radius_m)
        self.min_utc_us = min_utc_us
        self.rate_ppt = 0
        self.rate_skew_ppb = drift_ppb
        """The rate of the oscillator before it is measured, parts per 10^12; its uncertainty."""
        self.cross_checker: CrossCheck | None = None
        self.fix_filter: Callable[[Fix], bool] | None = None
        self._first_fixes: list[tuple[int, int]] = []
        self._last_sample = self._late_count = self._step_s = 0
        self._window = (0, 0)
        """The interval of the sentences in which a second can begin, at `_window_at`."""
        self._window_at = -_WINDOW_FOR_US
        self._period = SECOND
        self._contradicted_at: int | None = None
        """Since when the sentences contradict their interval; None: they do not."""

    def add_temperature(self, centi_c: int, now: int) -> None:
        """Add the temperature near the oscillator, hundredths of a degree Celsius."""
        self.holdover.add_temperature(centi_c, now)
        for source in self.sources():
            source.advance(now)

    def set_failed_signals(self, count: int) -> None:
        """Set how many signal checks fail (`agent.gnss.component`). Above 0, fixes are rejected."""
        self.failed_signal_checks = count

    def cross_check(
        self, utc_us: int, uncertainty_us: int, now: int, has_leap_s: bool = True
    ) -> "bool | None":
        """Compare UTC with another clock, for example network time; see `agent.clock.cross_check`.

        The other clock was at `utc_us`, within `uncertainty_us`, at the monotonic time `now`.
        `has_leap_s`: its leap seconds are known.
        Returns True if they agree, False if not, None if UTC is unknown.
        """
        if self.cross_checker is None:
            from agent.clock.cross_check import CrossCheck  # noqa: PLC0415 - most units need none

            self.cross_checker = CrossCheck(self)
        return self.cross_checker.check(utc_us, uncertainty_us, now, has_leap_s)

    def set_disagreement(self, disagreement_us: int) -> None:
        """Widen the error bound to the difference from a cross-check; 0: it agrees."""
        self.disagreement_us = disagreement_us

    def restore(self, record: "KeptTime", rate_skew_ppb: "int | None", now: int = 0) -> None:
        """Use a stored record; `rate_skew_ppb`: uncertainty of its rate, None: no rate."""
        self.time_record = record
        self._check_record(now)
        self.leap.restore(record.leap_s, bool(record.leap_suspect))
        if rate_skew_ppb is not None and record.rate_ppt is not None:
            self.rate_ppt = record.rate_ppt
            self.rate_skew_ppb = min(rate_skew_ppb, self.drift_ppb)

    def forget_record(self, min_utc_us: int) -> None:
        """Return to the state free and drop the stored record; accept UTC from `min_utc_us` on."""
        self.reset()
        self.time_record = None
        self.min_utc_us = min_utc_us

    def raise_min_utc(self, utc_us: int, now: int) -> None:
        """Accept no UTC before `utc_us` from now on. If UTC is earlier, it is dropped."""
        self.min_utc_us = max(self.min_utc_us, utc_us)
        clock_utc = self.utc(now)
        if clock_utc is not None and clock_utc < self.min_utc_us:
            self.reset()
            self.reject("floor", now, clock_utc - self.min_utc_us, 0)

    def reset(self) -> None:
        """Return to the state free: the next fixes that agree set UTC."""
        self.offset = None
        self._first_fixes = []
        for source in self.sources():
            source.restart()
        self.dispute = self._last_start = None
        self.suspect_until = 0
        self._event(states.RESET)
        self.failed_checks = []
        self._clear_disagreement()

    def _clear_disagreement(self) -> None:
        self.disagreement_us = 0
        if self.cross_checker is not None:
            self.cross_checker.clear()

    def set_from_cross_check(
        self, utc_us: int, uncertainty_us: int, now: int, has_leap_s: bool
    ) -> None:
        """Set UTC from a cross-check alone, in the state holdover."""
        self._last_good = now - self.fix_timeout - 1
        self._set_utc(utc_us - now, 0, uncertainty_us * _NS, now)
        self._event(states.SET_COARSELY)
        if uncertainty_us < SECOND // 2 and has_leap_s:
            self.leap.set_known()

    def set_fix_filter(self, fix_filter: "Callable[[Fix], bool]") -> None:
        """Pass each fix of the main receiver to a function, and use it if that returns True."""
        self.fix_filter = fix_filter

    def clear_rejection(self) -> None:
        """Clear the rejection of both time sources. An operator command calls this."""
        self._clear_disagreement()
        for source in self.sources():
            if source.source_rejected:
                source.accept_candidate()

    # Inputs.

    def add_fix(self, fix: "Fix") -> bool:
        """Add a fix of the main receiver. Return True if it was accepted."""
        if self.fix_filter is not None and not self.fix_filter(fix):
            return False
        if self.failed_signal_checks and fix.utc_us is not None and _is_usable(fix):
            return self.reject("signals", fix.mono_us, self.failed_signal_checks, 1)
        return self.use_fix(fix)

    def use_fix(self, fix: "Fix") -> bool:
        """Use a fix of the followed receiver. Return True if it was accepted."""
        utc_us, now = fix.utc_us, fix.mono_us
        if utc_us is None or not _is_usable(fix):
            return False
        margin = utc_us - self.min_utc_us
        if margin < 0 or (fix.reasons == _ROLLOVER and margin > _MAX_OFF_US):
            return self.reject("floor", now, margin, 0)
        distance = self.position_check.distance_m(fix)
        if distance > self.position_check.radius_m:
            return self.reject("position", now, distance, self.position_check.radius_m)
        if fix.line_overloaded or fix.reasons == _SECOND_60:
            return self._take_unusable_fix(fix.line_overloaded, utc_us, now)
        self._apply_leap(now + _TOLERANCE_US)
        measured = utc_us - now
        if self.offset is None:
            return self._add_first_fix(measured, now)
        # Compared with sentences, not pulses: a latency that is not configured is not a false time.
        residual = measured - self._base - self._sentence_offset_ns(now) // _NS
        allowed = _TOLERANCE_US
        if now - self._last_good > self.fix_timeout and self._state != states.UNTRUSTED:
            lo, hi = self.nmea.stated(now)
            allowed += (hi - lo) // (2 * _NS)
        error = measured + now - (self.utc(now) or 0)
        if self._agrees(residual, allowed, error):
            self._accept_fix(measured, now)
            return True
        if self._is_latency(error, now):
            self.late += 1
            self._good_fix(now)
            self._count_agreement(now)
            return False
        return self._check_step(residual, now, allowed, utc_us)

    def add_pulse(self, now: int) -> None:
        """Add a pulse with its edge at `now`. It is the start of a UTC second."""
        self.pulses += 1
        if (
            self.receiver
            or self.offset is None
            or now - self._last_good > self.fix_timeout + SECOND
        ):
            return  # a receiver without a fix can send pulses too
        if now - self._window_at > _WINDOW_FOR_US:
            self._window = self.errors.sentences(now)
            self._window_at = now
        pps = self._pulse_source()
        residual, limit = pps.add_pulse(now, self._base, *self._window)
        if not residual:
            self.associated_pulses += 1
            self._pulse_at = now
            self._select_source(now)
        elif pps.source_rejected:
            self.reject("rate", now, residual // _NS, limit // _NS)
        else:
            self._record("pulse", now, residual // _NS, limit // _NS)

    def _add_first_fix(self, measured: int, now: int) -> bool:
        first_fixes = self._first_fixes
        if first_fixes and abs(measured - first_fixes[-1][1]) > _TOLERANCE_US:
            self._first_fixes = first_fixes = []
            self.rejected += 1
        first_fixes.append((now, measured))
        self.accepted += 1
        self._good_fix(now)
        if len(first_fixes) < CONSISTENT_COUNT:
            return True
        self.failed_checks = []
        base = first_fixes[0][1]
        mean = sum([m - base for _, m in first_fixes]) * _NS // CONSISTENT_COUNT
        self._set_utc(base, mean, FIRST_ERROR_NS, now)
        for t, m in first_fixes:
            self.nmea.add(t, (m - base) * _NS)
        self._event(states.SET)
        self._check_record(now)
        return True

    def _check_record(self, now: int) -> None:
        early = self.compare_record(now)
        if early:
            self.reject("floor", now, -early, 0)

    def _set_utc(self, base: int, level_ns: int, error_ns: int, now: int) -> None:
        """Set UTC to `base` (µs) and `level_ns`, with an error, and begin both sources again."""
        rate, skew = self.rate_ppt, self.rate_skew_ppb * 1000
        for source in self.sources():
            source.restart()
            source.set_rate(rate)
        limits = (rate - skew, rate + skew)
        for interval in (self.nmea.interval, self.nmea.varying):
            interval.begin(now, level_ns - error_ns, level_ns + error_ns, limits)
        self._base, self._anchor = base, now
        self._offset_ns = level_ns
        self._source = self.nmea
        self._window_at = now - _WINDOW_FOR_US - 1
        self._rate_ppt = self.rate_ppt
        self._target_fit = FittedLine(now, level_ns, 0, self.rate_ppt, 0, 0)
        self.offset = base + level_ns // _NS
        self.dispute = None
        self._set_at = now
        self.leap.expect_month_end(now + self.offset)

    def _take_unusable_fix(self, line_overloaded: bool, utc_us: int, now: int) -> bool:
        """Handle a fix that is not used: the line is overloaded, or the fix is in 23:59:60.

        An overloaded line delays sentences by an unknown time. After 23:59:60 UTC steps.
        """
        if line_overloaded:
            self.late += 1
            return False
        clock_utc, leap = self.utc(now), self.leap
        if clock_utc is None or leap.uncertain or leap.applied or self._state == states.UNTRUSTED:
            return False
        at_month_end = 0 <= utc_us - leap.month_end_us < SECOND
        if not at_month_end or abs(clock_utc - utc_us) > _TOLERANCE_US:
            return False
        leap.on_second_60()
        self._good_fix(now)
        return True

    def _good_fix(self, now: int) -> None:
        """Handle the time of a good fix: it also shows the period of the receiver."""
        elapsed = now - self._last_good
        if 0 < elapsed <= _MAX_PERIOD_US:
            self._period = elapsed if elapsed < self._period else (3 * self._period + elapsed) // 4
            self.fix_timeout = max(_FIX_TIMEOUT_US, 5 * self._period // 2)
        self._last_good = now
        self.leap.track(now, self._period)

    def _accept_fix(self, measured: int, now: int) -> None:
        if now - self._last_good > self.fix_timeout:
            for source in self.sources():
                source.drop_open()
        self.accepted += 1
        self._good_fix(now)
        self._step_count = self._late_count = 0
        self.leap.confirm(measured + now, now)
        if now - self._last_sample >= _SAMPLE_SPACING_US:
            self._last_sample = now
            residual = self.nmea.add(now, (measured - self._base) * _NS)
            if residual and self._pulses_hold():
                self.late += 1  # the pulses and the oscillator outvote the sentences
            elif residual:
                # What ended long ago is recorded only: the source is followed.
                fail = self.reject if self.nmea.source_rejected else self._record
                fail("rate", now, residual // _NS, self.nmea.rejected_limit_ns // _NS)
            if not self.nmea.source_rejected:
                self._contradicted_at = None
            elif self._contradicted_at is None:
                self._contradicted_at = now
            elif self.dispute is not None:
                self.dispute.contradicted(now)
            self._select_source(now)
        self._count_agreement(now)

    def _count_agreement(self, now: int) -> None:
        """Count a fix that supports UTC: the clock is trusted again after some in a row."""
        if self.dispute is not None:
            self.dispute.clear()
        self._event(states.GOOD)
        self._good_count += 1
        pps, rejected = self.pps, self.disagreement_us or now < self.suspect_until
        rejected = rejected or (pps is not None and pps.source_rejected)
        rejected = rejected or (self.nmea.source_rejected and not self._pulses_hold())
        if self._good_count >= CONSISTENT_COUNT and not rejected:
            self._event(states.AGREED)
            self.failed_checks = []

    def _check_step(self, residual: int, now: int, allowed: int, utc_us: int) -> bool:
        """Check a fix with an error above the tolerance of a sentence."""
        if -_MAX_LATE_US < residual < 0:
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
                if self.leap.uncertain or leap_possible:
                    self.step_whole_seconds(seconds)
                else:  # minutes after the end of a month: both can be true
                    self._step_with_former(residual, now, allowed, seconds)
                return True
            if leap_possible and abs(seconds) == 1:
                self._good_fix(now)
                return False  # not a false time yet; the error bound covers one second
        dispute = self._step_dispute()
        if dispute.add(residual, allowed, now):
            self._follow_fixes(dispute, residual, now)
            return True
        return self.reject("step", now, residual, allowed)

    def _follow_fixes(self, dispute: "StepDispute", step_us: int, now: int) -> None:
        """Follow fixes that contradicted the clock: step by whole seconds, slew the rest."""
        bound = self.subsecond_bound_us(now) or 0
        seconds = (step_us + SECOND // 2) // SECOND
        rest = step_us - seconds * SECOND
        level = self._sentence_offset_ns(now) + rest * _NS
        step_us = seconds * SECOND  # that of UTC; the fixes were compared with sentences
        if abs(rest) > min(_TOLERANCE_US, bound):  # else it is slewed
            step_us += (level - self._offset_at_ns(now)) // _NS
        dispute.track(self.offset or 0)
        has_returned = dispute.has_returned()
        dispute.follow(step_us, bound, now, self._contradicted_at)
        self._contradicted_at = None
        self.step_whole_seconds(seconds)
        dispute.offset_us += step_us - seconds * SECOND
        if abs(rest) > min(_TOLERANCE_US, bound):
            self._restart_at(level, seconds, has_returned, now)
            self._window_at = now - _WINDOW_FOR_US - 1
            self._select_source(now, True)
        self.leap.expect_month_end(now + (self.offset or 0))
        self._good_count = 0
        self._good_fix(now)

    def confirm_fixes(self, difference_us: int, uncertainty_us: int, now: int) -> bool:
        """An independent source differs from UTC by `difference_us`. Follow the fixes if they do
        too. Return whether.
        """
        dispute = self.dispute
        if dispute is None or not dispute.matches(difference_us, uncertainty_us):
            return False
        self._follow_fixes(dispute, dispute.step_us or 0, now)
        self.dispute = None
        return True

    def reject(self, check: str, now: int, figure: int, limit: int) -> bool:
        """Reject a fix: its `figure` fails `check` of `agent.clock.evidence.CHECKS`."""
        self._event(states.CONTRADICTED)
        return self._record(check, now, figure, limit)

    def _record(self, check: str, now: int, figure: int, limit: int) -> bool:
        self.rejected += 1
        self._good_count = 0
        if check not in self.failed_checks:
            self.failed_checks.append(check)
        self.evidence_log.add(check, now, figure, limit)
        return False
