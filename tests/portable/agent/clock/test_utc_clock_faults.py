# SPDX-License-Identifier: Apache-2.0
"""Faults: steps of time and position, unknown leap seconds, week rollovers."""

import json

from agent.clock.estimate.oscillator import isqrt
from agent.clock.evidence import EvidenceLog
from agent.clock.leap_second import LeapSecondTracker, time_scale_name, whole_seconds
from agent.clock.persistence import TimeRecord
from agent.clock.position_check import PositionCheck
from agent.clock.utc_clock import UtcClock
from protocols.calendar import utc_from_civil
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import (
    UTC,
    ClockRig,
    NoiseSource,
    ReferenceFix,
    synced_leap_clock,
)

LONG = (
    "test_random_faults_never_break_the_bound",
    "test_a_false_leap_second_at_the_new_year_stays_in_the_bound",
)

WEEKS_1024 = 1024 * 7 * 86_400 * SECOND


def test_four_second_step_is_detected_in_one_epoch():
    bench = ClockRig(synced_leap_clock(), 1, ppm=3.0)
    bench.run(600, ticks=1)
    bench.leap_s = 4
    bench.run(1)
    eq(bench.state(), "untrusted")
    eq(bench.clock.failed_checks, ["step"])
    evidence = bench.clock.evidence_log.entries[-1]
    eq(time_scale_name(evidence.figure, evidence.limit), "BDT")
    bench.run(600, ticks=1)
    assert abs(bench.error_us) <= 5_000
    assert bench.max_excess_us <= 0
    bench.leap_s = 0
    bench.run(5)
    eq(bench.state(), "sync")
    eq(bench.clock.flags(), [])


def test_500_km_step_is_detected_in_one_epoch():
    bench = ClockRig(synced_leap_clock(), 2)
    bench.run(600, ticks=1)
    accepted = bench.clock.accepted
    bench.away_e7 = 45_000_000
    bench.run(1)
    eq(bench.state(), "untrusted")
    eq(bench.clock.failed_checks, ["position"])
    bench.run(60, ticks=1)
    eq(bench.clock.accepted, accepted)
    evidence = bench.clock.evidence_log.entries[-1]
    assert 495_000 < evidence.figure < 505_000
    eq(bench.clock.evidence_log.counts["position"], 61)
    eq((len(bench.clock.evidence_log.entries), evidence.count, evidence.limit), (1, 61, 100))
    eq(evidence.time - evidence.since > 59 * SECOND, True)


def test_configured_position_is_checked_from_first_fix():
    bench = ClockRig(synced_leap_clock(site_e7=(100_000_000, 100_000_000)), 3)
    bench.run(60, ticks=1)
    eq(bench.state(), "free")
    assert bench.clock.rejected >= 59


def test_position_check_distance():
    check = PositionCheck((0, 1_799_999_999))
    fix = ReferenceFix(0, 0, lat_e7=0, lon_e7=-1_799_999_999)
    eq(check.distance_m(fix), 0)  # across the date line
    check = PositionCheck((600_000_000, 0))
    fix = ReferenceFix(0, 0, lat_e7=600_000_000, lon_e7=100_000)
    assert 550 <= check.distance_m(fix) <= 562  # cos 60° is 0.5
    fix.lat_e7 = None
    eq(check.distance_m(fix), 0)


def test_three_late_sentences_in_a_row_are_rejected():
    clock = synced_leap_clock()
    for i in range(20):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND))
    late = 500 * MILLISECOND
    for i in (20, 21):
        assert not clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND + late))
        eq(clock.state(i * SECOND), "sync")
    clock.add_fix(ReferenceFix(UTC + 22 * SECOND, 22 * SECOND + late))
    eq(clock.state(22 * SECOND), "untrusted")
    eq(clock.late, 3)


def fixes_at_the_tolerance(clock, begin, count):
    """Add fixes that are late by 0.2 s and some more; one a minute is late by a little less."""
    for i in range(begin, begin + count):
        late = (195 if i % 60 == 0 else 210) * MILLISECOND
        clock.add_fix(ReferenceFix(UTC + i * SECOND, (1000 + i) * SECOND + late))
        clock.slew(SECOND, (1000 + i) * SECOND + 300 * MILLISECOND)


