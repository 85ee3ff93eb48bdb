# SPDX-License-Identifier: Apache-2.0
"""Recorded states of the parts of the clock that estimate: interval, line, source, budget.

As `test_clock_traces`: they do not say that an estimate is right, but each change of one is seen,
also of a value that no output shows soon. To write the new records, from the root:

    python -m tests.portable.agent.clock.test_source_traces
"""

from agent.clock.estimate.error_budget import ErrorBudget, StatedErrors
from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.offset_interval import OffsetInterval
from agent.clock.estimate.oscillator import OffsetFit, fit_line, isqrt
from agent.clock.estimate.pulse_source import PulseBudget, PulseSource
from agent.clock.estimate.time_source import TimeSource
from protocols.time_units import SECOND
from tests.portable.agent.clock.trace_records import RECORDS
from tests.portable.agent.control.law.trace_tools import ExactRecord, Noise
from tests.portable.support.check import eq

START = 1000 * SECOND
HOLDOVERS = ((20_000, 1_000, 0, True), (50_000, 500, 0, False), (2_000, 100, 300, True))
"""`drift_ppb`, `tempco_ppb_per_c`, `host_slew_ppb`, with a sensor of the temperature."""


def record_interval(out, interval, now):
    marks = list(interval._marks)
    if interval.present is not None:
        marks.append(interval.present)
        out.add(*interval.stated(now))
        out.add(*interval.stated(now, False))
        out.add(*interval.stated_rates(now))
    out.add(len(marks), interval.rate_is_false)
    for mark in marks:
        out.add(mark.t, mark.lo, mark.hi, mark.rate_lo, mark.rate_hi, mark.rate_t, mark.centi_c)
        out.add(mark.cold, mark.warm, *(mark.calm or (None,)))


def trace_interval():
    out, noise = ExactRecord(), Noise()
    for drift, tempco, host, has_sensor in HOLDOVERS:
        holdover = Holdover(drift, tempco, host)
        interval = OffsetInterval(holdover, 64 * SECOND, 128 * SECOND)
        now, centi_c, rate = START, 2500, drift // 2
        record_interval(out, interval, now)
        for step in range(240):
            now += (8 + noise.below(40) + (9000 if step == 150 else 0)) * SECOND
            if has_sensor and not 100 < step < 110:
                centi_c += noise.below(31) - 15
                holdover.add_temperature(centi_c, now)
                interval.advance(now)
            true_ns = rate * (now - START) // 1_000_000
            if step in (60, 61, 130):
                true_ns += 40_000_000  # a false time
            if step > 180:
                rate += drift // 30  # it leaves the limits in the end
            width = 20_000 + noise.below(400_000)
            late = noise.below(3) * SECOND if step % 7 == 0 else 0
            found = interval.add(now - late, true_ns - width, true_ns + width)
            out.add(found)
            if found:
                out.add(interval.rewind(interval.rate_is_false))
            record_interval(out, interval, now)
        interval.clear()
        record_interval(out, interval, now)
        out.add(*interval.stated(now))
        out.add(interval.rewind(False), interval.advance(now))
        interval.begin(now, -5, 9, (-90_000_000, 90_000_000))
        record_interval(out, interval, now)
    return out.sum


def record_fit(out, fit):
    out.add(fit.blocks_per_point, fit.deviation, fit.largest, fit.open_sample_count())
    for point in fit.points:
        out.add(*point)
    if len(fit.points) > 2:
        line = fit_line(fit.points)
        out.add(line.t, line.level, line.lower_envelope, line.slope, line.noise, line.skew)
        out.add(line.at(line.t + 12_345_678), line.envelope_at(line.t - 7_654_321))


def trace_fit():
    out, noise = ExactRecord(), Noise()
    for number in list(range(20)) + [99, 100, 101, 10**6 - 1, 10**6, 2**40 + 12345, 10**18]:
        out.add(isqrt(number))
    for size, capacity, joined, rank in ((16, 64, 4, 2), (4, 8, 2, 0), (5, 7, 4, 1), (3, 2, 1, 3)):
        fit = OffsetFit(size, capacity, joined, rank)
        record_fit(out, fit)
        fit.limit_slope(20_000)
        now = START
        for step in range(400):
            now += SECOND + noise.below(300_000)
            value = 15 * (now - START) // 1000 + noise.below(90_000) - 30_000
            block = fit.add(now, value + (5_000_000 if step > 300 else 0))
            if block is not None:
                out.add(*block)
                out.add(fit.add_block(block))
            elif fit.open_sample_count() and step % 5 == 0:
                out.add(*fit.current_block())
            if step == 200:
                fit.drop_after(now - 50 * SECOND)
            if step % 8 == 0:
                record_fit(out, fit)
        fit.drop_open()
        record_fit(out, fit)
        fit.clear()
        record_fit(out, fit)
    return out.sum


