# SPDX-License-Identifier: Apache-2.0
"""A rejected source is followed again in time, and with the right limits of the rate."""

from agent.clock.estimate.error_budget import ErrorBudget, StatedErrors
from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.oscillator import OffsetFit
from agent.clock.estimate.time_source import RECOVERY, TimeSource
from protocols.time_units import SECOND
from tests.portable.support.check import eq

WIDTH = 400_000
"""Half of a measurement, ns."""
LIMIT_PPB = 20_000


def make_source(until_s, every_s=16, rate_ppb=0):
    """Return a source that was true for a time: a measurement each `every_s`. 25 degrees."""
    holdover = Holdover(LIMIT_PPB, 100)
    source = TimeSource(OffsetFit(4, 16, 4, 2), holdover, 20_000, 0, 4, 128 * SECOND, 256 * SECOND)
    for at in range(0, until_s, every_s):
        say(source, at, rate_ppb * at)
    return source


def say(source, at_s, value_ns, width=WIDTH):
    source._holdover.add_temperature(2500, at_s * SECOND)
    source.advance(at_s * SECOND)
    return source.measure(at_s * SECOND, value_ns - width, value_ns + width)


def held_ns(source, at_s):
    lo, hi = source.interval.from_mark(source.interval.present, at_s * SECOND)
    return (lo + hi) // 2


def test_an_agreement_by_chance_does_not_begin_the_recovery_again():
    source = make_source(1600)
    begin, step = 1600, 6_000_000
    for at in range(begin, begin + 2 * RECOVERY // SECOND, 16):
        if (at - begin) // 16 in (30, 60):  # noise: between both, and it excludes none
            say(source, at, (held_ns(source, at) + step) // 2, step)
        else:
            say(source, at, step)
        if not source.source_rejected:
            break
    assert not source.source_rejected
    assert at - begin <= RECOVERY // SECOND + 320, at - begin


def test_a_drag_that_ends_while_it_is_rejected_delays_the_recovery_by_minutes_only():
    # A drag of 8 us/s stops. Only a rate that is better known contradicts that, minutes later.
    for end in (2000, 2300):
        source = make_source(1600)
        say(source, 1600, 50_000_000)
        assert source.source_rejected
        followed = None
        for at in range(1616, 6000, 16):
            say(source, at, 50_000_000 + 8_000 * (min(at, end) - 1600), 1_000_000)
            if not source.source_rejected:
                followed = at
                break
        assert followed is not None
        assert followed <= end + RECOVERY // SECOND + 320, (end, followed)


def test_the_rate_of_a_drag_is_not_that_of_the_source_which_is_followed_after_it():
    # From the begin on, a drag of 12 us/s is in the rate of 15. Its end is seen: it steps back.
    source = make_source(2400, rate_ppb=15_000)
    for at in range(2400, 2400 + 2 * RECOVERY // SECOND, 16):
        say(source, at, 3_000 * at)
    assert not source.source_rejected
    low, high = source.interval.rates(source.interval.present, at * SECOND)
    assert low <= 3_000_000 <= high, (low, high)
    for later in range(at, at + 7_200, 16):
        eq(say(source, later, 3_000 * later), 0)


def test_the_late_effect_of_a_drag_that_ended_long_ago_is_corrected_immediately():
    # The source moves for some minutes, too little to be seen. Its interval stays false.
    for late in (RECOVERY // SECOND + 320, 3600):
        source = make_source(1600)
        interval = source.interval
        interval.begin(1600 * SECOND, 2_000_000 - WIDTH, 2_000_000 + WIDTH, (-1_000, 1_000))
        for at in range(1616, 1600 + late, 16):  # as wide as the false interval needs
            say(source, at, 0, 2 * WIDTH + 2_000_000)
            assert not source.source_rejected
        found = source.measure((1600 + late) * SECOND, -WIDTH, WIDTH, True)
        assert found, late
        assert not source.source_rejected, late
        lo, hi = source.stated((1600 + late) * SECOND)
        assert lo <= 0, (lo, hi)
        assert hi >= 2_000_000, (lo, hi)


def test_evidence_from_before_the_contradiction_counts():
    source = make_source(1600)
    for at in range(1600, 2500, 16):  # it agrees with the interval from before, too
        say(source, at, 30_000_000, 40_000_000)
    assert not source.source_rejected
    for at in range(2500, 6000, 16):
        say(source, at, 30_000_000)
        if not source.source_rejected:
            break
    assert 1600 + RECOVERY // SECOND <= at <= 1900 + RECOVERY // SECOND + 32, at


def test_the_bound_has_all_candidates():
    source = make_source(1600)
    for at in range(1600, 2400, 16):
        say(source, at, 90_000_000 - 4_000 * (at - 1600))
    lo, hi = source.stated(2400 * SECOND)
    assert lo <= 90_000_000 - 4_000 * 800 <= hi, (lo, hi)


def test_what_was_held_before_grows_from_the_end_of_the_dispute_only():
    begin = 50_000  # a controller that has run for half a day
    source = make_source(begin)
    for at in range(begin, begin + 2 * RECOVERY // SECOND, 16):
        held = source.stated(at * SECOND)
        say(source, at, 30_000_000)
        if not source.source_rejected:
            break
    assert source.is_disputed()
    lo, hi = source.stated(at * SECOND)
    assert held[0] - 3 * WIDTH <= lo, (held, lo, hi)
    assert hi <= held[1] + 3 * WIDTH, (held, lo, hi)


def test_pulses_keep_their_second_in_a_dispute_of_more_than_a_second():
    source = make_source(1600)
    for at in range(1600, 4000, 16):
        say(source, at, 30_000_000)
    source.former_times().open(-700_000_000, 600_000_000, 4000 * SECOND)
    budget = ErrorBudget(source, StatedErrors(3_000, None, 0, 0))
    lo, hi = budget.sentences(4000 * SECOND)
    assert hi - lo == SECOND * 1000 - 1
    assert -500_000_000 < lo < 0, lo
    unknown = ErrorBudget(source, StatedErrors(None, None, 0, 0))
    lo, hi = unknown.sentences(4000 * SECOND)
    assert 20_000_000 < lo <= 30_000_000, lo