def test_fixes_at_the_limit_of_the_tolerance_are_followed_too():
    clock = synced_leap_clock()
    for i in range(900):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, (1000 + i) * SECOND))
        clock.slew(SECOND, (1000 + i) * SECOND)
    fixes_at_the_tolerance(clock, 900, 1150)
    eq(clock.state(3050 * SECOND), "untrusted")
    fixes_at_the_tolerance(clock, 2050, 120)
    now = 3170 * SECOND
    eq(clock.state(now), "sync")
    assert abs(clock.utc(now) - UTC - 2170 * SECOND + 210 * MILLISECOND) < 20 * MILLISECOND


def test_fixes_that_agree_with_good_pulses_are_no_step():
    # The line of the sentences is false: a spoofer moved it, and the pulses outvoted it.
    bench = ClockRig(synced_leap_clock(), 5, ppm=1.0, pps_us=1.0)
    bench.run(600, ticks=1)
    eq(bench.clock.source(), "pulses")
    clock = bench.clock
    line = clock.nmea.fit
    line.level += 230_000_000
    bench.run(6)
    eq((bench.state(), clock.failed_checks), ("sync", []))


def test_bound_is_19_s_while_leap_seconds_unknown():
    bench = ClockRig(UtcClock(50_000), 4)
    bench.leap_s = 18
    bench.run(700, ticks=1)
    eq(bench.clock.flags(), ["leap_uncertain"])
    eq(bench.state(), "sync")
    assert bench.bound_us >= 19 * SECOND
    bench.leap_s = 0
    bench.run(10)
    assert abs(bench.error_us) <= 10_000
    eq(bench.clock.whole_second_steps, 1)
    assert bench.max_excess_us <= 0
    bench.run(900, ticks=1)
    eq(bench.clock.flags(), ["leap_uncertain"])  # the fixes before do not confirm the step
    bench.run(700, ticks=1)
    eq(bench.clock.flags(), [])
    assert bench.bound_us < SECOND


def test_whole_second_step_keeps_the_fraction():
    bench = ClockRig(UtcClock(50_000), 5)
    bench.leap_s = 4
    bench.run(300)
    before = bench.clock.offset
    bench.leap_s = 0
    bench.run(4)
    moved = bench.clock.offset - before
    assert abs(moved + 4 * SECOND) <= 20 * MILLISECOND


def test_no_whole_second_step_when_leap_seconds_known():
    bench = ClockRig(synced_leap_clock(), 6)
    bench.run(60, ticks=1)
    bench.leap_s = -18
    bench.run(60, ticks=1)
    eq(bench.clock.whole_second_steps, 0)
    eq(bench.state(), "untrusted")


def test_leap_second_is_applied_at_half_year_end_only():
    for start, state in ((utc_from_civil(2027, 1, 1), "sync"), (UTC, "untrusted")):
        clock = synced_leap_clock()
        for i in range(-60, 0):
            clock.add_fix(ReferenceFix(start + i * SECOND, (i + 100) * SECOND))
        for i in range(6):  # 23:59:60 has no fix; 00:00:00 comes a second later
            clock.add_fix(ReferenceFix(start + i * SECOND, (i + 101) * SECOND))
        eq(clock.state(106 * SECOND), state)
        eq(clock.utc(106 * SECOND), start + (5 if state == "sync" else 6) * SECOND)


def test_tracking_gap_restarts_leap_second_wait():
    leap = LeapSecondTracker(False)
    for i in range(700):
        leap.track(i * SECOND)
    for i in range(740, 740 + 1560):
        leap.track(i * SECOND)
        assert leap.uncertain
    leap.track(2300 * SECOND)
    assert not leap.uncertain


def test_lost_sentence_keeps_leap_second_wait():
    leap = LeapSecondTracker(False)
    for i in range(0, 1561, 10):
        leap.track(i * SECOND)
    assert not leap.uncertain


