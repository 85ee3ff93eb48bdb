# SPDX-License-Identifier: Apache-2.0
"""UTC from the monotonic clock of the controller, the fixes of the receiver and its pulses.

Does not parse sentences; see `drivers.gnss.receiver`. It uses valid fixes only if they agree with
each other, with the site and with the oscillator.

How it works. UTC = monotonic time + offset. Two lines of the offset are fitted
(`agent.clock.oscillator`): a *coarse* one to the arrival of sentences, a *fine* one to pulses. Each
pulse is associated with the fix that names its second. The first `CONSISTENT_COUNT` fixes that
agree set the UTC offset once. From then on the offset is slewed towards the better line, by at most
1 % of a period in a tick. So no step reaches a control loop. UTC can step only by whole seconds,
while the leap seconds are unknown and at a leap second. The phase of the ticks in a second then
stays.

A fix is rejected if no delay explains its time error, or if it is away from the site. A block of
samples is rejected if it leaves its line faster than temperature moves the oscillator. The fit then
discards the last blocks, and the source stays rejected until it agrees again.

States: free (never set), sync, holdover (no accepted fix for `_FIX_TIMEOUT`), untrusted (a
rejection and since then fewer than `CONSISTENT_COUNT` good fixes). The error bound is a sum: the
uncertainty of the samples, the largest undetected false time, the remaining slew, and the drift of
the oscillator since the last block of the line (`agent.clock.holdover`).
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
    from agent.clock.cross_check import CrossCheck
    from agent.clock.kept_time import KeptTime
    from drivers.gnss.receiver import Fix

_FIX_TIMEOUT = 3 * SECOND
_TOLERANCE = 200 * MILLISECOND
"""The arrival of a sentence varies by up to 170 ms on some receivers (gpsd-time-service-howto)."""
_MAX_LATE = 900 * MILLISECOND
"""A sentence between `_TOLERANCE` and this was delayed. It is not used; alone it is not a false
time."""
_LATENCY_ALLOWANCE_NS = 10_000_000
"""Largest difference between the real latency of a receiver and the mean in its configuration."""
_JITTER_NS = 25_000_000
"""Assumed spread of the arrival of sentences."""
_ASSOCIATION_WINDOW = 400 * MILLISECOND
_SLEW_DIVISOR = 100
_SIGMAS = 6
_NS = 1_000
_ROLLOVER = ("week rollover",)
_SECOND_60 = ("leap second",)
_MAX_OFF_TIME = 10 * 366 * 86_400 * SECOND
"""Largest difference between the stored UTC and a date that was corrected for a week rollover."""


class UtcClock:
    """UTC with a state and an error bound.

    `drift_ppb`: largest frequency error of the oscillator; `tempco_ppb`: its temperature
    coefficient per kelvin; both in parts per billion. `min_utc_us`: earliest valid UTC.
    `leap_known`: the leap seconds of the receiver are known. `site_e7`, `radius_m`: see
    `agent.clock.position_check.PositionCheck`.

    `failed_checks` names the failed checks since the clock was last trusted. `failed_signal_checks`
    is the number of signal checks that failed (`agent.gnss.component`).
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
        """The rate of the oscillator before it is measured, and its uncertainty."""
        self.cross_checker: CrossCheck | None = None
        self.disagreement_us = 0
        """Difference from a cross-check that disagrees, 0: none."""
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
        """Add the temperature near the oscillator, hundredths of a degree Celsius."""
        self.holdover.add_temperature(centi_c, now)

    def set_failed_signals(self, count: int) -> None:
        """Set how many signal checks fail (`agent.gnss.component`). Above 0, fixes are rejected."""
        self.failed_signal_checks = count

    def cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> "bool | None":
        """Compare UTC with another clock, for example network time; see `agent.clock.cross_check`.

        The other clock was at `utc_us`, within `uncertainty_us`, at the monotonic time `now`.
        Returns True if they agree, False if not, None if UTC is unknown.
        """
        if self.cross_checker is None:
            from agent.clock.cross_check import CrossCheck  # noqa: PLC0415 - most units need none

            self.cross_checker = CrossCheck(self)
        return self.cross_checker.check(utc_us, uncertainty_us, now)

    def set_disagreement(self, disagreement_us: int) -> None:
        """Widen the error bound to the difference from a cross-check; 0: it agrees."""
        self.disagreement_us = disagreement_us

    def restore(self, record: "KeptTime", rate_skew_ppb: "int | None") -> None:
        """Use a stored record; `rate_skew_ppb`: uncertainty of its rate, None: no rate."""
        self.time_record = record
        self.leap.set_leap_s(record.leap_s)
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
        self.nmea.restart()
        self.pps.restart()
        self._source = None
        self._untrusted = False
        self.failed_checks = []
        self._clear_disagreement()

    def _clear_disagreement(self) -> None:
        self.disagreement_us = 0
        if self.cross_checker is not None:
            self.cross_checker.clear()

    def set_from_cross_check(self, utc_us: int, uncertainty_us: int, now: int) -> None:
        """Set UTC from a cross-check alone, in the state holdover."""
        self._base = utc_us - now
        self._level_fit = FittedLine(now, 0, 0, self.rate_ppt, 0, 0)
        self._target_fit = self._level_fit
        self._err_ns = uncertainty_us * _NS
        self._last_good = now - _FIX_TIMEOUT - 1
        self._set_utc(now)
        if uncertainty_us < SECOND // 2:
            self.leap.set_known()

    def clear_rejection(self) -> None:
        """Clear the rejection of both time sources and restart their fits. An operator command
        calls this.
        """
        self._clear_disagreement()
        for source in (self.nmea, self.pps):
            if source.source_rejected:
                source.restart()

    # Inputs.

    def add_fix(self, fix: "Fix") -> bool:
        """Add a fix. Return True if it was accepted."""
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
        # Compared with sentences, not pulses: a latency that is not configured is not a false time.
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
        """Add a pulse with its edge at `now`. It is the start of a UTC second."""
        self.pulses += 1
        fit = self.pps.fit
        if fit is not None:
            # Distance of the edge from the nearest second by the fine line.
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
            self.leap.set_known()
        return True

    def _set_utc(self, now: int) -> None:
        self._anchor = now
        self._offset_ns = self._target_fit.at(now)
        self.offset = self._base + self._offset_ns // _NS
        self.leap.expect_month_end(now + self.offset)

    def _take_unusable_fix(self, line_overloaded: bool, utc_us: int, now: int) -> bool:
        """Handle a fix that is not used: the line is overloaded, or the fix is in 23:59:60.

        An overloaded line delays sentences by an unknown time. After 23:59:60 UTC steps.
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
        leap.on_second_60()
        self._last_good = now
        return True

    def _apply_leap_second(self, now: int) -> None:
        """Step UTC for a leap second that was received, when it is over at `now`."""
        leap = self.leap
        if self.offset is not None and now + self.offset >= leap.month_end_us + SECOND:
            leap.on_applied()
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
        """Associate the last pulse with the second of this fix, if they belong together."""
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
        """Check a fix with an error above the tolerance of a sentence."""
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
                return False  # not a false time yet; the error bound covers one second
        return self.reject("step", now, residual, allowed)

    def step_whole_seconds(self, seconds: int) -> None:
        """Step UTC by whole seconds: the receiver knows its leap seconds now."""
        self._base += seconds * SECOND
        self.offset = self._base + self._offset_ns // _NS
        if self.leap.uncertain:
            self.leap.expect_month_end(self._anchor + self.offset)
        else:
            self.leap.set_leap_s(self.leap.leap_s - seconds)
        self.whole_second_steps += 1
        self._step_count = 0

    def reject(self, check: str, now: int, figure: int, limit: int) -> bool:
        """Reject a fix: its `figure` fails `check` of `agent.clock.evidence.CHECKS`."""
        self.rejected += 1
        self._untrusted = self.offset is not None
        self._good_count = 0
        if check not in self.failed_checks:
            self.failed_checks.append(check)
        self.evidence_log.add(check, now, figure, limit)
        return False

    # Selection of the line.

    def _fit_level(self, now: int) -> None:
        """Fit a level line to the mean of all samples, before a slope is known."""
        offset_fit = self.nmea.offset_fit
        blocks = offset_fit.points
        count, open_count = 16 * len(blocks), offset_fit.open_sample_count()
        t, level, n = 0, 0, count + open_count
        for block in blocks:
            t += 16 * (block.t - now)
            level += 16 * block.mean
        if open_count:
            block = offset_fit.current_block()
            t += open_count * (block.t - now)
            level += open_count * block.mean
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
        # Use the fine line until in holdover its error is the larger one.
        if pps.open_error_ns(now) + 20_000 <= self._source_error_ns(now):
            self._source = pps
            self._target_fit = pps.fit
            self._err_ns = 20_000

    def _source_error_ns(self, now: int) -> int:
        """Return the possible error of the selected line at `now`, ns."""
        source = self._source
        if source is not None:
            return self._err_ns + source.open_error_ns(now)
        return self._err_ns + self.rate_skew_ppb * max(0, now - self._level_fit.t) // 1_000_000

    def _bound_ns(self, now: int) -> int:
        return self._source_error_ns(now) + abs(
            self._target_fit.at(now) + self._temp_drift_ns(now) - self._offset_at_ns(now)
        )

    def _temp_drift_ns(self, now: int) -> int:
        """Return the known time error due to temperature since the fit, ns."""
        source = self._source
        return source.temp_drift_ns(now) if source is not None and self.holdover.tempco_model else 0

    # Outputs.

    def slew(self, period_us: int, now: int) -> None:
        """Move the offset towards its line at `now`, by at most 1 % of `period_us`."""
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
        """Return UTC at `now` in µs since 1970, or None while it is unknown."""
        return None if self.offset is None else now + self._base + self._offset_at_ns(now) // _NS

    def state(self, now: int) -> str:
        """Return the state: free, sync, holdover or untrusted."""
        if self.offset is None:
            return "free"
        if self._untrusted:
            return "untrusted"
        return "sync" if now - self._last_good <= _FIX_TIMEOUT else "holdover"

    def flags(self) -> "list[str]":
        """Return "leap_uncertain" if it applies, and the failed checks."""
        flags = ["leap_uncertain"] if self.leap.uncertain else []
        return flags + self.failed_checks

    def bound_us(self, now: int) -> "int | None":
        """Return the error bound of UTC at `now` in µs, or None while UTC is unknown."""
        if self.offset is None:
            return None
        bound = max(self._bound_ns(now) // _NS + 1, self.disagreement_us)
        if self.leap.uncertain:
            return bound + UNCERTAIN_BOUND
        return bound + SECOND if self.leap.is_leap_possible(now + self.offset + bound) else bound

    def subsecond_bound_us(self, now: int) -> "int | None":
        """Return the error bound without whole seconds and cross-checks, in µs."""
        return None if self.offset is None else self._bound_ns(now) // _NS + 1

    def rate(self) -> "tuple[int, int] | None":
        """Return the measured rate and its uncertainty, parts per 10^12, or None."""
        source = self._source
        if source is None or source.fit is None:
            return None
        return source.fit.slope, source.fit.skew

    def source(self) -> str:
        """Return the selected source: "pulses", "sentences", or "" before a line is fitted."""
        if self._source is None:
            return ""
        return "pulses" if self._source is self.pps else "sentences"
