# SPDX-License-Identifier: Apache-2.0
"""The end of a line through means of blocks, as an interval that contains the truth.

Does not keep the means; see `agent.clock.estimate.time_source`. The mean of a time is known best in
its middle, and the rate is not known well enough to carry it to the end. A least-squares line gives
the value at the end directly:

    value = sum(w * y),   w = 1 / n + (t_end - t_mean) * (t - t_mean) / sum((t - t_mean) ^ 2)
    noise = sigma * sqrt(sum(w ^ 2))            about 2 sigma / sqrt(n)
    curve = sum(change * |w| * (t_end - t))     about 0.3 * largest change * time

`change` is the largest mean change of the rate from `t` to `t_end`, so the curve is a bound, not an
estimate: y differs from its tangent at the end by at most change * (t_end - t). `line_slope` gives
the rate at the end in the same way.
"""

from collections import namedtuple

from agent.clock.estimate.oscillator import isqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock.estimate.holdover import Holdover

BlockMean = namedtuple("BlockMean", ("t", "mean", "cold", "warm"))
"""The mean of blocks at the time `t`, ns, and the range of the temperature since the one before."""

NO_SENSOR = 1 << 29
"""`cold` is below 0 by this, and `warm` above, without a temperature sensor."""
_SCALE = 1 << 16
_MEAN_HAS_TIME = 64
"""A mean has a length, at most an eighth of the line: the rate changes within it, by 0.7 % of the
curve.
"""
_PPT_PER_MS = 1_000_000
"""ns = ppt * ms / 10^6."""


def mean_of(blocks: "list[BlockMean]") -> "BlockMean":
    """Return the mean of some blocks."""
    t0, mean0, n = blocks[0].t, blocks[0].mean, len(blocks)
    return BlockMean(
        t0 + sum([b.t - t0 for b in blocks]) // n,
        mean0 + sum([b.mean - mean0 for b in blocks]) // n,
        min([b.cold for b in blocks]),
        max([b.warm for b in blocks]),
    )


def mean_curve(blocks: "list[BlockMean]", holdover: "Holdover") -> int:
    """Return by how much a change of the rate can move the mean of blocks off the middle, ns."""
    cold, warm = min([b.cold for b in blocks]), max([b.warm for b in blocks])
    span: int = blocks[-1].t - blocks[0].t
    # A change of the rate within the time curves the line: at most a quarter of its effect.
    change: int = holdover.change_ppt(span, warm - cold if warm < NO_SENSOR else None)
    return change * span // 4_000_000_000


def mean_changes(blocks: "list[BlockMean]", holdover: "Holdover") -> "list[int]":
    """Return the largest mean change of the rate from each block to the last one, ppt."""
    end = blocks[-1]
    is_sensed = min([b.cold for b in blocks]) > -NO_SENSOR
    lag = holdover.lag_centi_c()
    changes = [0]
    excess = 0
    for i in range(len(blocks) - 1, 0, -1):
        block = blocks[i]
        excess += max(block.warm - end.cold, end.warm - block.cold)
        elapsed = end.t - blocks[i - 1].t
        mean = excess // len(changes) + lag if is_sensed else None
        changes.append(holdover.mean_change_ppt(elapsed, mean))
    changes.reverse()
    return changes


def line_end(
    blocks: "list[BlockMean]", error_ns: int, changes: "list[int]"
) -> "tuple[int, int, int] | None":
    """Return the lowest and highest value at the time of the last block, and that time.

    `error_ns`: the error of one mean, as many standard deviations as the result shall have.
    `changes`: largest mean change of the rate from each block to the end, ppt. None: all blocks
    have one time.
    """
    n, end, base = len(blocks), blocks[-1].t, blocks[-1].mean
    ages = [(end - b.t) // 1000 for b in blocks]  # ms: small squares
    middle = sum(ages) // n
    sxx = sum([(age - middle) ** 2 for age in ages])
    if not sxx:
        return None
    value = squares = curve = 0
    for age, block, change in zip(ages, blocks, changes):
        weight = _SCALE // n + _SCALE * middle * (middle - age) // sxx
        value += weight * (block.mean - base)
        squares += weight * weight
        curve += abs(weight) * age * change
    curve += curve // _MEAN_HAS_TIME
    error = error_ns * isqrt(squares) // _SCALE + curve // (_SCALE * _PPT_PER_MS) + 1
    # The weights are rounded: their sum differs from 1 by at most n / _SCALE.
    error += max([abs(b.mean - base) for b in blocks]) * n // _SCALE
    middle_ns = base + value // _SCALE
    return middle_ns - error, middle_ns + error, end


def line_slope(
    blocks: "list[BlockMean]", error_ns: int, changes: "list[int]"
) -> "tuple[int, int] | None":
    """Return the lowest and highest rate at the time of the last block, ppt; arguments: `line_end`.

    slope = sum(v * y),   v = (t - t_mean) / sum((t - t_mean) ^ 2)
    noise = sigma / sqrt(sum((t - t_mean) ^ 2))
    curve = sum(change * |v| * (t_end - t))
    """
    n, end, base = len(blocks), blocks[-1].t, blocks[-1].mean
    ages = [(end - b.t) // 1000 for b in blocks]  # ms
    middle = sum(ages) // n
    sxx = sum([(age - middle) ** 2 for age in ages])
    if not sxx:
        return None
    slope = curve = 0
    for age, block, change in zip(ages, blocks, changes):
        slope += (middle - age) * (block.mean - base)
        curve += abs(middle - age) * age * change
    curve += curve // _MEAN_HAS_TIME
    error = error_ns * _PPT_PER_MS // isqrt(sxx) + curve // sxx + 1
    slope = slope * _PPT_PER_MS // sxx
    return slope - error, slope + error


def calm_changes(blocks: "list[BlockMean]", calm_change: "Callable[[int], int]") -> "list[int]":
    """Return as `mean_changes`; `calm_change` gives the mean change of a time, ppt."""
    end = blocks[-1].t
    return [calm_change(end - block.t) for block in blocks[:-1]] + [0]
