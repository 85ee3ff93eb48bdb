"""The clock: when it sets its label, how it slews, whom it believes, what it states."""

from agent.clock import Clock
from protocols.timing import MILLISECOND, SECOND
from tests.portable.check import eq

UTC = 1_795_500_000 * SECOND


class FakeFix:
    """A fix as the driver gives it."""

    def __init__(self, utc_us, mono_us, valid=True):
        self.utc_us = utc_us
        self.mono_us = mono_us
        self.valid = valid


def settled(mono=0):
    clock = Clock(50_000)
    for i in range(20):
        clock.sample(FakeFix(UTC + i * SECOND, mono + i * SECOND))
    return clock


def test_first_label_needs_three_fixes_that_agree():
    clock = Clock(50_000)
    for i in range(2):
        clock.sample(FakeFix(UTC + i * SECOND, i * SECOND))
        eq(clock.utc(i * SECOND), None)
        eq(clock.state(i * SECOND), "free")
    clock.sample(FakeFix(UTC + 2 * SECOND, 2 * SECOND))
    eq(clock.utc(2 * SECOND), UTC + 2 * SECOND)
    eq(clock.state(2 * SECOND), "sync")


def test_a_first_fix_that_the_others_contradict_is_forgotten():
    clock = Clock(50_000)
    clock.sample(FakeFix(UTC + 3600 * SECOND, 0))
    for i in range(1, 3):
        clock.sample(FakeFix(UTC + i * SECOND, i * SECOND))
        eq(clock.utc(i * SECOND), None)
    clock.sample(FakeFix(UTC + 3 * SECOND, 3 * SECOND))
    eq(clock.utc(3 * SECOND), UTC + 3 * SECOND)
    eq(clock.rejected, 1)


def test_void_fixes_say_nothing():
    clock = Clock(50_000)
    for i in range(9):
        assert not clock.sample(FakeFix(UTC + i * SECOND, i * SECOND, valid=False))
    eq(clock.utc(9 * SECOND), None)


def test_offset_moves_by_at_most_one_percent_of_a_tick():
    clock = settled()
    for i in range(20, 40):
        clock.sample(FakeFix(UTC + i * SECOND + 50 * MILLISECOND, i * SECOND))
    before = clock.offset
    clock.slew(100 * MILLISECOND)
    eq(clock.offset - before, MILLISECOND)
    for _ in range(100):
        clock.slew(100 * MILLISECOND)
    eq(clock.offset - before, 50 * MILLISECOND)


def test_a_jump_is_not_believed_and_is_named():
    clock = settled()
    for i in range(20, 26):
        assert not clock.sample(FakeFix(UTC + (i + 4) * SECOND, i * SECOND))
        clock.slew(100 * MILLISECOND)
    eq(clock.utc(25 * SECOND), UTC + 25 * SECOND)
    eq(clock.rejected, 6)
    eq(clock.state(25 * SECOND), "untrusted")


def test_holdover_states_a_bound_that_grows_with_the_drift():
    clock = settled()
    last = 19 * SECOND
    eq(clock.state(last + 3 * SECOND), "sync")
    eq(clock.state(last + 4 * SECOND), "holdover")
    early, late = clock.bound_us(last), clock.bound_us(last + 1000 * SECOND)
    eq(late - early, 50_000)


def test_after_a_long_silence_the_drift_is_allowed_for():
    clock = settled()
    away = 20_000 * SECOND
    # 50 ppm over 20000 s is 1 s: what the oscillator may have drifted is believed, more is not.
    assert clock.sample(FakeFix(UTC + away + 900 * MILLISECOND, away))
    clock = settled()
    assert not clock.sample(FakeFix(UTC + away + 1300 * MILLISECOND, away))


def test_bound_covers_the_spread_of_the_samples():
    clock = Clock(50_000)
    for i in range(16):
        clock.sample(FakeFix(UTC + i * SECOND + (i % 2) * 30 * MILLISECOND, i * SECOND))
    assert clock.bound_us(15 * SECOND) >= 30 * MILLISECOND
