# SPDX-License-Identifier: Apache-2.0
"""Block planner: the reads that fetch points in the least wire time.

Does not learn from the device; see `drivers.modbus.plan.poll_plan`. To read through a gap costs its
registers. To end a block costs another request with its gap and turnaround. The cheaper choice
depends on the wire, so dynamic programming finds the plan of least time.

How it works. The planner sorts the points of one function by address. `min_time[i]` is the least
time in which the first i points can be read: the minimum over all j of `min_time[j]` and one block
from point j to point i - 1. A block is at most `max_block` long and must not touch an unreadable
range. Such a range is (function, first address, count). Count 0 is a border, which no block can
cross. Some devices only return whole blocks. Such atomic blocks (`fixed`) stay as they are.
"""

from drivers.modbus.register_span import ReadBlock, is_within, overlaps
from protocols.modbus.pdu import MAX_READ, MAX_READ_BITS
from protocols.time_units import NEVER

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


_BITS = (1, 2)


def plan_blocks(
    points: "Sequence[PlannedItem]",
    wire: "WireTime",
    holes: "Sequence[ReadBlock]" = (),
    fixed: "Sequence[ReadBlock]" = (),
    max_block: int = MAX_READ,
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
        max_length = (
            min(max_block * 16, MAX_READ_BITS) if function in _BITS else min(max_block, 125)
        )
        same_function = [span for span in free_spans if span.function == function]
        blocks.extend(
            _cut_blocks(
                same_function, wire, [b for b in blocked if b.function == function], max_length
            )
        )
    blocks.sort()
    return blocks


def _sorted_spans(points: "Sequence[PlannedItem]") -> "list[ReadBlock]":
    return sorted({ReadBlock(point.function, point.address, point.registers) for point in points})


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


def find_split(spans: "list[ReadBlock]") -> "int | None":
    """Return the index before which sorted spans are best divided; None: no cut is possible."""
    points = _split_points(spans)
    return _widest_gap(spans, points) if points else None


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
