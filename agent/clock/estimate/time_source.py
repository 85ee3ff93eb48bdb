# SPDX-License-Identifier: Apache-2.0
"""A time source (sentences or pulses): its line, its interval, and what it contradicts.

Does not keep UTC; see `agent.clock.utc_clock`. The line (`agent.clock.estimate.oscillator`) is the
best estimate. The interval (`agent.clock.estimate.offset_interval`) contains the true offset while
the source and the oscillator are within their limits.

If a block contradicts the interval, the source is rejected. The interval and the line return to a
time before, and the oscillator holds. *Candidates* follow the source (`agent.clock.estimate.
candidate`). All of them are in the bound. The source is accepted again:

    immediately if `CONSISTENT_COUNT` blocks agree with the held interval
    later       if a candidate was consistent for `RECOVERY`. The held interval stays in the bound
                (`agent.clock.estimate.former_times`). A source that returns to it is not rejected

A contradiction can also be the late effect of a false time that ended long ago: the interval was
false since then. So the candidates begin in the past (`KeptBlocks`). If one of them was consistent
for `RECOVERY` already, it is followed immediately.
"""

from agent.clock.estimate import line_end
from agent.clock.estimate.line_end import NO_SENSOR, BlockMean
from agent.clock.estimate.mean_lines import BLOCKS, KeptBlocks, MeanLines
from agent.clock.estimate.offset_interval import OffsetInterval
from agent.clock.estimate.oscillator import FittedLine, OffsetFit, fit_recent, isqrt, mean_point
from agent.clock.estimate.varying_error import VaryingInterval
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.candidate import CandidateSet
    from agent.clock.estimate.former_times import FormerTimes
    from agent.clock.estimate.holdover import Holdover
    from agent.clock.estimate.oscillator import FitPoint

CONSISTENT_COUNT = 3
"""Consecutive samples or blocks that must agree before a source is accepted, first or again."""
RECOVERY = 1_200 * SECOND
"""Consistent evidence against the held time, before it is followed."""
MAX_SUPPORT = 86_400 * SECOND
"""How long a time that was held before stays in the bound."""
_LONGEST_DRAG_US = 7_200 * SECOND
"""How long a rejected interval stays in the bound after the source has returned to it, and goes on
by itself."""
_SIGMAS = 8
"""Standard errors of the mean of a block. The distribution of a mean of 16 has long tails."""
_MEAN_SIGMAS = 6
"""Those of the mean of 256 samples or more."""
_OLD_LINE_US = 900 * SECOND
"""Age of the middle of a line from which on the middle of the interval is as good."""
_FIT_SPAN_US = 4_200 * SECOND
"""The line is fitted to this time: the rate changes with the temperature."""


