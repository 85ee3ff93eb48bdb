# SPDX-License-Identifier: Apache-2.0
"""Poll plan of one device: the reads that fetch its points, and what the device rejected.

Does not schedule polls and does not decode registers. `drivers.modbus.block_planner` computes the
blocks. It is loaded for a plan, and MicroPython unloads it after the start.

`PollPlan` learns from the device. A device that rejects a block with exception 02 does not say
which register is missing. The plan therefore puts a border into the widest gap of the block and
plans the rest again. If the device then rejects one of the parts, that part explains the first
rejection, and the border of the whole block is tentative. When the device answers all blocks, the
plan removes the tentative borders one by one. It puts a border back if the device rejects the
joined block. The plan excludes a single point that the device rejects. It tries this point again
alone after `RETRY_US`, because a device can reject all reads while it starts. A block that the
device answered before has no unreadable range. The plan only learns from its rejection if that
lasts for `LEARN_AFTER_US`.
"""

from drivers.modbus.register_span import ReadBlock, is_within
from protocols.modbus.pdu import MAX_READ
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.modbus.block_planner import PlannedItem
    from drivers.modbus.wire_time import WireTime


RETRY_US = 60 * SECOND
"""Time after which an excluded point is tried again, at first."""
MAX_RETRY_US = 3600 * SECOND
LEARN_AFTER_US = 60 * SECOND
"""Time for which a block that worked before must be rejected before the plan learns from it."""
ILLEGAL_DATA_CODES = (2, 3)
"""Exception codes "illegal data address" and "illegal data value": registers that do not exist, or
too many of them."""


class PollPlan:
    """The plan of one device, which learns from the rejections of the device.

    `blocks` is the present plan; `version` increases with each change. `excluded` are the points
    that the plan leaves out. From `retry_at` (monotonic microseconds) on, `retry_excluded` tries
    each of them in a block of its own. The number of points bounds all lists.
    """

    def __init__(
        self,
        points: "Sequence[PlannedItem]",
        wire: "WireTime",
        holes: "Sequence[ReadBlock]" = (),
        fixed: "Sequence[ReadBlock]" = (),
        max_block: int = MAX_READ,
    ) -> None:
        self.version = 0
        self.excluded: list[ReadBlock] = []
        self.retry_at = NEVER
        self.blocks: list[ReadBlock] = []
        self._spans = sorted(
            {ReadBlock(point.function, point.address, point.registers) for point in points}
        )
        self._points = list(points)
        self._wire = wire
        self._holes = list(holes)
        self._fixed = list(fixed)
        self._max_block = max_block
        # (border, rejected block that it divides); a border is a block of count 0
        self._borders: list[tuple[ReadBlock, ReadBlock]] = []
        self._tentative_borders: list[ReadBlock] = []
        self._removed_border: ReadBlock | None = None
        self._answered_blocks: list[ReadBlock] = []
        self._retry_spans: list[ReadBlock] = []
        self._retry_delay = RETRY_US
        # Blocks that the device answered, in this plan or an older one.
        self._known_blocks: list[ReadBlock] = []
        self._refused_since: dict[ReadBlock, int] = {}
        self._replan()

    def _replan(self) -> None:
        from drivers.modbus.block_planner import plan_blocks  # noqa: PLC0415 - unloaded after loading

        blocked = self._holes + [border for border, _ in self._borders]
        blocked += self.excluded + self._retry_spans
        blocks = plan_blocks(self._points, self._wire, blocked, self._fixed, self._max_block)
        self.blocks = sorted(blocks + self._retry_spans)
        self._answered_blocks = []
        self.version += 1

    def exclude(self, block: "ReadBlock", now: int) -> None:
        """Learn from a read of `block` that the device rejected at `now`."""
        if block not in self.blocks:
            return  # of an older plan
        if block in self._known_blocks:
            if now - self._refused_since.setdefault(block, now) < LEARN_AFTER_US:
                return
            self._known_blocks.remove(block)
        removed = self._removed_border
        if (
            removed is not None
            and block.function == removed.function
            and block.address < removed.address < block.address + block.count
        ):
            self._borders.append((removed, block))
            self._removed_border = None
            self._replan()
            return
        inner_spans = [span for span in self._spans if is_within(span, block)]
        for border, rejected in self._borders:
            if (
                rejected != block
                and is_within(block, rejected)
                and border not in self._tentative_borders
            ):
                self._tentative_borders.append(border)
        from drivers.modbus.block_planner import find_split  # noqa: PLC0415 - a rare rejection

        split = find_split(inner_spans)
        if block in self._fixed or split is None:
            self._exclude_points(block, inner_spans, now)
        else:
            address = inner_spans[split].address
            border = ReadBlock(block.function, address, 0)
            self._borders.append((border, block))
        self._replan()

    def _exclude_points(self, block: "ReadBlock", inner_spans: "list[ReadBlock]", now: int) -> None:
        if block in self._retry_spans:
            self._retry_spans.remove(block)
        if block in self._fixed:
            self._fixed.remove(block)
            inner_spans = [block]
        self.excluded.extend([span for span in inner_spans if span not in self.excluded])
        self.retry_at = min(self.retry_at, now + self._retry_delay)

    def block_answered(self, block: "ReadBlock") -> None:
        """Learn from a read of `block` that the device answered."""
        if self._refused_since:
            self._refused_since.pop(block, None)
        if block not in self._known_blocks:
            self._known_blocks.append(block)
        if not (self._retry_spans or self._tentative_borders) or block not in self.blocks:
            return
        if block in self._retry_spans:
            self._retry_spans.remove(block)
            self._retry_delay = RETRY_US
            self._replan()
        elif block not in self._answered_blocks:
            self._answered_blocks.append(block)
            if self._tentative_borders and len(self._answered_blocks) == len(self.blocks):
                self._removed_border = self._tentative_borders.pop()
                self._borders = [
                    border for border in self._borders if border[0] != self._removed_border
                ]
                self._replan()

    def retry_excluded(self, now: int) -> bool:
        """Try the excluded points again if `retry_at` has passed; return whether the plan changed.

        The pause between tries doubles each time, up to `MAX_RETRY_US`.
        """
        if now < self.retry_at:
            return False
        self._retry_spans.extend([span for span in self.excluded if span not in self._retry_spans])
        self.excluded = []
        self.retry_at = NEVER
        self._retry_delay = min(2 * self._retry_delay, MAX_RETRY_US)
        self._replan()
        return True

    @property
    def learned_count(self) -> int:
        """Number of learned borders and excluded points."""
        return len(self._borders) + len(self.excluded)