def test_cold_restart_makes_leap_seconds_uncertain():
    clock = UtcClock(20_000)
    start = utc_from_civil(2026, 10, 5) + 100 * SECOND
    for i in range(5):
        clock.add_fix(ReferenceFix(start + i * SECOND, i * SECOND))
    for i in range(37, 37 + 750):  # it lost its leap seconds and is 2 s off
        clock.add_fix(ReferenceFix(start + (i - 2) * SECOND, i * SECOND))
        assert (clock.bound_us(i * SECOND) or 0) > 2 * SECOND
    for i in range(787, 793):
        clock.add_fix(ReferenceFix(start + i * SECOND, i * SECOND))
    eq(clock.utc(793 * SECOND), start + 793 * SECOND)


def test_steps_by_name():
    eq(whole_seconds(4_050_000, 200_000), 4)
    eq(whole_seconds(4_350_000, 200_000), 0)
    eq(whole_seconds(-17_990_000, 200_000), -18)
    eq(time_scale_name(-13_900_000, 200_000), "BDT as GPST")
    eq(time_scale_name(5_000_000, 200_000), None)


def test_date_before_min_utc_is_rejected():
    clock = UtcClock(50_000, min_utc_us=UTC - 86_400 * SECOND)
    for i in range(5):
        assert not clock.add_fix(ReferenceFix(UTC - WEEKS_1024 + i * SECOND, i * SECOND))
    eq(clock.utc(5 * SECOND), None)
    for i in range(5, 8):
        fix = ReferenceFix(UTC + i * SECOND, i * SECOND, valid=False)
        fix.reasons = ("week rollover",)  # the driver has added the weeks
        assert clock.add_fix(fix)
    eq(clock.utc(8 * SECOND), UTC + 8 * SECOND)


def test_evidence_log_is_bounded():
    evidence_log = EvidenceLog()
    for i in range(100):
        evidence_log.add("step", i * SECOND, i, 7)
        evidence_log.add("position", i * SECOND, 2 * i, 9)
    eq(
        [(e.check, e.first, e.figure) for e in evidence_log.entries],
        [("step", 0, 99), ("position", 0, 198)],
    )
    for i in range(100):
        evidence_log.add("step", (i + 4) * 100 * SECOND, i, 7)
    eq(len(evidence_log.entries), 16)
    eq(evidence_log.counts, {"step": 200, "position": 100})


def test_whole_square_roots():
    for n in (0, 1, 2, 3, 4, 15, 16, 17, 99, 1 << 40, (1 << 40) - 1):
        root = isqrt(n)
        assert root * root <= n < (root + 1) * (root + 1)


def test_random_faults_never_break_the_bound():
    for seed in range(1, 9):
        noise = NoiseSource(seed)
        bench = ClockRig(synced_leap_clock(), seed, ppm=noise.uniform() * 80 - 40, pps_us=1.0)
        bench.run(400 + noise.below(400), ticks=1)
        bench.outage = noise.below(2) == 0
        bench.leap_s = (0, 4, -18)[noise.below(3)]
        bench.away_e7 = (0, 1_000_000)[noise.below(2)]
        bench.drag = noise.below(50)
        bench.run(300, ticks=1)
        bench.outage, bench.leap_s, bench.away_e7, bench.drag, bench.total_drag_us = (
            False,
            0,
            0,
            0,
            0.0,
        )
        bench.run(100, ticks=1)
        assert bench.max_excess_us <= 0, seed


def test_two_failed_signal_checks_reject_fixes():
    bench = ClockRig(synced_leap_clock(), 9)
    bench.run(60, ticks=1)
    bench.clock.failed_signal_checks = 2
    bench.run(1)
    eq(bench.state(), "untrusted")
    eq(bench.clock.failed_checks, ["signals"])
    bench.clock.failed_signal_checks = 0
    bench.run(3)
    eq((bench.state(), bench.clock.failed_checks), ("sync", []))


NEW_YEAR = utc_from_civil(2027, 1, 1)


def leap_fix(second, late_us=0):
    """Return the fix of a second around 23:59:60, which is second 0."""
    utc = NEW_YEAR + (second if second <= 0 else second - 1) * SECOND
    fix = ReferenceFix(utc, (second + 100) * SECOND + late_us)
    if not second:
        fix.valid, fix.reasons = False, ("leap second",)
    return fix


def reference_utc(mono_us):
    """Return UTC as a time scale that repeats 00:00:00."""
    utc = NEW_YEAR + mono_us - 100 * SECOND
    return utc - (SECOND if utc >= NEW_YEAR + SECOND else 0)