class TimeSource:
    """A line and an interval.

    `min_noise_ns`: smallest assumed standard deviation of a sample. `fit_points`: points in the
    line (0: all). `min_points`: points before a slope is used. `spacing`, `lag`: see
    `agent.clock.estimate.offset_interval`.
    """

    def __init__(
        self,
        offset_fit: OffsetFit,
        holdover: "Holdover",
        min_noise_ns: int,
        fit_points: int,
        min_points: int,
        spacing: int,
        lag: int,
    ) -> None:
        self.offset_fit = offset_fit
        offset_fit.limit_slope(holdover.limit_ppt // 1_000)
        self.fit: FittedLine | None = None
        self.interval = OffsetInterval(holdover, spacing, lag)
        self.varying = VaryingInterval(holdover, spacing)
        self.source_rejected = False
        self.rejected_limit_ns = 0
        """Half the width of the interval that the last rejected block contradicted, ns."""
        self.sigma_ns = 0
        """Standard deviation of a sample; 0 while unknown."""
        self.rate_ppt = 0
        """The rate before a line is fitted."""
        self._holdover = holdover
        self._min_noise_ns = min_noise_ns
        self._fit_points = fit_points
        self._min_points = min_points
        self._candidates: CandidateSet | None = None
        self.former: FormerTimes | None = None
        """What was held before; None before the first contradiction."""
        self._held_rates = (0, 0)
        self._consistent = self._measured = self._distance = self._rejected_at = 0
        self._held: list[tuple[int, OffsetInterval]] = []
        """Until when, and an interval that was left without 20 minutes of evidence."""
        self._kept = KeptBlocks()
        self._lines = MeanLines()
        self._cold: int | None = None
        self._warm: int | None = None
        """Range of the temperature since the last block."""
        self._temp_mark = holdover.temperature_mark(0)
        self._spacing, self._lag = spacing, lag

    def add(self, t: int, y_ns: int) -> int:
        """Add a sample. Return 0, or the contradiction of its block in ns if it is rejected."""
        block = self.offset_fit.add(t, y_ns)
        return 0 if block is None else self._add_block(block)

    def _add_block(self, block: "FitPoint") -> int:
        n = self.offset_fit.size
        deviation = max(self.offset_fit.deviation, self._min_noise_ns)
        is_mixed = bool(self.sigma_ns) and 2 * deviation > 3 * self.sigma_ns
        if self.sigma_ns:
            # A step of the latency is no noise. As noise it would hide itself in the next block.
            noise = min(deviation, 2 * self.sigma_ns)
            smooth = isqrt((7 * self.sigma_ns * self.sigma_ns + noise * noise) // 8)
            self.sigma_ns = max(smooth, self._min_noise_ns)
        else:
            self.sigma_ns = deviation
        error = _SIGMAS * max(self.sigma_ns, deviation) // isqrt(n)
        if is_mixed:
            # The latency can have changed within the block: one of its samples is right.
            error = max(error, self.offset_fit.largest + _SIGMAS * self.sigma_ns)
        contradiction = self.measure(block.t, block.mean - error, block.mean + error)
        if contradiction or self.source_rejected:
            self._drop_means()
            return contradiction
        contradiction = 0 if is_mixed else self._average(block, n)
        if contradiction:
            return contradiction
        if self.offset_fit.add_block(block):
            self._refit()
        return 0

    def _average(self, block: "FitPoint", n: int) -> int:
        """Measure with the mean of 16 blocks, and with the ends of lines. Return as `add`."""
        lines = self._lines
        centi_c = self._holdover.current_temperature(block.t)
        cold, warm = self._cold, self._warm
        if centi_c is None:
            cold, warm = -NO_SENSOR, NO_SENSOR
        elif cold is None or warm is None:
            cold = warm = centi_c
        self._cold = self._warm = centi_c
        for level, means, size in lines.add(BlockMean(block.t, block.mean, cold, warm), n):
            contradiction = self._measure_mean(means, n * BLOCKS) if level == 0 else 0
            contradiction = contradiction or self._measure_line(level, means, size)
            if contradiction or self._lines is not lines:
                return contradiction
        return 0

    def _measure_mean(self, blocks: "list[BlockMean]", n: int) -> int:
        """Measure with the mean of blocks of `n` samples in all. Return as `add`."""
        mean = line_end.mean_of(blocks)
        error = _MEAN_SIGMAS * self.sigma_ns // isqrt(n)
        error += line_end.mean_curve(blocks, self._holdover)
        return self.measure(mean.t, mean.mean - error, mean.mean + error, True)

    def _measure_line(self, level: int, blocks: "list[BlockMean]", n: int) -> int:
        """Measure with the end of a line through means of `n` samples each; and its slope."""
        holdover, interval = self._holdover, self.interval
        error = _MEAN_SIGMAS * self.sigma_ns // isqrt(n)
        changes = line_end.mean_changes(blocks, holdover)
        found = line_end.line_end(blocks, error, changes)
        if found is None:
            return 0
        lo, hi, end = found
        contradiction = self.measure(end, lo, hi, True, True)
        if contradiction:
            return contradiction
        if blocks[-1].warm >= NO_SENSOR:
            changes = line_end.calm_changes(blocks, interval.calm_change)
        slope = line_end.line_slope(blocks, error, changes)
        if slope is not None:
            interval.learn_slope(level, end, slope)
        return 0

    def _drop_means(self) -> None:
        self._lines = MeanLines()

    def measure(self, t: int, lo: int, hi: int, is_line: bool = False, is_end: bool = False) -> int:
        """Take a measurement: the offset was from `lo` to `hi` at `t`. Return as `add`.

        `is_line`: it has old samples, which can be false; no candidate gets it. `is_end`: its end.
        """
        interval = self.interval
        if not is_line:
            self._kept.add(t, lo, hi)
        self.varying.take(t, lo, hi, is_end)
        if interval.present is None:
            interval.begin(t, lo, hi)
            return 0
        if self.source_rejected and t - self._measured > MAX_SUPPORT:
            self.restart()  # nothing supports either side any more
            interval.begin(t, lo, hi)
        self._measured = t
        if not self.source_rejected:
            contradiction = interval.add(t, lo, hi)
            if contradiction and not self._return_to_former(t, lo, hi):
                self._reject(t, lo, hi, is_line)
                return contradiction
            if self.former is not None:
                self.former.expire(t)
            return 0
        held_lo, held_hi = interval.from_mark(interval.present, t)
        # The held interval grows. That it has reached the source does not confirm it.
        distance = abs(lo + hi - held_lo - held_hi) // 2
        self._distance = max(self._distance, distance)
        if lo <= held_hi and hi >= held_lo and 2 * distance <= self._distance:
            self._consistent += 1
            if self._consistent >= CONSISTENT_COUNT:
                self._accept_held(t, lo, hi)
            else:  # a single one is chance: it must not end what the source was for minutes
                self._follow_candidates(t, lo, hi)
            return 0
        self._consistent = 0
        self._follow_candidates(t, lo, hi)
        return lo - held_hi if lo > held_hi else min(hi - held_lo, -1)

    def _return_to_former(self, t: int, lo: int, hi: int) -> bool:
        """Follow a measurement that agrees with an interval held before. Return whether it does."""
        interval, former = self.interval, self.former
        if former is None or interval.rate_is_false or interval.present is None:
            return False
        if not former.is_return(interval.from_mark(interval.present, t), lo, hi, t):
            return False
        self._move_to(t, lo, hi, None, True)
        former.until = max(former.until, t + _LONGEST_DRAG_US)
        return True

    def _move_to(
        self, t: int, lo: int, hi: int, rate: "tuple[int, int] | None", is_early: bool = False
    ) -> None:
        """Begin at a measurement; keep the distance of the interval before.

        `rate`: its limits, None: those of the data sheet. Those that were learned before can be
        those of a drag. `is_early`: a drag can have begun a short time ago, so its rate is unknown.
        """
        interval, former = self.interval, self.former_times()
        if interval.present is not None:
            own_lo, own_hi = interval.stated(t)
            low, high = former.range_at(t)
            former.open(own_lo + low - hi, own_hi + high - lo, t)
            if is_early:
                held = [item for item in self._held if t < item[0]][-2:]
                self._held = held + [(t + _LONGEST_DRAG_US, interval)]
                self.interval = interval = OffsetInterval(self._holdover, self._spacing, self._lag)
            interval.begin(t, lo, hi, rate)
        self._drop_means()
        self.offset_fit.clear()
        self.fit = None

    def _reject(self, t: int, lo: int, hi: int, is_line: bool) -> None:
        """Return to the interval from before, and follow the source with candidates."""
        present = self.interval.present
        if present is not None:
            self.rejected_limit_ns = (present.hi - present.lo) // 2
        begin = self.interval.rewind(self.interval.rate_is_false)
        self._held_rates = self.interval.stated_rates(t)
        self.offset_fit.drop_after(begin)
        self.fit = self._fit_recent()
        self.source_rejected = True
        self._rejected_at = t
        self._consistent = 0
        held = self.interval.present
        held_lo, held_hi = (lo, hi) if held is None else self.interval.from_mark(held, t)
        self._distance = abs(lo + hi - held_lo - held_hi) // 2
        from agent.clock.estimate import candidate  # noqa: PLC0415 - rare, and memory is short

        self._candidates = candidate.CandidateSet(self._holdover, self._spacing)
        consistent_for = self._candidates.replay(self._kept)
        if not is_line or not consistent_for:
            self._follow_candidates(t, lo, hi)
        elif consistent_for >= RECOVERY:
            self._adopt_candidate(t)

    def _follow_candidates(self, t: int, lo: int, hi: int) -> None:
        if self._candidates is not None and self._candidates.add(t, lo, hi) >= RECOVERY:
            self._adopt_candidate(t)

    def _accept_held(self, t: int, lo: int, hi: int) -> None:
        """Accept the source again. A drag of time can pass the held interval on its way.

        So the interval stays in the bound for `_LONGEST_DRAG_US`.
        """
        interval = self.interval
        low, high = self.stated(t)
        self._grow_former(interval.rates(interval.present, t) if interval.present else (0, 0))
        self.source_rejected = False
        self._candidates = None
        if interval.add(t, lo, hi) or interval.present is None:
            interval.begin(t, lo, hi)
        else:
            lo, hi = interval.present.lo, interval.present.hi
        former = self.former_times()
        former.open(low - lo, high - hi, t)
        former.until = max(former.until, t + _LONGEST_DRAG_US)

    def _adopt_candidate(self, t: int) -> None:
        """Follow the source after `RECOVERY`; the held interval stays in the bound for a time."""
        candidate = None if self._candidates is None else self._candidates.oldest()
        if candidate is None or candidate.present is None:
            return
        former = self.former_times()
        former.until = t + MAX_SUPPORT
        rate = candidate.rates(candidate.present, t)
        self._grow_former(rate)
        lo, hi = candidate.from_mark(candidate.present, t)
        low, high = self.interval.stated(t)
        width = hi - lo + high - low
        self._move_to(t, lo, hi, rate, t - self._rejected_at < RECOVERY)
        former.adopt(former.low, former.high, width)
        self.source_rejected = False
        self._candidates = None

    def _grow_former(self, rates: "tuple[int, int]") -> None:
        """The distance grows by the difference of the rates: a drag can go on."""
        low, high = self._held_rates
        former = self.former_times()
        former.ppt = max(former.ppt, high - rates[0], rates[1] - low)

    def accept_candidate(self) -> None:
        """Follow the source from now on, without the held interval."""
        candidate = None if self._candidates is None else self._candidates.oldest()
        if candidate is None or candidate.present is None:
            self.restart()
            return
        self._adopt_candidate(candidate.present.t)
        self._drop_former()

    def former_times(self) -> "FormerTimes":
        """Return what was held before."""
        if self.former is None:
            from agent.clock.estimate import former_times  # noqa: PLC0415 - rare, and memory is short

            self.former = former_times.FormerTimes()
        return self.former

    def _drop_former(self) -> None:
        self.former, self._held = None, []

    def set_rate(self, rate_ppt: int) -> None:
        """Set the rate before a line is fitted, ppt."""
        self.rate_ppt = rate_ppt

    def drop_open(self) -> None:
        """Drop the samples of the open block."""
        self.offset_fit.drop_open()
        self._drop_means()

    def host_share(self, growth_ns: int) -> int:
        """Return the part of a growth that is due to slewing by the host, ns."""
        holdover = self._holdover
        return growth_ns * holdover.host_ppt // (holdover.limit_ppt or 1)

    def is_disputed(self) -> bool:
        """Return whether more than one interval could be true."""
        return self.source_rejected or (self.former is not None and self.former.is_open)

    def stated(self, now: int, guarded: bool = True) -> "tuple[int, int]":
        """Return the interval at `now` with all that could be true, ns.

        `guarded`: also after an unseen drag (`agent.clock.estimate.offset_interval`).
        """
        lo, hi = self.interval.stated(now, guarded)
        lo, hi = self.varying.widen(lo, hi, now)
        if self._candidates is not None:
            lo, hi = self._candidates.widen(lo, hi, now)
        if self.former is not None:
            low, high = self.former.range_at(now)
            lo, hi = lo + low, hi + high
        for until, held in self._held:
            if now < until:
                low, high = held.stated(now, guarded)
                lo, hi = min(lo, low), max(hi, high)
        return lo, hi

    def held(self, now: int) -> "tuple[int, int]":
        """Return the interval that is held at `now`, without what could be true beside it, ns."""
        present = self.interval.present
        return (0, 0) if present is None else self.interval.from_mark(present, now)

    def advance(self, now: int) -> None:
        """Move the intervals to `now`; call it when the temperature changes."""
        self.interval.advance(now)
        self.varying.advance(now)
        centi_c, cold, warm = self._holdover.centi_c, self._cold, self._warm
        if centi_c is not None and cold is not None and warm is not None:
            self._cold, self._warm = min(cold, centi_c), max(warm, centi_c)
        if self._candidates is not None:
            self._candidates.advance(now)
        for _, held in self._held:
            held.advance(now)

    def estimate(self, now: int) -> "FittedLine | None":
        """Return the line, moved into the interval at `now` if it is outside. None: no interval."""
        present = self.interval.present
        if present is None:
            return None
        lo, hi = self.interval.from_mark(present, now)
        low, high = self.interval.rates(present, now)
        fit = self.fit
        if fit is None:
            points = self.offset_fit.points
            if not points and self.offset_fit.open_sample_count() and not self.source_rejected:
                points = [self.offset_fit.current_block()]
            slope = max(low, min(high, self.rate_ppt))
            level = (lo + hi) // 2
            if points:
                mean = mean_point(points)
                level = mean.mean + slope * (now - mean.t) // 1_000_000_000
            return FittedLine(now, max(lo, min(hi, level)), 0, slope, 0, 0)
        level = fit.at(now) + self.temp_drift_ns(now)
        slope = max(low, min(high, fit.slope))
        if fit.t - self.offset_fit.points[0].t > _OLD_LINE_US:
            # The bound reaches to the farther end of the interval: near one end it would double.
            whole_lo, whole_hi = self.interval.stated(now, False)
            reach, middle = (whole_hi - whole_lo) // 16, (whole_lo + whole_hi) // 2
            level = max(middle - reach, min(middle + reach, level))
        return FittedLine(now, max(lo, min(hi, level)), 0, slope, fit.noise, fit.skew)

    def _fit_recent(self) -> "FittedLine | None":
        points = self.offset_fit.points
        return fit_recent(points, self._fit_points, self._min_points, _FIT_SPAN_US)

    def _refit(self) -> None:
        """Fit again after a new point. With pulses also train the temperature model."""
        self.fit = fit = self._fit_recent()
        at = self.offset_fit.points[-1].t
        self._temp_mark = self._holdover.temperature_mark(at)
        model, centi_c = self._holdover.tempco_model, self._temp_mark[3]
        if fit and model is not None and centi_c is not None and self._fit_points:
            model.add_pair(centi_c, fit.slope, at)

    def temp_drift_ns(self, now: int) -> int:
        """Return the known time error due to temperature since the fit, ns; 0 if it is unknown."""
        return self._holdover.drift_since(self._temp_mark, now)

    def restart(self) -> None:
        """Drop the line and the interval, and clear the rejection."""
        self.offset_fit.clear()
        self.fit = None
        self.interval.clear()
        self.varying.clear()
        self.source_rejected = False
        self._candidates = None
        self._drop_former()
        self._kept = KeptBlocks()
        self._drop_means()
        self.sigma_ns = 0
