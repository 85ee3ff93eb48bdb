# SPDX-License-Identifier: Apache-2.0
"""Selection among NTP servers: the result contains UTC as long as a minority is false."""

from agent.clock.estimate.selection import (
    Interval,
    TimeSample,
    cover,
    interval_at,
    overlap,
    quorum,
    select,
)
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import NoiseSource


def test_quorum():
    eq([quorum(n) for n in range(1, 6)], [1, 2, 2, 3, 3])


def test_one_server_is_the_result():
    eq(select([Interval(3, 9)], 1), (3, 9))
    eq(select([], 1), None)


def test_two_servers_must_overlap():
    eq(select([Interval(0, 10), Interval(5, 20)], 2), (5, 10))
    eq(select([Interval(0, 10), Interval(10, 20)], 2), (10, 10))
    eq(select([Interval(0, 10), Interval(11, 20)], 2), None)
    eq(select([Interval(0, 10)], 2), None)


def test_false_server_of_three():
    eq(select([Interval(0, 10), Interval(2, 9), Interval(50, 60)], 3), (2, 9))
    # a false one that overlaps a part of the true ones does not make the result narrower
    eq(select([Interval(0, 10), Interval(0, 10), Interval(8, 30)], 3), (0, 10))
    # one of three is silent: one of the other two can be false
    eq(select([Interval(0, 10), Interval(8, 30)], 3), (0, 30))


def test_interval_grows_with_the_drift():
    sample = TimeSample(1_000, 50, 0)
    eq(interval_at(sample, 100 * SECOND, 20_000), (1_000 - 2_050, 1_000 + 2_050))


def test_cover_needs_no_agreement():
    eq(cover([], 2), None)
    eq(cover([Interval(0, 1), Interval(5, 6)], 2), (0, 6))
    eq(cover([Interval(0, 4), Interval(3, 6), Interval(9, 10)], 3), (3, 4))
    eq(cover([Interval(0, 4)], 3), (0, 4))
    eq(cover([Interval(0, 1), Interval(3, 6), Interval(9, 10)], 3), (0, 10))


def test_overlap():
    eq(overlap(Interval(0, 1), Interval(1, 2)), True)
    eq(overlap(Interval(2, 3), Interval(0, 1)), False)


def test_result_contains_the_truth_while_a_minority_is_false():
    """Drawn: 1 to 5 servers, silent ones too; true intervals contain 0, false ones are anywhere."""
    noise = NoiseSource(7)
    results = 0
    for _ in range(3_000):
        servers = 1 + noise.below(5)
        false = noise.below(servers - quorum(servers) + 1)
        true = quorum(servers) - 1 + noise.below(servers - false - quorum(servers) + 2)
        intervals = []
        for _ in range(false):
            low = noise.below(200) - 100
            intervals.append(Interval(low, low + noise.below(60)))
        intervals += [Interval(-noise.below(60), noise.below(60)) for _ in range(true)]
        found = select(intervals, servers)
        if found is not None:
            results += 1
            assert found.low <= 0 <= found.high, (servers, intervals, found)
        elif true >= quorum(servers):
            raise AssertionError(("no result", servers, intervals))
    assert results > 1_500, results