def test_leap_second_is_applied_within_bound():
    # with 23:59:60; without it; during an outage; with a receiver that repeats a second
    for missing, late in (((), 0), ((0,), 0), ((-1, 0, 1, 2), 0), ((), 30_000)):
        clock = synced_leap_clock()
        for second in range(-60, 42):
            if second not in missing:
                clock.add_fix(leap_fix(second, late if second % 2 else -late))
            for tenth in range(1, 11):
                now = (second + 100) * SECOND + tenth * 100_000
                clock.slew(100_000, now)
                error = abs((clock.utc(now) or reference_utc(now)) - reference_utc(now))
                assert not error or error <= clock.bound_us(now), (missing, second, tenth, error)
        eq((clock.whole_second_steps, clock.leap.leap_s, clock.failed_checks), (1, 19, []))
        eq((clock.evidence_log.counts, clock.state(142 * SECOND)), ({}, "sync"))
        for second in range(42, 90_000, 600):  # the second can be false
            clock.add_fix(leap_fix(second))
            assert clock.bound_us((second + 100) * SECOND) > SECOND or second > 86_400, second
            eq((second, clock.leap.is_suspect()), (second, second < 86_440))


def false_leap_second(clock, until):
    """The receiver states a false 23:59:60 and goes on with it."""
    for second in range(-60, until):
        clock.add_fix(leap_fix(second))
        clock.slew(SECOND, (second + 100) * SECOND)
        if 1 < second < 9_000:
            now = (second + 100) * SECOND
            error = abs(clock.utc(now) - (NEW_YEAR + second * SECOND))
            assert error <= clock.bound_us(now), second


def test_a_false_leap_second_at_the_new_year_stays_in_the_bound():
    clock = synced_leap_clock()
    false_leap_second(clock, 9_000)
    eq(clock.whole_second_steps, 1)


def test_a_restart_keeps_suspect_a_leap_second():
    for is_suspect in (0, 1):
        record = {"version": 1, "utc_us": NEW_YEAR, "mono_us": 0, "leap_s": 19}
        clock = UtcClock(50_000)
        clock.restore(TimeRecord(json.dumps(dict(record, leap_suspect=is_suspect)).encode()), None)
        for second in range(5, 60):
            clock.add_fix(ReferenceFix(NEW_YEAR + second * SECOND, second * SECOND))
        eq((clock.leap.uncertain, clock.bound_us(60 * SECOND) > SECOND), (False, is_suspect == 1))


