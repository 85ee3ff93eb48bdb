# SPDX-License-Identifier: Apache-2.0
"""Cross-check: it confirms, contradicts, corrects whole seconds, and sets UTC without fixes."""

from agent.clock.utc_clock import UtcClock
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, ClockRig, ReferenceFix, synced_leap_clock

PRECISE_US, COARSE_US = 100_000, 700_000


def reference_utc(bench):
    """Return the time of the clock and UTC."""
    return bench.mono_ns // 1000, UTC + bench.second * SECOND


def test_agreeing_reference_confirms_leap_seconds():
    bench = ClockRig(UtcClock(50_000), 1)
    bench.run(60, ticks=1)
    now, utc = reference_utc(bench)
    eq(bench.clock.cross_check(utc + 300_000, COARSE_US, now), True)
    eq(bench.clock.flags(), ["leap_uncertain"])  # not precise enough for a second
    eq(bench.clock.cross_check(utc + 50_000, PRECISE_US, now), True)
    eq(bench.clock.flags(), [])


def test_two_references_correct_whole_seconds():
    bench = ClockRig(UtcClock(50_000), 2)
    bench.leap_s = 18
    bench.run(60, ticks=1)
    for _ in range(2):
        now, utc = reference_utc(bench)
        eq(bench.clock.cross_check(utc, PRECISE_US, now), False)
        bench.run(1)
    assert abs(bench.error_us) < 50_000
    eq(bench.state(), "untrusted")  # the receiver still sends the old time
    bench.leap_s = 0
    bench.run(5)
    eq((bench.state(), bench.max_excess_us <= 0), ("sync", True))


def test_a_false_reference_leaves_the_second_of_the_fixes_in_the_bound():
    for silent in (False, True):
        bench = ClockRig(UtcClock(50_000), 2)
        bench.run(60, ticks=1)
        bench.outage = silent
        for _ in range(4):
            now, utc = reference_utc(bench)
            bench.clock.cross_check(utc + 5 * SECOND, PRECISE_US, now)
            bench.run(64, ticks=1)
        eq((bench.clock.whole_second_steps, bench.max_excess_us <= 0), (1, True))


def test_disagreement_is_alarmed_and_widens_bound():
    bench = ClockRig(synced_leap_clock(), 3)
    bench.run(600, ticks=1)
    now, utc = reference_utc(bench)
    bench.clock.cross_check(utc + 5 * SECOND, PRECISE_US, now)
    eq(bench.state(), "sync")  # once can be an error
    bench.clock.cross_check(utc + 5 * SECOND, PRECISE_US, now)
    eq((bench.state(), bench.clock.failed_checks), ("untrusted", ["witness"]))
    bench.run(30, ticks=1)
    eq(bench.state(), "untrusted")
    assert bench.bound_us >= 5 * SECOND
    evidence = bench.clock.evidence_log.entries[-1]
    eq(evidence.check, "witness")
    assert 4_900_000 < evidence.figure < 5_100_000
    now, utc = reference_utc(bench)
    eq(bench.clock.cross_check(utc, PRECISE_US, now), True)
    bench.run(4)
    eq((bench.state(), bench.clock.failed_checks), ("sync", []))
    assert bench.bound_us < SECOND


def test_two_references_alone_set_utc():
    bench = ClockRig(UtcClock(50_000), 4, ppm=10.0)
    bench.outage = True
    bench.run(100, ticks=1)
    for _ in range(2):
        now, utc = reference_utc(bench)
        eq(bench.clock.cross_check(utc + 80_000, PRECISE_US, now), None)
        bench.run(10, ticks=1)
    eq((bench.state(), bench.clock.flags()), ("holdover", []))
    assert bench.bound_us < 150_000
    bench.outage = False
    bench.run(600)
    eq(bench.state(), "sync")
    assert abs(bench.error_us) < 20_000
    eq(bench.max_excess_us <= 0, True)


def test_one_reference_or_two_inconsistent_do_not_set_utc():
    clock = UtcClock(50_000)
    clock.cross_check(UTC, PRECISE_US, 0)
    eq(clock.utc(0), None)
    clock.cross_check(UTC + 60 * SECOND, PRECISE_US, SECOND)
    eq(clock.utc(SECOND), None)
    clock.cross_check(UTC + 70 * SECOND, PRECISE_US, 11 * SECOND)
    eq(clock.utc(11 * SECOND), UTC + 70 * SECOND)


def test_false_first_fix_is_rejected_after_cross_check():
    clock = UtcClock(50_000)
    for i in range(2):
        clock.cross_check(UTC + i * SECOND, PRECISE_US, i * SECOND)
    for i in range(2, 9):
        assert not clock.add_fix(ReferenceFix(UTC + (i + 4) * SECOND, i * SECOND))
    eq(clock.failed_checks, ["step"])
    assert abs(clock.utc(9 * SECOND) - UTC - 9 * SECOND) < 10_000


def test_fixes_and_reference_outvote_the_oscillator():
    """A spoofer set the clock 4 s ahead and has ended: receiver and network say the truth."""
    bench = ClockRig(synced_leap_clock(), 5)
    bench.leap_s = -4
    bench.run(600, ticks=1)
    bench.leap_s = 0
    bench.run(20, ticks=1)
    eq(bench.state(), "untrusted")
    now, utc = reference_utc(bench)
    eq(bench.clock.cross_check(utc, PRECISE_US, now), False)  # once can be an error
    assert abs(bench.error_us) > 3 * SECOND
    bench.run(5, ticks=1)
    now, utc = reference_utc(bench)
    eq(bench.clock.cross_check(utc, PRECISE_US, now), True)
    bench.run(10)
    eq((bench.state(), bench.clock.failed_checks), ("sync", []))
    assert abs(bench.error_us) < 50_000


def test_reference_that_agrees_with_neither_is_not_followed():
    bench = ClockRig(synced_leap_clock(), 6)
    bench.run(600, ticks=1)
    bench.leap_s = -4
    bench.run(20, ticks=1)
    for _ in range(3):
        now, utc = reference_utc(bench)
        eq(bench.clock.cross_check(utc + 9 * SECOND, PRECISE_US, now), False)
        bench.run(1, ticks=1)
    assert abs(bench.error_us) < 50_000
    eq(bench.state(), "untrusted")
    assert bench.bound_us >= 9 * SECOND


def test_reference_before_min_utc_is_rejected():
    clock = UtcClock(50_000, min_utc_us=UTC)
    for i in range(3):
        eq(clock.cross_check(UTC - 86_400 * SECOND + i * SECOND, PRECISE_US, i * SECOND), False)
    eq((clock.utc(3 * SECOND), clock.failed_checks), (None, ["floor"]))


def test_the_bound_covers_the_first_reference_that_disagrees():
    """A receiver that missed a leap second: the next reply can be a minute away."""
    bench = ClockRig(synced_leap_clock(), 6)
    bench.run(600, ticks=1)
    now, utc = reference_utc(bench)
    eq(bench.clock.cross_check(utc + SECOND, PRECISE_US, now), False)
    assert bench.clock.bound_us(now) >= SECOND - PRECISE_US
    eq(bench.state(), "sync")  # once can be an error
    eq(bench.clock.cross_check(utc, PRECISE_US, now), True)
    assert bench.clock.bound_us(now) < SECOND // 2
