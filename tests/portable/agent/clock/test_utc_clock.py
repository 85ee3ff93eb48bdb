# SPDX-License-Identifier: Apache-2.0
"""The clock: first UTC, slewing, rejected fixes, states and error bound."""

from agent.clock.utc_clock import UtcClock
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, ClockRig, ReferenceFix, synced_leap_clock

LONG = ("test_an_hour_of_holdover_stays_within_six_milliseconds",)


def synced_clock(mono=0, count=20):
    clock = synced_leap_clock()
    for i in range(count):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, mono + i * SECOND))
    return clock


def test_first_utc_needs_three_consistent_fixes():
    clock = UtcClock(50_000)
    for i in range(2):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND))
        eq(clock.utc(i * SECOND), None)
        eq(clock.state(i * SECOND), "free")
    clock.add_fix(ReferenceFix(UTC + 2 * SECOND, 2 * SECOND))
    eq(clock.utc(2 * SECOND), UTC + 2 * SECOND)
    eq(clock.state(2 * SECOND), "sync")


def test_inconsistent_first_fix_is_discarded():
    clock = UtcClock(50_000)
    clock.add_fix(ReferenceFix(UTC + 3600 * SECOND, 0))
    for i in range(1, 3):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND))
        eq(clock.utc(i * SECOND), None)
    clock.add_fix(ReferenceFix(UTC + 3 * SECOND, 3 * SECOND))
    eq(clock.utc(3 * SECOND), UTC + 3 * SECOND)
    eq(clock.rejected, 1)


def test_void_fixes_are_ignored():
    clock = UtcClock(50_000)
    for i in range(9):
        assert not clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND, valid=False))
    eq(clock.utc(9 * SECOND), None)


def test_offset_moves_by_at_most_one_percent_of_a_tick():
    clock = synced_clock(count=5)
    for i in range(5, 15):
        clock.add_fix(ReferenceFix(UTC + i * SECOND + 30 * MILLISECOND, i * SECOND))
    before = clock.offset
    clock.slew(100 * MILLISECOND, 14 * SECOND)
    eq(clock.offset - before, MILLISECOND)
    for i in range(100):
        clock.slew(100 * MILLISECOND, 14 * SECOND + i * 100 * MILLISECOND)
    eq(clock.offset - before, 18_461)  # the mean of the first thirteen fixes


def test_time_step_is_rejected_and_recorded():
    clock = synced_clock()
    for i in range(20, 26):
        assert not clock.add_fix(ReferenceFix(UTC + (i + 4) * SECOND, i * SECOND))
        clock.slew(100 * MILLISECOND, i * SECOND)
    eq(clock.utc(25 * SECOND), UTC + 25 * SECOND)
    eq(clock.rejected, 6)
    eq(clock.state(25 * SECOND), "untrusted")


def test_utc_steps_by_whole_seconds_only_after_three_equal_fixes():
    clock = UtcClock(50_000)  # its leap seconds are unknown
    for i in range(20):
        clock.add_fix(ReferenceFix(UTC + i * SECOND, i * SECOND))
    seconds = []
    for i, ahead in enumerate((4, 4, 0, 4, 5, 4, 4, 4, 4), 20):
        clock.add_fix(ReferenceFix(UTC + (i + ahead) * SECOND, i * SECOND))
        seconds.append((clock.utc(i * SECOND) - UTC) // SECOND - i)
    eq(seconds, [0, 0, 0, 0, 0, 0, 0, 4, 4])
    eq(clock.whole_second_steps, 1)


def test_holdover_states_a_bound_that_grows_with_the_drift():
    clock = synced_clock()
    last = 19 * SECOND
    eq(clock.state(last + 3 * SECOND), "sync")
    eq(clock.state(last + 4 * SECOND), "holdover")
    early, late = clock.bound_us(last), clock.bound_us(last + 1000 * SECOND)
    eq(late - early, 50_000)  # no rate is known: 50 ppm


def test_long_outage_widens_the_step_limit():
    # 50 ppm over 20000 s is 1 s: a possible drift is accepted, more is rejected.
    outage = 20_000 * SECOND
    assert synced_clock().add_fix(ReferenceFix(UTC + outage + 900 * MILLISECOND, outage))
    assert not synced_clock().add_fix(ReferenceFix(UTC + outage + 1500 * MILLISECOND, outage))


def test_sentences_alone_give_two_milliseconds_after_ten_minutes():
    square = 0
    for seed in range(6):
        bench = ClockRig(synced_leap_clock(), seed, ppm=30.0 - 12 * seed)
        bench.run(600, ticks=2)
        square += bench.error_us**2
        assert bench.max_excess_us <= 0
    assert square <= 6 * 2_000**2


def test_an_hour_of_holdover_stays_within_six_milliseconds():
    for seed in (1, 2):
        bench = ClockRig(synced_leap_clock(), seed, ppm=-20.0)
        bench.run(3600, ticks=1)
        eq(bench.state(), "sync")
        bench.outage = True
        bench.ppm += 1.0
        bench.run(3600, ticks=1)
        eq(bench.state(), "holdover")
        assert abs(bench.error_us) <= 6_000
        assert bench.max_excess_us <= 0


def test_bound_covers_error_of_first_utc():
    for seed in range(60):
        bench = ClockRig(synced_leap_clock(), seed, ppm=50.0)
        bench.run(30, ticks=1)
        assert bench.max_excess_us <= 0