def test_another_source_confirms_or_denies_a_leap_second():
    for error, is_wide in ((0, False), (SECOND, True)):
        clock = synced_leap_clock()
        false_leap_second(clock, 60)
        now = 160 * SECOND
        eq(clock.cross_check(clock.utc(now) + error, 2_000, now), not is_wide)
        eq(clock.bound_us(now) > SECOND // 2, is_wide)


def test_year_end_without_leap_second():
    clock = synced_leap_clock()
    wide_bounds = []
    for second in range(-60, 1_800):
        clock.add_fix(ReferenceFix(NEW_YEAR + second * SECOND, (second + 100) * SECOND))
        for tenth in range(1, 11):
            now = (second + 100) * SECOND + tenth * 100_000
            clock.slew(100_000, now)
            if (clock.bound_us(now) or 0) > SECOND:
                wide_bounds.append(second)
    eq((clock.whole_second_steps, clock.evidence_log.counts), (0, {}))
    # The receiver can have missed a leap second of either sign.
    eq((wide_bounds[0], wide_bounds[-1]), (-2, 1_560))


def test_a_step_minutes_after_the_year_end_keeps_both_seconds_in_the_bound():
    # A receiver that missed the leap second, or a false one: the clock cannot know which.
    for step in (-1, 1):
        clock = synced_leap_clock()
        for second in range(-4000, 2000):
            clock.add_fix(ReferenceFix(NEW_YEAR + second * SECOND, (second + 5000) * SECOND))
            clock.slew(SECOND, (second + 5000) * SECOND)
        assert clock.bound_us(7000 * SECOND) < SECOND
        for second in range(2000, 9400):
            utc = NEW_YEAR + (second + step) * SECOND
            clock.add_fix(ReferenceFix(utc, (second + 5000) * SECOND))
            clock.slew(SECOND, (second + 5000) * SECOND)
            if 2004 <= second < 7900:  # as long as the fixes agreed before
                eq((second, clock.whole_second_steps), (second, 1))
                assert SECOND <= clock.bound_us((second + 5000) * SECOND) < 2 * SECOND, second
        eq((clock.state(14_399 * SECOND), clock.failed_checks), ("sync", []))
        assert clock.bound_us(14_399 * SECOND) < SECOND


def test_outage_at_month_end_adds_a_second_to_bound():
    clock = synced_leap_clock(drift_ppb=0, tempco_ppb_per_c=0)
    for second in range(-60, -20):
        clock.add_fix(ReferenceFix(NEW_YEAR + second * SECOND, (second + 100) * SECOND))
        clock.slew(SECOND, (second + 100) * SECOND)
    before, after = clock.bound_us(97 * SECOND), clock.bound_us(102 * SECOND)
    assert SECOND - 1000 <= after - before <= SECOND + 1000
    for second in range(3, 1_564):  # then the receiver cannot have missed a leap second
        assert clock.bound_us((second + 99) * SECOND) > SECOND, second
        clock.add_fix(ReferenceFix(NEW_YEAR + second * SECOND, (second + 100) * SECOND))
    assert clock.bound_us(1_663 * SECOND) < SECOND


def test_second_60_within_a_month_is_ignored():
    clock = synced_leap_clock()
    for second in range(60):
        clock.add_fix(ReferenceFix(UTC + second * SECOND, second * SECOND))
    fix = ReferenceFix(UTC + 60 * SECOND, 60 * SECOND)
    fix.valid, fix.reasons = False, ("leap second",)
    assert not clock.add_fix(fix)
    clock.slew(SECOND, 62 * SECOND)
    eq((clock.whole_second_steps, clock.utc(62 * SECOND)), (0, UTC + 62 * SECOND))


def test_fixes_of_overloaded_line_are_late_not_rejected():
    clock = synced_leap_clock()
    for i in range(60):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND))
    for i in range(60, 120):
        fix = ReferenceFix(UTC + i * SECOND, i * SECOND + (i - 59) * 100_000)
        fix.line_overloaded = True
        assert not clock.add_fix(fix)
    eq((clock.late, clock.state(130 * SECOND), clock.evidence_log.counts), (60, "holdover", {}))


def test_a_restart_keeps_the_stored_interval_in_the_bound_for_two_hours():
    record = {"version": 1, "utc_us": UTC, "mono_us": 0, "leap_s": 18, "bound_us": 30_000}
    for uptime, is_kept in ((60, True), (7_300, False)):
        clock = UtcClock(20_000, tempco_ppb_per_c=0)
        clock.restore(TimeRecord(json.dumps(record).encode()), None)
        clock.leap.set_known()
        utc, mono = UTC + 400 * MILLISECOND, uptime * SECOND  # false by 0.4 s
        for second in range(7_400):
            if second % 10 == 0 or second < 60:
                at = (uptime + second) * SECOND
                clock.add_fix(ReferenceFix(utc + at, at))
                clock.slew(SECOND, at)
            if second in (5, 7_100, 7_300):
                is_wide = clock.bound_us(mono + second * SECOND) >= 400 * MILLISECOND
                eq((uptime, second, is_wide), (uptime, second, is_kept and second < 7_200))
        clock.reset()
        eq(clock.bound_us(mono), None)


def test_another_source_limits_the_stored_interval():
    record = {"version": 1, "utc_us": UTC, "mono_us": 0, "leap_s": 18, "bound_us": 300_000}
    clock = UtcClock(20_000, tempco_ppb_per_c=0)
    clock.restore(TimeRecord(json.dumps(record).encode()), None)
    for second in range(60, 120):
        clock.add_fix(ReferenceFix(UTC + second * SECOND, second * SECOND))
        clock.slew(SECOND, second * SECOND)
    now = 120 * SECOND
    assert clock.bound_us(now) > 300_000
    clock.limit_drag(UTC + now, 5_000, now, True)
    assert clock.bound_us(now) < 120_000
