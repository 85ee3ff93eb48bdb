# SPDX-License-Identifier: Apache-2.0
"""Means of blocks at several levels, for lines through them; the newest blocks, for candidates.

Does not compute a line; see `agent.clock.estimate.line_end`. The first line goes through 16 blocks.
The others go through 8 means each: of 4, 8, 16, 32 and 64 blocks. A long line has less noise, and
more curve by the change of the rate. Which one is the best depends on jitter, period and
temperature, so all of them are measurements.

Blocks are kept for candidates that begin in the past (`agent.clock.estimate.candidate`). A false
time that was too small to be seen leaves a false interval, and that can be contradicted long after
its end. What the source stated in the meantime is then the evidence against the interval. A drag
that began a short time ago contradicts the interval too, and a candidate is too wide to show it. So
only the longest part up to now that is a straight line is evidence. It is not straight if a hinge
some minutes before its end explains more than the noise.
"""

from agent.clock.estimate.line_end import mean_of
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.line_end import BlockMean

    Kept = tuple[int, int, int, int, int]
    """Time (µs), lowest and highest offset of the narrowest block (ns); sum of the middles, blocks.
    """

BLOCKS = 16
"""Blocks of the first line."""
_MEANS = 8
_JOINED = 4
"""Blocks in a mean of the second line; each further one has twice as many."""
_LEVELS = 5
_KEPT_US = 1_500 * SECOND
"""`time_source.RECOVERY`, and the five minutes between two candidates."""
_EVERY_US = 60 * SECOND
_LEAST = 6
_PARTS = 5
"""The part that is tested is shortened by a fifth of the whole each time."""
_HINGES_S = (150, 330, 690)
"""Before the end, s."""
_MAX_Z2 = 16
"""Square of 4 standard errors."""
_WIDTH_SIGMAS = 16
"""Standard errors of the mean in the width of a block (`time_source`)."""
_SCALE = 256


class MeanLines:
    """The means. `add` gives the lines that end with the new block."""

    def __init__(self) -> None:
        self._blocks: list[BlockMean] = []
        self._levels: list[list[BlockMean]] = [[] for _ in range(_LEVELS)]
        self._count = 0

    def add(self, block: "BlockMean", n: int) -> "list[tuple[int, list[BlockMean], int]]":
        """Add a block of `n` samples. Return complete lines: level, means, samples of each mean."""
        blocks = self._blocks
        blocks.append(block)
        if len(blocks) > BLOCKS:
            blocks.pop(0)
        lines = [(0, blocks, n)] if len(blocks) == BLOCKS else []
        self._count += 1
        joined, count, size = blocks[-_JOINED:], self._count, n * _JOINED
        if count % _JOINED:
            return lines
        count //= _JOINED
        for level, means in enumerate(self._levels):
            means.append(mean_of(joined))
            if len(means) > _MEANS:
                means.pop(0)
            if len(means) == _MEANS:
                lines.append((level + 1, means, size))
            if count % 2:
                break
            joined, count, size = means[-2:], count // 2, 2 * size
        return lines


def _remove_line(xs: "list[int]", ys: "list[int]") -> "list[int]":
    """Return the residuals of `ys` about their least-squares line over `xs`."""
    n, sx, sy = len(xs), sum(xs), sum(ys)
    us = [n * x - sx for x in xs]
    suu = sum([u * u for u in us]) or 1
    suy = sum([u * y for u, y in zip(us, ys)])
    return [(n * y - sy) // n - u * suy // suu for u, y in zip(us, ys)]


def _is_straight(xs: "list[int]", ys: "list[int]", variance: int) -> bool:
    """Return whether points are a line without a hinge near its end.

    `xs`: s; `ys`: ns; `variance`: mean variance of a point, ns^2.
    """
    rest, end = _remove_line(xs, ys), xs[-1]
    for hinge_s in _HINGES_S:
        shape = _remove_line(xs, [max(0, x - end + hinge_s) * _SCALE for x in xs])
        size = sum([b * b for b in shape]) or 1
        if sum([b * r for b, r in zip(shape, rest)]) ** 2 // size > _MAX_Z2 * variance:
            return False
    return True


class KeptBlocks:
    """One entry a minute of the last 25 minutes."""

    def __init__(self) -> None:
        self._kept: list[Kept] = []

    def add(self, t: int, lo: int, hi: int) -> None:
        """Add a block: the offset was from `lo` to `hi` (ns) at `t` (µs)."""
        kept, total, count = self._kept, (lo + hi) // 2, 1
        if kept and t // _EVERY_US == kept[-1][0] // _EVERY_US:
            before = kept.pop()
            total, count = total + before[3], count + before[4]
            if before[2] - before[1] < hi - lo:
                t, lo, hi = before[:3]
        kept.append((t, lo, hi, total, count))
        while t - kept[0][0] > _KEPT_US:
            kept.pop(0)

    def straight(self) -> "list[Kept]":
        """Return the longest part up to now that is a straight line."""
        kept = self._kept
        first, step = 0, max(1, len(kept) // _PARTS)
        while len(kept) - first >= _LEAST:
            part = kept[first:]
            variance = sum([((k[2] - k[1]) // _WIDTH_SIGMAS) ** 2 // k[4] for k in part])
            xs = [(k[0] - part[0][0]) // SECOND for k in part]
            ys = [k[3] // k[4] - part[0][1] for k in part]
            if _is_straight(xs, ys, variance // len(part) + 1):
                return part
            first += step
        return []
