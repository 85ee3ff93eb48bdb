# SPDX-License-Identifier: Apache-2.0
"""What a device has rejected of its poll plan: borders, excluded points, the next try.

Loaded at the first rejection, because most devices answer all blocks. Does not compute blocks; see
`drivers.modbus.plan.poll_plan`.

A device that rejects a block with exception 02 does not say which register is missing. So a border
is put into the widest gap of the block, and the rest is planned again. If the device then rejects
one of the parts, that part explains the first rejection, and the border of the whole block is
tentative. When the device answers all blocks, the tentative borders are removed one by one. A
border is put back if the device rejects the joined block. A single point that the device rejects is
excluded. It is tried again alone after `RETRY_US`, because a device can reject all reads while it
starts. A block that the device answered before has no unreadable range. Its rejection counts only
if it lasts for `LEARN_AFTER_US`.
"""

from drivers.modbus.plan.block_planner import find_split
from drivers.modbus.register_span import ReadBlock, is_within
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.modbus.plan.block_planner import PlannedItem

RETRY_US = 60 * SECOND
"""Time after which an excluded point is tried again, at first."""
MAX_RETRY_US = 3600 * SECOND
LEARN_AFTER_US = 60 * SECOND
"""Time for which a block that worked before must be rejected before it counts."""


class PlanLearning:
    """The rejections of one device; `PollPlan` plans again after each method that returns True.

    `retry_spans`: excluded points that are tried alone. `fixed`: the atomic blocks that are left.
    The number of points bounds all lists.
    """

    def __init__(self, points: "Sequence[PlannedItem]", fixed: "Sequence[ReadBlock]") -> None:
        self.excluded: list[ReadBlock] = []
        self.retry_at = NEVER
        self.retry_spans: list[ReadBlock] = []
        self.fixed = list(fixed)
        self._spans = sorted(
            {ReadBlock(point.function, point.address, point.registers) for point in points}
        )
        # (border, rejected block that it divides); a border is a block of count 0
        self._borders: list[tuple[ReadBlock, ReadBlock]] = []
        self._tentative_borders: list[ReadBlock] = []
        self._removed_border: ReadBlock | None = None
        self._answered_blocks: list[ReadBlock] = []
        self._retry_delay = RETRY_US
        self._refused_since: dict[ReadBlock, int] = {}

    def blocked(self) -> "list[ReadBlock]":
        """Return what no block may contain: borders, excluded points, and those tried alone."""
        return [border for border, _ in self._borders] + self.excluded + self.retry_spans

    def plan_changed(self) -> None:
        """Start to count the answered blocks of a new plan."""
        self._answered_blocks = []

    def exclude(self, block: "ReadBlock", known_blocks: "list[ReadBlock]", now: int) -> bool:
        """Learn from a rejected read of the plan; `known_blocks` were answered before."""
        if block in known_blocks:
            if now - self._refused_since.setdefault(block, now) < LEARN_AFTER_US:
                return False
            known_blocks.remove(block)
        removed = self._removed_border
        if (
            removed is not None
            and block.function == removed.function
            and block.address < removed.address < block.address + block.count
        ):
            self._borders.append((removed, block))
            self._removed_border = None
            return True
        for border, rejected in self._borders:
            if (
                rejected != block
                and is_within(block, rejected)
                and border not in self._tentative_borders
            ):
                self._tentative_borders.append(border)
        inner_spans = [span for span in self._spans if is_within(span, block)]
        split = find_split(inner_spans)
        if block in self.fixed or split is None:
            self._exclude_points(block, inner_spans, now)
        else:
            border = ReadBlock(block.function, inner_spans[split].address, 0)
            self._borders.append((border, block))
        return True

    def _exclude_points(self, block: "ReadBlock", inner_spans: "list[ReadBlock]", now: int) -> None:
        if block in self.retry_spans:
            self.retry_spans.remove(block)
        if block in self.fixed:
            self.fixed.remove(block)
            inner_spans = [block]
        self.excluded.extend([span for span in inner_spans if span not in self.excluded])
        self.retry_at = min(self.retry_at, now + self._retry_delay)

    def block_answered(self, block: "ReadBlock", blocks: "list[ReadBlock]") -> bool:
        """Learn from an answered read; `blocks` is the present plan."""
        self._refused_since.pop(block, None)
        if not (self.retry_spans or self._tentative_borders) or block not in blocks:
            return False
        if block in self.retry_spans:
            self.retry_spans.remove(block)
            self._retry_delay = RETRY_US
            return True
        if block not in self._answered_blocks:
            self._answered_blocks.append(block)
            if self._tentative_borders and len(self._answered_blocks) == len(blocks):
                self._removed_border = self._tentative_borders.pop()
                self._borders = [
                    border for border in self._borders if border[0] != self._removed_border
                ]
                return True
        return False

    def retry(self) -> None:
        """Try the excluded points again. The pause doubles each time, up to `MAX_RETRY_US`."""
        self.retry_spans.extend([span for span in self.excluded if span not in self.retry_spans])
        self.excluded = []
        self.retry_at = NEVER
        self._retry_delay = min(2 * self._retry_delay, MAX_RETRY_US)

    @property
    def learned_count(self) -> int:
        """Number of learned borders and excluded points."""
        return len(self._borders) + len(self.excluded)
