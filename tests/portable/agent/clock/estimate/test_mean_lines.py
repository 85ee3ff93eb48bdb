# SPDX-License-Identifier: Apache-2.0
"""Lines through means: which ones end with a block, their slopes, and the use of these."""

from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.line_end import (
    NO_SENSOR,
    BlockMean,
    calm_changes,
    line_slope,
    mean_changes,
    mean_of,
)
from agent.clock.estimate.mean_lines import MeanLines
from agent.clock.estimate.offset_interval import OffsetInterval
from protocols.time_units import SECOND
from tests.portable.agent.control.law.trace_tools import Noise
from tests.portable.support.check import eq

PPT_PER_NS_US = 1_000_000_000


def block(t, mean):
    return BlockMean(t, mean, -NO_SENSOR, NO_SENSOR)


def test_lines_of_all_levels():
    """The first one has 16 blocks, the others 8 means of 4 to 64 blocks."""
    lines = MeanLines()
    seen = {}
    for i in range(1, 1025):
        for level, means, n in lines.add(block(i * SECOND, i), 16):
            seen.setdefault(level, []).append((i, len(means), n))
            joined = n // 16
            eq(means[-1], mean_of([block(k * SECOND, k) for k in range(i - joined + 1, i + 1)]))
    eq(sorted(seen), [0, 1, 2, 3, 4, 5])
    eq(seen[0][:2], [(16, 16, 16), (17, 16, 16)])
    for level, joined in ((1, 4), (2, 8), (3, 16), (4, 32), (5, 64)):
        first = 8 * joined
        eq(
            seen[level][:2],
            [(first, 8, 16 * joined), (first + joined, 8, 16 * joined)][: len(seen[level])],
        )


def test_slope_contains_the_rate_at_the_end():
    """A rate that changes as fast as it may, and noise of one error."""
    noise = Noise()
    holdover = Holdover(20_000, 100)
    for n in (8, 16):
        for _ in range(100):
            step = (10 + noise.below(1200)) * SECOND
            rate = noise.below(18_000_000) - 9_000_000  # ppt, at the end
            error = 100 + noise.below(100_000)
            times = [i * step for i in range(n)]
            end = times[-1]
            blocks = []
            for t in times:
                age = end - t
                change = holdover.mean_change_ppt(age, None) if age else 0
                mean = 7_000 - (rate + change) * age // PPT_PER_NS_US
                blocks.append(block(t, mean + (noise.below(2) * 2 - 1) * error // 3))
            found = line_slope(blocks, error, mean_changes(blocks, holdover))
            low, high = found
            assert low <= rate <= high, (step, rate, found)
    eq(line_slope([block(5, 1)] * 4, 1, [1] * 4), None)


def test_calm_changes_are_those_to_the_end():
    blocks = [block(i * SECOND, 0) for i in range(4)]
    eq(calm_changes(blocks, lambda elapsed: elapsed // SECOND), [3, 2, 1, 0])


def test_slopes_are_forgotten_with_what_they_came_from():
    interval = OffsetInterval(Holdover(20_000, 100), 64 * SECOND, 64 * SECOND)
    interval.begin(0, -1_000, 1_000)
    for i in range(1, 8):
        interval.learn_slope(0, i * 80 * SECOND, (-1_000, 1_000))
        eq(interval.add(i * 80 * SECOND, -1_000, 1_000), 0)
    low, high = interval._marks[-1].calm
    assert high - low < 1_000_000, (low, high)
    interval.rewind(False)
    eq(interval._slopes, {})
