# SPDX-License-Identifier: Apache-2.0
"""Blocks of the past are evidence only as far as they are one straight line."""

from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.mean_lines import KeptBlocks
from agent.clock.estimate.oscillator import OffsetFit
from agent.clock.estimate.time_source import TimeSource
from protocols.time_units import SECOND
from tests.portable.agent.control.law.trace_tools import Noise
from tests.portable.support.check import eq

SIGMA = 1_000_000
END_S = 6_000


def keep(value, every_s=16, width_sigmas=8):
    """Return blocks up to `END_S` whose middles are `value(second)` and noise of `SIGMA`, ns."""
    kept, noise = KeptBlocks(), Noise()
    for at in range(0, END_S, every_s):
        total = sum([noise.below(2 * SIGMA) - SIGMA for _ in range(3)])  # uniform: sigma
        middle = value(at) + total
        half = width_sigmas * SIGMA
        kept.add(at * SECOND, middle - half, middle + half)
    return kept


def span_s(kept):
    part = kept.straight()
    return (part[-1][0] - part[0][0]) // SECOND if part else 0


def test_a_line_is_evidence_of_25_minutes():
    for rate in (0, 20_000, -3_000):
        kept = keep(lambda at, rate=rate: rate * at)
        assert 1_380 <= span_s(kept) <= 1_500, span_s(kept)
        assert 24 <= len(kept.straight()) <= 26


def test_a_drag_that_began_a_short_time_ago_is_not():
    for before_s, rate in ((100, 150_000), (200, 80_000), (400, 40_000), (600, 40_000)):
        begin = END_S - before_s
        kept = keep(lambda at, begin=begin, rate=rate: rate * max(0, at - begin))
        assert span_s(kept) <= before_s + 60, (before_s, span_s(kept))


def test_what_follows_the_end_of_a_drag_is_evidence():
    kept = keep(lambda at: 40_000 * max(0, END_S - 700 - at))
    assert 420 <= span_s(kept) <= 760, span_s(kept)


def test_a_slow_receiver_has_fewer_blocks_and_a_silent_one_none():
    kept = keep(lambda _at: 0, every_s=160)
    eq(len(kept.straight()), 10)
    eq(KeptBlocks().straight(), [])


def test_the_interval_that_was_held_goes_on_by_itself():
    # A false contradiction without a sensor, and a drag that begins then and becomes faster.
    holdover, width = Holdover(20_000, 300), 50_000
    source = TimeSource(OffsetFit(4, 16, 4, 2), holdover, 20_000, 0, 4, 128 * SECOND, 256 * SECOND)
    for at in range(0, 1_600, 16):
        source.measure(at * SECOND, -width, width)
    source.interval.begin(at * SECOND, 60_000, 100_000, (-100_000, 100_000))
    assert source.measure(at * SECOND, -width, width, True)
    assert not source.source_rejected
    for after in range(16, 1_200, 16):
        middle = 6 * after * after  # 12 ppb a second
        source.measure((at + after) * SECOND, middle - width, middle + width)
        lo, hi = source.stated((at + after) * SECOND)
        assert lo <= 0 <= hi, (after, lo, hi)
    source.restart()
    eq(source.stated((at + after) * SECOND), (0, 0))
