# SPDX-License-Identifier: Apache-2.0
"""The outputs of the clock: UTC, its slewing and steps, state, error bound, rate.

Does not take inputs; `agent.clock.utc_clock.UtcClock` extends this class with them.
"""

from agent.clock import clock_state as states
from agent.clock.estimate.error_budget import ErrorBudget, StatedErrors
from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.oscillator import FittedLine, OffsetFit
from agent.clock.estimate.time_source import RECOVERY, TimeSource
from agent.clock.leap_second import UNCERTAIN_BOUND, LeapSecondTracker
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.clock_state import KeptTime
    from agent.clock.dispute import StepDispute
    from agent.clock.estimate.error_budget import Range
    from agent.clock.estimate.last_start import LastStart
    from agent.clock.estimate.pulse_source import PulseSource
    from agent.clock.estimate.second_source import SecondSource
    from agent.clock.estimate.selection import Interval

_FIX_TIMEOUT_US = 3 * SECOND
_SELECT_EVERY_US = 4 * SECOND
_PULSE_FOR_US = 4 * SECOND
"""After a longer gap the pulses do not judge a fix."""
_SLEW_DIVISOR = 100
_MAX_SLEW_US = 900 * MILLISECOND
"""A larger difference of a receiver that is followed from now on is a step by whole seconds."""
_NS = 1_000
FIRST_ERROR_NS = 100_000_000
"""Error of the mean of the first fixes: six standard deviations of 25 ms, of three fixes."""


