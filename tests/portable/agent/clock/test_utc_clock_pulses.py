# SPDX-License-Identifier: Apache-2.0
"""Pulses: precision of UTC, association with seconds, detection of a slow drag."""

from math import sin

from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.pulse_source import PulseSource
from agent.clock.utc_clock import UtcClock
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, ClockRig, synced_leap_clock

LONG = ("test_nmea_source_takes_over_without_pulses",)


def seconds_to_detect_drag(bench, drag, limit_s):
    """Train for 15 minutes, drag the time, and return the seconds until detection."""
    bench.run(900, ticks=1)
    eq(bench.state(), "sync")
    bench.drag = drag
    for second in range(limit_s):
        bench.run(1, ticks=1)
        if bench.state() == "untrusted":
            return second + 1
    return None


def test_two_microseconds_rms():
    bench = ClockRig(synced_leap_clock(), 3, ppm=7.0, tempco=1.0, pps_us=1.0)
    squares = []

    def watch(b):
        b.temp = 25 + 2 * sin(b.second / 3000)
        if b.second > 600:
            squares.append(b.error_us**2)

    bench.run(1500, observe=watch)
    assert sum(squares) <= 4 * len(squares)
    assert bench.max_excess_us <= 0
    eq(bench.clock.rejected, 0)


def test_1_us_per_s_drag_is_detected_within_a_minute():
    for seed in (1, 2):
        bench = ClockRig(synced_leap_clock(), seed, ppm=7.0, tempco=1.0, pps_us=1.0)
        bench.sensor = True  # without it, a drag cannot be distinguished from warming
        assert seconds_to_detect_drag(bench, 1 if seed == 1 else -1, 60)
        assert bench.max_excess_us <= 0


def test_100_ns_per_s_drag_is_detected_with_a_tcxo():
    bench = ClockRig(synced_leap_clock(tempco_ppb_per_c=50), 1, ppm=1.0, tempco=0.05, pps_us=1.0)
    bench.sensor = True
    assert seconds_to_detect_drag(bench, 0.1, 600)
    # The fit drops the blocks of the drag: UTC continues as before.
    bench.run(120, ticks=10)
    assert abs(bench.error_us) <= 10
    assert bench.max_excess_us <= 0
    eq(bench.clock.evidence_log.entries[-1].check, "rate")


def test_temperature_drift_is_no_alarm():
    bench = ClockRig(synced_leap_clock(), 5, tempco=1.0, pps_us=1.0)

    def watch(b):
        b.temp = 25 + b.second / 600  # 0.1 K per minute

    bench.run(3600, ticks=1, observe=watch)
    eq(bench.clock.rejected, 0)
    eq(bench.state(), "sync")


def test_pulses_without_a_fix_are_ignored():
    clock = synced_leap_clock()
    for i in range(100):
        clock.add_pulse(i * SECOND)
    eq(clock.utc(100 * SECOND), None)
    eq(clock.pps, None)


def test_stray_pulse_is_rejected_and_recorded():
    bench = ClockRig(synced_leap_clock(), 4, pps_us=1.0)
    bench.run(300)
    bench.clock.add_pulse(bench.mono_ns // 1000 + 250_000)
    # Sentences and the other pulses outvote it.
    eq((bench.clock.failed_checks, bench.state()), (["pulse"], "sync"))
    bench.run(10)
    eq(bench.clock.failed_checks, [])
    assert abs(bench.error_us) <= 5


def test_nmea_source_takes_over_without_pulses():
    bench = ClockRig(synced_leap_clock(), 6, ppm=7.0, pps_us=1.0)
    bench.run(900, ticks=1)
    fine = bench.bound_us
    bench.no_pulse = True
    bench.run(600, ticks=1)
    assert abs(bench.error_us) <= 50
    assert bench.bound_us > 2 * fine
    eq(bench.state(), "sync")
    bench.run(20_000, ticks=1)
    assert bench.max_excess_us <= 0
    # The precision of sentences, and a drag of two hours that a crystal without a sensor hides.
    assert bench.bound_us <= 110_000


def test_rejection_lasts_until_consistent_or_cleared():
    bench = ClockRig(synced_leap_clock(tempco_ppb_per_c=50), 1, tempco=0.05, pps_us=1.0)
    bench.run(900, ticks=1)
    bench.step_us = 19  # within the limit of a single pulse
    bench.run(60, ticks=1)
    eq(bench.state(), "untrusted")
    assert bench.clock.pps.source_rejected
    bench.step_us = 0
    bench.run(60, ticks=1)
    eq(bench.state(), "sync")
    bench.clock.pps.source_rejected = True
    bench.clock.clear_rejection()
    eq(bench.clock.pps.fit, None)
    assert abs(bench.clock.utc(bench.mono_ns // 1000) - UTC - bench.second * SECOND) <= 5


def test_pulses_correct_an_unconfigured_latency():
    clock = UtcClock(
        50_000, 1_000, UTC - 86_400 * SECOND, True, stated=StatedErrors(None, None, 0, 0)
    )
    bench = ClockRig(clock, 2, ppm=5.0, pps_us=1.0)
    bench.latency_us = 300_000
    bench.run(900)
    eq(bench.state(), "sync")
    eq(bench.clock.rejected, 0)
    assert abs(bench.error_us) <= 5
    assert bench.bound_us > SECOND  # nothing says that the edge is the right one


def test_pulses_wait_while_the_sentences_allow_two_seconds():
    pps = PulseSource(Holdover(3_000, 1_000, 600_000), None, 0)
    second_ns = 1_000_000_000
    narrow, wide = (-300_000_000, 200_000_000), (-1_300_000_000, 200_000_000)
    eq(pps.add_pulse(SECOND, 0, *wide), (0, 0))
    eq(pps.interval.present, None)  # that of -1 s, if it was used
    for i in range(8):
        pps.add_pulse((1 + i) * SECOND, 0, *narrow)
    assert abs(pps.interval.present.lo) < 100_000
    at = pps.interval.present.t
    # An hour later its own interval has several seconds too: it waits, then follows the sentences.
    for i in range(8):
        eq(pps.add_pulse((3600 + i) * SECOND, 0, *wide), (0, 0))
    eq(pps.interval.present.t, at)
    for i in range(8):
        pps.add_pulse((3700 + i) * SECOND, 0, *[limit + second_ns for limit in narrow])
    assert abs(pps.interval.present.lo - second_ns) < 100_000


def test_sentences_say_whether_they_contain_one_second():
    clock = synced_leap_clock()
    bench = ClockRig(clock, 2)
    bench.run(120)
    now = bench.mono_ns // 1000
    for later, is_one in ((0, True), (8_000 * SECOND, True), (20_000 * SECOND, False)):
        lo, hi = clock.errors.sentences(now + later)
        eq((later, hi - lo < 1_000_000_000), (later, is_one))
