# SPDX-License-Identifier: Apache-2.0
"""Limits of the interval and of the source: values on both sides, and the start values."""

from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.offset_interval import Mark, OffsetInterval
from agent.clock.estimate.oscillator import OffsetFit
from agent.clock.estimate.time_source import TimeSource
from protocols.time_units import SECOND
from tests.portable.support.check import eq

TWO_HOURS = 7200 * SECOND


def make_interval():
    interval = OffsetInterval(Holdover(20_000, 100), 64 * SECOND, 64 * SECOND)
    interval.begin(0, 0, 0)
    return interval


def test_a_mark_guards_for_two_hours_and_eight_times_its_distance_from_the_begin():
    interval = make_interval()
    for t, now, is_guard in (
        (TWO_HOURS, 2 * TWO_HOURS, True),
        (TWO_HOURS, 2 * TWO_HOURS + 1, False),
        (1000, 9000, True),
        (1000, 9001, False),
    ):
        eq((t, now, interval._is_guard(t, now)), (t, now, is_guard))


def test_a_contradiction_of_less_than_a_nanosecond_has_its_sign():
    for lo, rates, found in (
        (3, (-4, 4), 1),  # at least 5 ppt, at most 4
        (-3, (-4, 4), -1),
        (3, (-5, 5), 0),
        (-3, (-5, 5), 0),
    ):
        interval = make_interval()
        interval.rates = lambda *_, limits=rates: limits
        interval._mean_change = lambda *_: 0
        eq((lo, interval._learn_rate(Mark(600 * SECOND, lo, lo, 0, 0))), (lo, found))
        eq(interval.rate_is_false, found != 0)


def test_the_distance_of_a_rejected_source_is_a_whole_number_of_ns():
    """A board has single floats: they would lose the nanoseconds."""
    source = TimeSource(
        OffsetFit(4, 16, 4, 2), Holdover(20_000, 100), 20_000, 0, 4, 32 * SECOND, 64 * SECOND
    )
    source.measure(SECOND, -1000, 1000)
    source.measure(2 * SECOND, 10_000_000, 10_002_001)
    eq(source.source_rejected, True)
    first = source._distance
    source.measure(3 * SECOND, 20_000_000, 20_002_001)
    eq((first > 9_000_000, source._distance > first), (True, True))
    eq([type(first), type(source._distance)], [int, int])


def test_without_a_limit_no_slope_is_assumed():
    fit = OffsetFit(4, 16, 4, 2)
    for i in range(4):
        fit.add(i * SECOND, 1000 * i)
    eq(fit.deviation, 1581)  # of 0, 1000, 2000 and 3000 about their mean
