"""A witness: it confirms, contradicts, corrects whole seconds, and alone it names the second."""

from agent.clock.utc_clock import Clock
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, Bench, TrueFix, known

SURE, VAGUE = 100_000, 700_000


def truth(bench):
    """Now by the clock's time, and what UTC is."""
    return bench.mono_ns // 1000, UTC + bench.second * SECOND


def test_a_witness_that_agrees_confirms_the_leap_seconds():
    bench = Bench(Clock(50_000), 1)
    bench.run(60, ticks=1)
    now, utc = truth(bench)
    eq(bench.clock.witness(utc + 300_000, VAGUE, now), True)
    eq(bench.clock.flags(), ["leap_uncertain"])  # it cannot tell a second
    eq(bench.clock.witness(utc + 50_000, SURE, now), True)
    eq(bench.clock.flags(), [])


def test_two_words_correct_whole_seconds_while_those_are_not_known():
    bench = Bench(Clock(50_000), 2)
    bench.leap_s = 18
    bench.run(60, ticks=1)
    for _ in range(2):
        now, utc = truth(bench)
        eq(bench.clock.witness(utc, SURE, now), False)
        bench.run(1)
    assert abs(bench.error_us) < 50_000
    eq(bench.state(), "untrusted")  # the receiver still says something else
    bench.leap_s = 0
    bench.run(5)
    eq((bench.state(), bench.worst <= 0), ("sync", True))


def test_a_contradiction_is_an_alarm_and_widens_the_bound_until_it_is_taken_back():
    bench = Bench(known(), 3)
    bench.run(600, ticks=1)
    now, utc = truth(bench)
    bench.clock.witness(utc + 5 * SECOND, SURE, now)
    eq(bench.state(), "sync")  # once may be a mistake
    bench.clock.witness(utc + 5 * SECOND, SURE, now)
    eq((bench.state(), bench.clock.doubts), ("untrusted", ["witness"]))
    bench.run(30, ticks=1)
    eq(bench.state(), "untrusted")
    assert bench.bound_us >= 5 * SECOND
    evidence = bench.clock.verdicts.evidence[-1]
    eq(evidence.check, "witness")
    assert 4_900_000 < evidence.figure < 5_100_000
    now, utc = truth(bench)
    eq(bench.clock.witness(utc, SURE, now), True)
    bench.run(4)
    eq((bench.state(), bench.clock.doubts), ("sync", []))
    assert bench.bound_us < SECOND


def test_alone_two_words_set_the_label_and_the_sky_refines_it():
    bench = Bench(Clock(50_000), 4, ppm=10.0)
    bench.outage = True
    bench.run(100, ticks=1)
    for _ in range(2):
        now, utc = truth(bench)
        eq(bench.clock.witness(utc + 80_000, SURE, now), None)
        bench.run(10, ticks=1)
    eq((bench.state(), bench.clock.flags()), ("holdover", []))
    assert bench.bound_us < 150_000
    bench.outage = False
    bench.run(600)
    eq(bench.state(), "sync")
    assert abs(bench.error_us) < 20_000
    eq(bench.worst <= 0, True)


def test_alone_a_single_word_or_two_that_differ_set_nothing():
    clock = Clock(50_000)
    clock.witness(UTC, SURE, 0)
    eq(clock.utc(0), None)
    clock.witness(UTC + 60 * SECOND, SURE, SECOND)
    eq(clock.utc(SECOND), None)
    clock.witness(UTC + 70 * SECOND, SURE, 11 * SECOND)
    eq(clock.utc(11 * SECOND), UTC + 70 * SECOND)


def test_with_a_label_from_a_witness_a_lie_is_no_first_fix():
    clock = Clock(50_000)
    for i in range(2):
        clock.witness(UTC + i * SECOND, SURE, i * SECOND)
    for i in range(2, 9):
        assert not clock.sample(TrueFix(UTC + (i + 4) * SECOND, i * SECOND))
    eq(clock.doubts, ["step"])
    assert abs(clock.utc(9 * SECOND) - UTC - 9 * SECOND) < 10_000


def test_a_witness_from_before_the_floor_is_none():
    clock = Clock(50_000, floor_us=UTC)
    for i in range(3):
        eq(clock.witness(UTC - 86_400 * SECOND + i * SECOND, SURE, i * SECOND), False)
    eq((clock.utc(3 * SECOND), clock.doubts), (None, ["floor"]))