def record_source(out, source, now):
    out.add(source.source_rejected, source.rejected_limit_ns, source.sigma_ns, source.rate_ppt)
    out.add(source.is_disputed(), source.host_share(1_000_003), source.temp_drift_ns(now))
    out.add(*source.stated(now))
    out.add(*source.stated(now + 3600 * SECOND, False))
    line = source.estimate(now)
    if line is not None:
        out.add(line.t, line.level, line.lower_envelope, line.slope, line.noise, line.skew)
    out.add(source._distance, source._consistent, source._measured)
    former = source.former
    if former is not None:
        out.add(former.until, former.low, former.high, former.ppt, former.is_open, *former.kept)
    out.add(source._lines._count)
    out.add(*source._held_rates)
    out.add(len(source._lines._blocks), len(source._lines._levels[0]), source._cold, source._warm)


FAULTS = {
    70: (9_000_000, 30),
    140: (-6_000_000, 3),
    200: (2_500_000, 300),
    560: (700_000, 12),
    640: (30_000_000, 4),
}
"""Sample: (false by ns, for so many samples)."""


def trace_source():
    out = ExactRecord()
    for (drift, tempco, host, has_sensor), spacing_s in zip(HOLDOVERS, (2, 9, 31)):
        noise, holdover = Noise(), Holdover(drift, tempco, host)
        source = TimeSource(
            OffsetFit(4, 16, 4, 2), holdover, 20_000, 0, 4, 32 * SECOND, 64 * SECOND
        )
        now, centi_c, error, until = START, 2500, 0, 0
        record_source(out, source, now)
        source.set_rate(drift * 300)
        for step in range(760):
            now += spacing_s * SECOND + noise.below(1_000_000)
            if has_sensor and step % 5 == 0:
                centi_c += noise.below(21) - 10
                holdover.add_temperature(centi_c, now)
                source.advance(now)
            if step in FAULTS:
                error, until = FAULTS[step][0], step + FAULTS[step][1]
            wrong = error if step < until else 0
            if step == 720:
                source.drop_open()
            value = drift * 3 * (now - START) // 10_000_000 + noise.below(200_000) + wrong
            out.add(source.add(now, value))
            if step == 655:
                source.accept_candidate()
            if step % 8 == 0 or 0 < step - until < 9:
                record_source(out, source, now)
        source.restart()
        record_source(out, source, now)
    return out.sum


def trace_budget():
    out = ExactRecord()
    for latency_us, pulse_us in ((10_000, None), (None, None), (300, 20), (None, 5)):
        noise, holdover = Noise(), Holdover(20_000, 1_000, 50)
        nmea = TimeSource(OffsetFit(8, 16, 4, 2), holdover, 100_000, 0, 4, 32 * SECOND, 64 * SECOND)
        stated = StatedErrors(latency_us, pulse_us, 50, 0)
        pps = PulseSource(holdover, stated.pulse_us, stated.cable_ns)
        budgets = (ErrorBudget(nmea, stated), PulseBudget(nmea, stated, pps))
        now = START
        for step in range(300):
            now += SECOND + 8
            drag = 40 * max(0, step - 200) * 1000
            nmea.add(now, 6_000 * step + noise.below(20_000_000) + drag)
            window = budgets[1].sentences(now)
            if step > 20 and not 120 < step < 140:
                false_us = 300_000 if step % 50 == 0 else 0
                edge = now - (now + 777) % SECOND + noise.below(3) + false_us
                out.add(*pps.add_pulse(edge, 777, *window))
                out.add(pps.verified, pps.path_ns(), pps.is_disputed())
            if step % 6:
                continue
            out.add(*window)
            for budget in budgets:
                out.add(budget.early_ns, budget.late_ns, budget.best_source(now) is nmea)
                for source in (nmea, pps):
                    if source.interval.present is None or (source is pps and budget is budgets[0]):
                        continue
                    out.add(budget.bound_ns(source, 6_000 * step, now))
                    for name, value in budget.terms(source, 6_000 * step, now):
                        out.add(name, value)
    return out.sum


def test_interval():
    eq(trace_interval(), RECORDS["trace_interval"])


def test_fit():
    eq(trace_fit(), RECORDS["trace_fit"])


def test_source():
    eq(trace_source(), RECORDS["trace_source"])


def test_budget():
    eq(trace_budget(), RECORDS["trace_budget"])


if __name__ == "__main__":
    for trace in sorted(name for name in globals() if name.startswith("trace_")):
        print('    "%s": %d,' % (trace, globals()[trace]()))