class ClockOutput:
    """The offset of UTC, two sources for it, and what follows from them."""

    def __init__(self, holdover: Holdover, leap: LeapSecondTracker, stated: StatedErrors) -> None:
        self.holdover = holdover
        self.leap = leap
        self.offset: int | None = None
        self.failed_checks: list[str] = []
        self.disagreement_us = 0
        """Difference from a cross-check that disagrees, 0: none."""
        self.cover_us = 0
        """Distance to the end of the interval of several receivers, 0: none."""
        self.fix_timeout = _FIX_TIMEOUT_US
        """Time without a fix after which the clock is in holdover, µs."""
        fit = OffsetFit(16, 64, 4, 2)
        self.nmea = TimeSource(fit, holdover, 500_000, 0, 8, 128 * SECOND, 256 * SECOND)
        self.pps: PulseSource | None = None
        """The pulses; None before the first one."""
        self.dispute: StepDispute | None = None
        """The contradiction of whole fixes; None before the first one."""
        self.errors: ErrorBudget = ErrorBudget(self.nmea, stated)
        self.nmea.varying.set_error(self.errors.late_ns)
        self.second_source: SecondSource | None = None
        """What a second source says of the offset; None before the first time."""
        self._state = states.FREE
        self._base = self._anchor = self._offset_ns = self._rate_ppt = 0
        self._target_fit = FittedLine(0, 0, 0, 0, 0, 0)
        self._source: TimeSource = self.nmea
        self._last_good = self._selected_at = self._set_at = 0
        self._pulse_at = -_PULSE_FOR_US - 1
        """When the last pulse agreed, µs."""
        self.whole_second_steps = self._step_count = self._good_count = 0
        self.receiver = 0
        """The index of the followed receiver; see `agent.gnss.group`."""
        self.time_record: KeptTime | None = None
        self._last_start: LastStart | None = None
        """The time of the last start, if the monotonic clock ran on; None: it did not."""
        self.suspect_until = 0
        """Until then fixes alone do not end a failed check: they are before the stored record."""

    def _pulse_source(self) -> "PulseSource":
        """Return the pulses; their code is loaded with the first one."""
        if self.pps is None:
            from agent.clock.estimate import pulse_source  # noqa: PLC0415 - most units have none

            stated = self.errors.stated
            self.pps = pulse_source.PulseSource(self.holdover, stated.pulse_us, stated.cable_ns)
            self.errors = pulse_source.PulseBudget(self.nmea, stated, self.pps)
        return self.pps

    def limit_drag(self, utc_us: int, uncertainty_us: int, now: int, agrees: bool) -> None:
        """A source that no spoofer of receivers can move was at `utc_us` at `now`.

        `agrees`: `cross_check` found that; else it limits no drag. See
        `agent.clock.estimate.second_source`.
        """
        if self.second_source is None:
            from agent.clock.estimate import second_source  # noqa: PLC0415 - most units have none

            self.second_source = second_source.SecondSource(self.holdover.limit_ppt)
        if not agrees:
            self.second_source.drop()
            return
        offset = utc_us - now
        low, high = offset - uncertainty_us, offset + uncertainty_us
        self.second_source.add(low * _NS, high * _NS, now)

    def compare_record(self, now: int) -> int:
        """Compare UTC with the stored record. Return by how much it is before it, µs; 0: it is not.

        An earlier UTC is that of a receiver that repeats old epochs, or the record is false. The
        record alone must not block a receiver: fixes are followed after `RECOVERY`.
        """
        record, utc = self.time_record, self.utc(now)
        if record is None or utc is None:
            return 0
        if record.bound_us is not None:
            from agent.clock.estimate import last_start  # noqa: PLC0415 - memory is short

            limits = (self.holdover.limit_ppt, UNCERTAIN_BOUND)
            self._last_start = last_start.find_last_start(record, utc, limits, now)
        if record.is_on_same_monotonic(utc, now):
            self.leap.set_known()
        early = record.utc_us - utc
        if early <= UNCERTAIN_BOUND:
            return 0
        self.suspect_until = now + RECOVERY
        return early

    def exclude_former(self, difference_us: int, uncertainty_us: int, now: int) -> None:
        """An independent source agrees; see `agent.clock.dispute`."""
        self.suspect_until = 0
        former = self.nmea.former
        if former is not None:
            low, high = self.nmea.held(now)
            at = self._offset_at_ns(now) + difference_us * _NS
            former.exclude(at - uncertainty_us * _NS - high, at + uncertainty_us * _NS - low)
        if self.dispute is not None:
            self.dispute.track(self.offset or 0)
            self.dispute.exclude_former(difference_us, uncertainty_us, now)

    def _drag_limits(self, now: int) -> "Range | None":
        """Return the offset from the base by a second source, ns; None: no limits."""
        limits = None if self.second_source is None else self.second_source.at(now)
        base = self._base * _NS
        return None if limits is None else (limits[0] - base, limits[1] - base)

    def _sentence_offset_ns(self, now: int) -> int:
        """Return the offset of the sentences at `now`, from the base, ns."""
        if self._source is self.nmea:
            return self._target_fit.at(now)
        fit = self.nmea.fit
        if fit is not None:
            return fit.at(now)
        # Not the middle of the bound: what a spoofer could have done is not the same on both sides.
        line = self.nmea.estimate(now)
        return self._offset_at_ns(now) if line is None else line.level

    def _is_latency(self, error_us: int, now: int) -> bool:
        """Return whether good pulses show that a fix is away from UTC by its latency only.

        A fix that is nearer to another second can be a step of a second with a changed latency.
        """
        has_pulse = now - self._pulse_at <= _PULSE_FOR_US and self._pulses_hold()
        return has_pulse and -SECOND // 2 < error_us < SECOND // 2

    def _pulses_hold(self) -> bool:
        """Return whether UTC follows pulses that contradict nothing."""
        return self._source is not self.nmea and not self._source.is_disputed()

    def _agrees(self, residual: int, allowed: int, error_us: int) -> bool:
        """Return whether a fix agrees with the sentences, or with good pulses.

        `residual`, `error_us`: the fix minus the line of the sentences, and minus UTC. One that is
        nearer to a time that contradicts UTC supports that time.
        """
        if -allowed <= residual <= allowed:
            return self.dispute is None or not self.dispute.is_nearer(residual)
        return -allowed <= error_us <= allowed and self._pulses_hold()

    def _step_dispute(self) -> "StepDispute":
        """Return the contradiction of whole fixes; its code is loaded with the first one."""
        dispute = self.dispute
        if dispute is None:
            from agent.clock.dispute import StepDispute  # noqa: PLC0415 - rare, and memory is short

            dispute = self.dispute = StepDispute(self.holdover.limit_ppt // 1000, self._set_at)
        dispute.track(self.offset or 0)
        return dispute

    def _step_with_former(self, residual: int, now: int, allowed: int, seconds: int) -> None:
        """Step by a second and keep the former one in the bound, as after a contradiction."""
        dispute = self._step_dispute()
        dispute.add(residual, allowed, now)
        dispute.follow(residual, self.subsecond_bound_us(now) or 0, now)
        self.step_whole_seconds(seconds)
        self.leap.expect_month_end(now + (self.offset or 0))

    def _restart_at(self, level_ns: int, seconds: int, has_returned: bool, now: int) -> None:
        """Begin the sources again at the fixes that UTC follows, after a step of `seconds`.

        A latency can have changed for good: what was held stays possible, unless they returned.
        """
        before_ns = level_ns + seconds * SECOND * _NS  # where the fixes were before the step
        low, high = self.nmea.stated(now)
        low, high = low - before_ns, high - before_ns
        held, former = self.nmea.held(now), self.nmea.former
        for source in self.sources():
            source.restart()
        self.nmea.measure(now, level_ns - FIRST_ERROR_NS, level_ns + FIRST_ERROR_NS)
        if not has_returned:
            low, high = low - FIRST_ERROR_NS, high + FIRST_ERROR_NS
            self.nmea.former_times().adopt(low, high, high - low)
        elif former is not None:
            former.come_back(before_ns - sum(held) // 2)
            self.nmea.former = former

    def _disputed_us(self, now: int) -> int:
        dispute, offset = self.dispute, self.offset
        if offset is None:
            return 0
        bound = 0
        if self._last_start is not None:
            limits = None if self.second_source is None else self.second_source.at(now)
            if limits is not None:
                limits = (limits[0] // _NS, limits[1] // _NS)
            bound = self._last_start.reach_us(offset, now, limits)
        if dispute is None:
            return bound
        dispute.track(offset)
        return max(bound, dispute.bound_us(now))

    def sources(self) -> "list[TimeSource]":
        """Return the sources that there are."""
        return [self.nmea] if self.pps is None else [self.nmea, self.pps]

    def _event(self, event: str) -> None:
        self._state = states.next_state(self._state, event)

    def _apply_leap(self, now: int) -> None:
        """Step UTC for a leap second that was received, when it is over at `now`."""
        if self.offset is not None and self.leap.is_step_due(now + self.offset):
            self.step_whole_seconds(-1)

    def _select_source(self, now: int, at_once: bool = False) -> None:
        """Follow the source with the smaller bound; from time to time is enough."""
        if now - self._selected_at < _SELECT_EVERY_US and not at_once:
            return
        self._selected_at = now
        self._source = self.errors.best_source(now)
        line = self._source.estimate(now)
        if line is not None:
            self._target_fit = line

    def step_whole_seconds(self, seconds: int) -> None:
        """Step UTC by whole seconds: the receiver knows its leap seconds now."""
        self._base += seconds * SECOND
        self.offset = self._base + self._offset_ns // _NS
        if self.dispute is not None:
            self.dispute.offset_us += seconds * SECOND
        if self.leap.uncertain:
            self.leap.wait_again()
            self.leap.expect_month_end(self._anchor + self.offset)
        else:
            self.leap.set_leap_s(self.leap.leap_s - seconds)
            self.leap.on_applied(seconds)
        self.whole_second_steps += 1
        self._step_count = 0

    def correct_seconds(self, seconds: int, now: int) -> None:
        """Correct UTC by whole seconds, as another source says.

        It can be false too. So the second of the fixes stays in the bound until a fix agrees.
        """
        self.step_whole_seconds(seconds)
        if self.nmea.offset_fit.points or self.nmea.offset_fit.open_sample_count():
            self._step_dispute().add(-seconds * SECOND, SECOND // 5, now)

    def follow_receiver(
        self, index: int, interval: "Interval", stated: StatedErrors, now: int
    ) -> None:
        """Follow another receiver; 0 is the main one. `interval`: UTC minus monotonic time, µs."""
        if self.offset is not None:
            step = (interval.low + interval.high) // 2 - self.offset
            if abs(step) > _MAX_SLEW_US:
                is_suspect = self.leap.is_suspect()
                self.step_whole_seconds((step + SECOND // 2) // SECOND)
                if not is_suspect:  # the receivers decided; it is no leap second
                    self.leap.expect_month_end(now + self.offset)
            self._begin_source(interval, stated, now)
        self.receiver = index
        self.dispute = None
        self._good_count = 0

    def set_cover(self, interval: "Interval | None") -> None:
        """Widen the bound to the interval of several receivers (UTC minus monotonic time, µs)."""
        offset = self.offset
        if interval is None or offset is None:
            self.cover_us = 0
        else:
            self.cover_us = max(interval.high - offset, offset - interval.low)

    def _begin_source(self, interval: "Interval", stated: StatedErrors, now: int) -> None:
        """Begin the sentences again at an interval (UTC minus monotonic time, µs), no pulses."""
        self.pps = None
        self.errors = ErrorBudget(self.nmea, stated)
        self._source = self.nmea
        self.nmea.restart()
        self.nmea.varying.set_error(self.errors.late_ns)
        low, high = (interval.low - self._base) * _NS, (interval.high - self._base) * _NS
        self.nmea.measure(now, low, high)
        self._select_source(now, True)

    def slew(self, period_us: int, now: int) -> None:
        """Move the offset towards its line at `now`, by at most 1 % of `period_us`."""
        if self.offset is None:
            return
        if self._state == states.SYNC and now - self._last_good > self.fix_timeout:
            self._event(states.SILENT)
        if self.leap.second_60_seen:
            self._apply_leap(now)
        target = self._target_fit
        slope = target.slope
        goal = target.level + slope * (now - target.t) // 1_000_000_000
        if self.holdover.tempco_model is not None and self._state == states.HOLDOVER:
            goal += self._source.temp_drift_ns(now)
        rate = self._rate_ppt
        present = self._offset_ns + rate * (now - self._anchor) // 1_000_000_000
        step = goal - present
        max_step = (
            period_us * _NS // _SLEW_DIVISOR
            - (rate if rate >= 0 else -rate) * period_us // 1_000_000_000
        )
        if step > max_step:
            step = max_step
        elif step < -max_step:
            step = -max_step
        self._offset_ns = present + step
        self._anchor = now
        self._rate_ppt = slope
        self.offset = self._base + self._offset_ns // _NS

    def _offset_at_ns(self, now: int) -> int:
        return self._offset_ns + self._rate_ppt * (now - self._anchor) // 1_000_000_000

    def utc(self, now: int) -> "int | None":
        """Return UTC at `now` in µs since 1970, or None while it is unknown."""
        return None if self.offset is None else now + self._base + self._offset_at_ns(now) // _NS

    def state(self, now: int) -> str:
        """Return the state; see `agent.clock.clock_state`."""
        if self._state == states.SYNC and now - self._last_good > self.fix_timeout:
            return states.HOLDOVER
        return self._state

    def flags(self) -> "list[str]":
        """Return "leap_uncertain" if it applies, and the failed checks."""
        flags = ["leap_uncertain"] if self.leap.uncertain else []
        return flags + self.failed_checks

    def budget(self, now: int) -> "list[tuple[str, object]]":
        """Return the terms of the bound (`agent.clock.estimate.error_budget`): name and µs."""
        if self.offset is None:
            return []
        terms: list[tuple[str, object]] = [
            (name, value // _NS)
            for name, value in self.errors.terms(
                self._source, self._offset_at_ns(now), now, self._drag_limits(now)
            )
        ]
        own = self.subsecond_bound_us(now) or 0
        disputed = max(own, self._disputed_us(now))
        wide = max(disputed, self.disagreement_us, self.cover_us)
        terms += [("dispute", disputed - own), ("reference", wide - disputed)]
        terms.append(("leap", self.leap.error_us(now + self.offset + wide)))
        return terms

    def bound_us(self, now: int) -> "int | None":
        """Return the error bound of UTC at `now` in µs, or None while UTC is unknown."""
        bound = self.no_leap_bound_us(now)
        if bound is None or self.offset is None:
            return None
        bound = max(bound, self.disagreement_us, self.cover_us)
        return bound + self.leap.error_us(now + self.offset + bound)

    def no_leap_bound_us(self, now: int) -> "int | None":
        """Return the error bound without unknown leap seconds and other clocks, in µs."""
        own = self.subsecond_bound_us(now)
        return None if own is None else max(own, self._disputed_us(now))

    def record_bound_us(self, now: int) -> int:
        """Return the error bound for a record, µs: without whole seconds (`leap_suspect`)."""
        return max(self.no_leap_bound_us(now) or 0, self.disagreement_us, self.cover_us)

    def subsecond_bound_us(self, now: int) -> "int | None":
        """Return the error bound without whole seconds and cross-checks, in µs."""
        if self.offset is None:
            return None
        offset, limits = self._offset_at_ns(now), self._drag_limits(now)
        return self.errors.bound_ns(self._source, offset, now, limits) // _NS + 1

    def rate(self) -> "tuple[int, int] | None":
        """Return the measured rate and its uncertainty, parts per 10^12, or None."""
        fit = self._source.fit
        return None if fit is None else (fit.slope, fit.skew)

    def source(self) -> str:
        """Return the selected source: "pulses", "sentences", or "" before a line is fitted."""
        if self._source is not self.nmea:
            return "pulses"
        return "sentences" if self.nmea.fit is not None else ""
