# SPDX-License-Identifier: Apache-2.0
"""The newest blocks of a source, for candidates that begin in the past.

Does not judge them; see `agent.clock.estimate.candidate`. A false time that was too small to be
seen leaves a false interval, and that can be contradicted long after its end. What the source
stated in the meantime is then the evidence against the interval.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT_US = 1_500 * SECOND
"""`time_source.RECOVERY`, and the five minutes between two candidates."""
_EVERY_US = 60 * SECOND


class KeptBlocks:
    """One block a minute, the narrowest, of the last 25 minutes."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, int, int]] = []

    def __iter__(self) -> "Iterator[tuple[int, int, int]]":
        """Give the blocks, oldest first: time (µs), lowest and highest offset (ns)."""
        return iter(self._blocks)

    def add(self, t: int, lo: int, hi: int) -> None:
        """Add a block: the offset was from `lo` to `hi` (ns) at `t` (µs)."""
        blocks = self._blocks
        if blocks and t // _EVERY_US == blocks[-1][0] // _EVERY_US:
            if hi - lo >= blocks[-1][2] - blocks[-1][1]:
                return
            blocks.pop()
        blocks.append((t, lo, hi))
        while t - blocks[0][0] > _KEPT_US:
            blocks.pop(0)
