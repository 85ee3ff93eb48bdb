"""Pulses: how good UTC gets, whose second they are, and a drag of time that is seen in time."""

from math import sin

from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, Bench, known


def dragged(bench, drag, most):
    """Learn for 15 minutes, drag, and return after how many seconds it was seen."""
    bench.run(900, ticks=1)
    eq(bench.state(), "sync")
    bench.drag = drag
    for second in range(most):
        bench.run(1, ticks=1)
        if bench.state() == "untrusted":
            return second + 1
    return None


def test_two_microseconds_rms():
    bench = Bench(known(), 3, ppm=7.0, tempco=1.0, pps_us=1.0)
    squares = []

    def watch(b):
        b.temp = 25 + 2 * sin(b.second / 3000)
        if b.second > 600:
            squares.append(b.error_us**2)

    bench.run(1500, watch=watch)
    assert sum(squares) <= 4 * len(squares)
    assert bench.worst <= 0
    eq(bench.clock.rejected, 0)


def test_a_microsecond_a_second_is_seen_within_a_minute_with_a_crystal():
    for seed in (1, 2):
        bench = Bench(known(), seed, ppm=7.0, tempco=1.0, pps_us=1.0)
        assert dragged(bench, 1 if seed == 1 else -1, 60)
        assert bench.worst <= 0


def test_a_hundred_nanoseconds_a_second_is_seen_within_ten_minutes_with_a_tcxo():
    bench = Bench(known(tempco_ppb=50), 1, ppm=1.0, tempco=0.05, pps_us=1.0)
    assert dragged(bench, 0.1, 600)
    # What the drag taught is forgotten: time goes on as if it had not been.
    bench.run(120, ticks=10)
    assert abs(bench.error_us) <= 10
    assert bench.worst <= 0
    eq(bench.clock.verdicts.evidence[-1].check, "rate")


def test_a_slower_change_of_frequency_than_temperature_makes_is_no_alarm():
    bench = Bench(known(), 5, tempco=1.0, pps_us=1.0)

    def watch(b):
        b.temp = 25 + b.second / 600  # 0.1 degree a minute

    bench.run(3600, ticks=1, watch=watch)
    eq(bench.clock.rejected, 0)
    eq(bench.state(), "sync")


def test_pulses_without_a_fix_teach_nothing():
    clock = known()
    for i in range(100):
        clock.pulse(i * SECOND)
    eq(clock.utc(100 * SECOND), None)
    eq(clock.fine.fit, None)


def test_a_stray_pulse_moves_nothing_and_is_named():
    bench = Bench(known(), 4, pps_us=1.0)
    bench.run(300)
    bench.clock.pulse(bench.mono_ns // 1000 + 250_000)
    eq(bench.clock.doubts, ["pulse"])
    eq(bench.state(), "untrusted")
    bench.run(10)
    eq(bench.state(), "sync")
    assert abs(bench.error_us) <= 5


def test_without_pulses_the_learned_line_goes_on_and_then_sentences_take_over():
    bench = Bench(known(), 6, ppm=7.0, pps_us=1.0)
    bench.run(900, ticks=1)
    fine = bench.bound_us
    bench.no_pulse = True
    bench.run(600, ticks=1)
    assert abs(bench.error_us) <= 50
    assert bench.bound_us > 2 * fine
    eq(bench.state(), "sync")
    bench.run(20_000, ticks=1)
    assert bench.worst <= 0
    assert bench.bound_us <= 60_000  # what sentences give


def test_a_conviction_stands_until_the_pulses_agree_or_a_person_forgives():
    bench = Bench(known(tempco_ppb=50), 1, tempco=0.05, pps_us=1.0)
    bench.run(900, ticks=1)
    bench.step_us = 19  # inside the gate of a single pulse
    bench.run(60, ticks=1)
    eq(bench.state(), "untrusted")
    assert bench.clock.fine.convicted
    bench.step_us = 0
    bench.run(60, ticks=1)
    eq(bench.state(), "sync")
    bench.clock.fine.convicted = True
    bench.clock.forgive()
    eq(bench.clock.fine.fit, None)
    assert abs(bench.clock.utc(bench.mono_ns // 1000) - UTC - bench.second * SECOND) <= 5


def test_pulses_put_right_a_latency_that_nobody_configured():
    bench = Bench(known(), 2, ppm=5.0, pps_us=1.0)
    bench.latency_us = 300_000
    bench.run(900)
    eq(bench.state(), "sync")
    eq(bench.clock.rejected, 0)
    assert abs(bench.error_us) <= 5
