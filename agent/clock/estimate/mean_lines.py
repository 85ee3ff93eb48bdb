# SPDX-License-Identifier: Apache-2.0
"""Means of blocks at several levels, for lines through them.

Does not compute a line; see `agent.clock.estimate.line_end`. The first line goes through 16 blocks.
The others go through 8 means each: of 4, 8, 16, 32 and 64 blocks. A long line has less noise, and
more curve by the change of the rate. Which one is the best depends on jitter, period and
temperature, so all of them are measurements.
"""

from agent.clock.estimate.line_end import mean_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.line_end import BlockMean

BLOCKS = 16
"""Blocks of the first line."""
_MEANS = 8
_JOINED = 4
"""Blocks in a mean of the second line; each further one has twice as many."""
_LEVELS = 5


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
