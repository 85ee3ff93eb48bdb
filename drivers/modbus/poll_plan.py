# SPDX-License-Identifier: Apache-2.0
"""Poll plans: the reads that fetch the points of a device in the least wire time.

Does not schedule polls and does not decode registers. To read through a gap costs its registers.
To end a block costs another request with its gap and turnaround. The cheaper choice depends on the
wire, so dynamic programming finds the plan of least time.

How it works. The planner sorts the points of one function by address. `min_time[i]` is the least
time in which the first i points can be read: the minimum over all j of `min_time[j]` and one block
from point j to point i - 1. A block is at most `max_block` long and must not touch an unreadable
range. Such a range is (function, first address, count). Count 0 is a border, which no block can
cross. Some devices only return whole blocks. Such atomic blocks (`fixed`) stay as they are.

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

from drivers.modbus.register_span import ReadBlock, is_within, overlaps
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from drivers.modbus.wire_time import WireTime

    class PlannedItem(Protocol):
        """An item of a profile with an address: point, bit or text."""

        function: int
        address: int
        registers: int


MAX_REGISTERS = 125
MAX_BITS = 2000
_BITS = (1, 2)
RETRY_US = 60 * SECOND
"""Time after which an excluded point is tried again, at first."""
MAX_RETRY_US = 3600 * SECOND
LEARN_AFTER_US = 60 * SECOND
"""Time for which a block that worked before must be rejected before the plan learns from it."""
ILLEGAL_DATA_CODES = (2, 3)
"""Exception codes "illegal data address" and "illegal data value": registers that do not exist, or
too many of them."""


def plan_blocks(
    points: "Sequence[PlannedItem]",
    wire: "WireTime",
    holes: "Sequence[ReadBlock]" = (),
    fixed: "Sequence[ReadBlock]" = (),
    max_block: int = MAX_REGISTERS,
) -> "list[ReadBlock]":
    """Return the blocks that read all points in the least wire time.

    `max_block` is in registers; functions 1 and 2 read 16 bits instead of one register. The plan
    leaves out a point that touches a hole (an unreadable range). The blocks are sorted by function
    and address.
    """
    blocks: list[ReadBlock] = []
    free_spans: list[ReadBlock] = []
    for span in _sorted_spans(points):
        atomic = [block for block in fixed if is_within(span, block)]
        if atomic:
            if atomic[0] not in blocks:
                blocks.append(atomic[0])
        elif not _touches_hole(span, holes):
            free_spans.append(span)
    blocked = list(holes) + list(fixed)
    for function in sorted({span.function for span in free_spans}):
        max_length = min(max_block * 16, MAX_BITS) if function in _BITS else min(max_block, 125)
        same_function = [span for span in free_spans if span.function == function]
        blocks.extend(
            _cut_blocks(
                same_function, wire, [b for b in blocked if b.function == function], max_length
            )
        )
    blocks.sort()
    return blocks


def _sorted_spans(points: "Sequence[PlannedItem]") -> "list[ReadBlock]":
    return sorted({ReadBlock(p.function, p.address, p.registers) for p in points})


def _touches_hole(span: "ReadBlock", holes: "Sequence[ReadBlock]") -> bool:
    return True in [overlaps(span, hole) for hole in holes if hole.count]


def _is_blocked(start: int, end: int, blocked: "Sequence[ReadBlock]") -> bool:
    """Return whether a block from `start` to `end` would read a hole or cross a border."""
    for _, address, count in blocked:
        is_inside = (
            start < address < end if count == 0 else start < address + count and address < end
        )
        if is_inside:
            return True
    return False


def _cut_blocks(
    spans: "list[ReadBlock]", wire: "WireTime", blocked: "Sequence[ReadBlock]", max_length: int
) -> "list[ReadBlock]":
    """Combine the sorted spans of one function into the blocks of least wire time."""
    function = spans[0].function
    min_time = [0]
    block_start = [0]
    for i in range(1, len(spans) + 1):
        best_time, first = NEVER, i - 1
        end = 0
        for j in range(i - 1, -1, -1):
            start = spans[j].address
            end = max(end, start + spans[j].count)
            is_single = j == i - 1
            if not is_single and end - start > max_length:
                break
            if not is_single and blocked and _is_blocked(start, end, blocked):
                break
            time = min_time[j] + wire.read_us(function, end - start)
            if time < best_time:
                best_time, first = time, j
        min_time.append(best_time)
        block_start.append(first)
    blocks = []
    i = len(spans)
    while i:
        j = block_start[i]
        start = spans[j].address
        end = max([span.address + span.count for span in spans[j:i]])
        blocks.append(ReadBlock(function, start, end - start))
        i = j
    return blocks


def plan_time_us(blocks: "Sequence[ReadBlock]", wire: "WireTime") -> int:
    """Return the wire time of one read of each block, in microseconds."""
    return sum([wire.read_us(block.function, block.count) for block in blocks])


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
        max_block: int = MAX_REGISTERS,
    ) -> None:
        self.version = 0
        self.excluded: list[ReadBlock] = []
        self.retry_at = NEVER
        self.blocks: list[ReadBlock] = []
        self._spans = _sorted_spans(points)
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
        split_points = _split_points(inner_spans)
        if block in self._fixed or not split_points:
            self._exclude_points(block, inner_spans, now)
        else:
            address = inner_spans[_widest_gap(inner_spans, split_points)].address
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
                self._borders = [b for b in self._borders if b[0] != self._removed_border]
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


def _split_points(spans: "list[ReadBlock]") -> "list[int]":
    """Return the indexes before which sorted spans can be divided without a cut through a span."""
    points, reach = [], 0
    for i in range(1, len(spans)):
        reach = max(reach, spans[i - 1].address + spans[i - 1].count)
        if spans[i].address >= reach:
            points.append(i)
    return points


def _widest_gap(spans: "list[ReadBlock]", points: "list[int]") -> int:
    """Return the index after the widest gap, or the middle index if there is no gap."""
    widest_gap, best = 0, points[len(points) // 2]
    for i in points:
        gap = spans[i].address - max([span.address + span.count for span in spans[:i]])
        if gap > widest_gap:
            widest_gap, best = gap, i
    return best
