# SPDX-License-Identifier: Apache-2.0
"""The end of a line through means of blocks, as an interval that contains the truth.

Does not keep the means; see `agent.clock.estimate.time_source`. The mean of a time is known best in
its middle, and the rate is not known well enough to carry it to the end. A least-squares line gives
the value at the end directly:

    value = sum(w * y),   w = 1 / n + (t_end - t_mean) * (t - t_mean) / sum((t - t_mean) ^ 2)
    noise = sigma * sqrt(sum(w ^ 2))            about 2 sigma / sqrt(n)
    curve = change * sum(|w| * (t_end - t))     about 0.6 * change * time

`change` is the largest change of the rate within the time, so the curve is a bound, not an
estimate: y differs from its tangent at the end by at most change * (t_end - t).
"""

from collections import namedtuple

from agent.clock.estimate.oscillator import isqrt

BlockMean = namedtuple("BlockMean", ("t", "mean", "cold", "warm"))
"""The mean of blocks at the time `t`, ns, and the range of the temperature since the one before."""

_SCALE = 1 << 16
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


def line_end(
    blocks: "list[BlockMean]", error_ns: int, change_ppt: int
) -> "tuple[int, int, int] | None":
    """Return the lowest and highest value at the time of the last block, and that time.

    `error_ns`: the error of one mean, as many standard deviations as the result shall have. None:
    all blocks have one time.
    """
    n, end, base = len(blocks), blocks[-1].t, blocks[-1].mean
    ages = [(end - b.t) // 1000 for b in blocks]  # ms: small squares
    middle = sum(ages) // n
    sxx = sum([(age - middle) ** 2 for age in ages])
    if not sxx:
        return None
    value = squares = curve = 0
    for age, block in zip(ages, blocks):
        weight = _SCALE // n + _SCALE * middle * (middle - age) // sxx
        value += weight * (block.mean - base)
        squares += weight * weight
        curve += abs(weight) * age
    error = error_ns * isqrt(squares) // _SCALE + change_ppt * curve // (_SCALE * _PPT_PER_MS) + 1
    # The weights are rounded: their sum differs from 1 by at most n / _SCALE.
    error += max([abs(b.mean - base) for b in blocks]) * n // _SCALE
    middle_ns = base + value // _SCALE
    return middle_ns - error, middle_ns + error, end
