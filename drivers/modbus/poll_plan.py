"""Which reads fetch a device's points in the least time on the wire.

Not a scheduler and not a decoder: points in, blocks out. Reading through a gap costs its registers,
ending a block costs another request with its silence and turnaround; which is dearer depends on the
wire, so the cut that costs least is found by dynamic programming, not by a rule of thumb.

How it works. Points of one function are sorted by address. `least[i]` is the least time in which
the first i points can be read: the minimum over every j of `least[j]` and one block from point j to
point i - 1. A block may not be longer than `max_block` and may not touch a hole. A hole is
(function, first address, count): registers that must not be read; count 0 means a border that no
block may span. Fixed blocks, which a device only gives away whole, are read as they are.

`PollPlan` is a plan that learns. A device that answers a block with exception 02 does not say which
register is missing. So a border is put into the block, in its widest gap, and the rest is planned
anew. When a part is refused again, that explains the first refusal, and the border of the whole is
in doubt. Once everything is answered, the doubtful borders are taken out one by one, and put back
if that is refused. A single point that is refused is left out and asked again alone after
`RETRY_US`: a device that starts up may refuse everything. A block that was given before has no
hole, so refusing it teaches nothing unless that goes on for `LEARN_AFTER_US`.
"""

from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from drivers.modbus.wire_time import WireTime

    Span = tuple[int, int, int]

    class PlannedItem(Protocol):
        """What is planned: anything with a place in the registers."""

        function: int
        address: int
        registers: int


MAX_REGISTERS = 125
MAX_BITS = 2000
_BITS = (1, 2)
RETRY_US = 60 * SECOND
"""How long a refused point is left alone at first."""
MAX_RETRY_US = 3600 * SECOND
LEARN_AFTER_US = 60 * SECOND
"""How long a block that was given once may be refused before the plan learns from it."""
REFUSAL_CODES = (2, 3)
"""Exceptions that mean: I have no such registers, or not so many."""


def plan_blocks(
    points: "Sequence[PlannedItem]",
    wire: "WireTime",
    holes: "Sequence[Span]" = (),
    fixed: "Sequence[Span]" = (),
    max_block: int = MAX_REGISTERS,
) -> "list[Span]":
    """The blocks (function, address, count) that read every point in the least wire time.

    `max_block` is in registers; functions 1 and 2 read 16 bits in the place of one. A point that
    touches a hole is left out. The blocks are in order of function and address.
    """
    spans = sorted({(p.function, p.address, p.registers) for p in points})
    blocks: list[Span] = []
    free_spans: list[Span] = []
    for span in spans:
        atomic = [block for block in fixed if _is_within(span, block)]
        if atomic:
            if atomic[0] not in blocks:
                blocks.append(atomic[0])
        elif not _touches_hole(span, holes):
            free_spans.append(span)
    blocked = list(holes) + list(fixed)
    for function in sorted({span[0] for span in free_spans}):
        max_length = min(max_block * 16, MAX_BITS) if function in _BITS else min(max_block, 125)
        same_function = [span for span in free_spans if span[0] == function]
        blocks.extend(
            _cut_blocks(same_function, wire, [b for b in blocked if b[0] == function], max_length)
        )
    blocks.sort()
    return blocks


def _is_within(span: "Span", block: "Span") -> bool:
    start = block[1]
    return span[0] == block[0] and start <= span[1] and span[1] + span[2] <= start + block[2]


def _touches_hole(span: "Span", holes: "Sequence[Span]") -> bool:
    for function, address, count in holes:
        is_disjoint = span[1] >= address + count or span[1] + span[2] <= address
        if function == span[0] and count and not is_disjoint:
            return True
    return False


def _is_blocked(start: int, end: int, blocked: "Sequence[Span]") -> bool:
    """Whether a block from `start` to `end` would read a hole or span a border."""
    for _, address, count in blocked:
        is_inside = (
            start < address < end if count == 0 else start < address + count and address < end
        )
        if is_inside:
            return True
    return False


def _cut_blocks(
    spans: "list[Span]", wire: "WireTime", blocked: "Sequence[Span]", max_length: int
) -> "list[Span]":
    """Cut the sorted spans of one function into the cheapest blocks."""
    function = spans[0][0]
    min_time = [0]
    block_start = [0]
    for i in range(1, len(spans) + 1):
        best_time, first = NEVER, i - 1
        end = 0
        for j in range(i - 1, -1, -1):
            start = spans[j][1]
            end = max(end, start + spans[j][2])
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
        start = spans[j][1]
        end = max([span[1] + span[2] for span in spans[j:i]])
        blocks.append((function, start, end - start))
        i = j
    return blocks


def plan_time_us(blocks: "Sequence[Span]", wire: "WireTime") -> int:
    """What one round of `blocks` takes on the wire, in microseconds."""
    return sum([wire.read_us(function, count) for function, _, count in blocks])


class PollPlan:
    """The plan of one device that learns from what the device refuses.

    `blocks` is the plan as it stands, `version` grows whenever it changes. `excluded` are the
    points that are left out; from `retry_at` on `retry_excluded` asks each of them again, in a
    block of its own. Everything is bounded by the number of points.
    """

    def __init__(
        self,
        points: "Sequence[PlannedItem]",
        wire: "WireTime",
        holes: "Sequence[Span]" = (),
        fixed: "Sequence[Span]" = (),
        max_block: int = MAX_REGISTERS,
    ) -> None:
        self.version = 0
        self.excluded: list[Span] = []
        self.retry_at = NEVER
        self.blocks: list[Span] = []
        self._spans = sorted({(p.function, p.address, p.registers) for p in points})
        self._points = list(points)
        self._wire = wire
        self._holes = list(holes)
        self._fixed = list(fixed)
        self._max_block = max_block
        self._borders: list[tuple[Span, Span]] = []  # (border, the refused block it parts)
        self._tentative_borders: list[Span] = []
        self._removed_border: Span | None = None
        self._answered_blocks: list[Span] = []
        self._retry_spans: list[Span] = []
        self._retry_delay = RETRY_US
        self._known_blocks: list[
            Span
        ] = []  # blocks that were answered, in this plan or an older one
        self._refused_since: dict[Span, int] = {}
        self._replan()

    def _replan(self) -> None:
        blocked = self._holes + [border for border, _ in self._borders]
        blocked += self.excluded + self._retry_spans
        blocks = plan_blocks(self._points, self._wire, blocked, self._fixed, self._max_block)
        self.blocks = sorted(blocks + self._retry_spans)
        self._answered_blocks = []
        self.version += 1

    def exclude(self, block: "Span", now: int) -> None:
        """The device has answered a read of `block` with exception 02."""
        if block not in self.blocks:
            return  # a block of an older plan
        if block in self._known_blocks:
            if now - self._refused_since.setdefault(block, now) < LEARN_AFTER_US:
                return
            self._known_blocks.remove(block)
        removed = self._removed_border
        if (
            removed is not None
            and block[0] == removed[0]
            and block[1] < removed[1] < block[1] + block[2]
        ):
            self._borders.append((removed, block))
            self._removed_border = None
            self._replan()
            return
        inner_spans = [span for span in self._spans if _is_within(span, block)]
        for border, parent in self._borders:
            if (
                parent != block
                and _is_within(block, parent)
                and border not in self._tentative_borders
            ):
                self._tentative_borders.append(border)
        split_points = _split_points(inner_spans)
        if block in self._fixed or not split_points:
            self._exclude_points(block, inner_spans, now)
        else:
            self._borders.append(
                ((block[0], inner_spans[_widest_gap(inner_spans, split_points)][1], 0), block)
            )
        self._replan()

    def _exclude_points(self, block: "Span", inner_spans: "list[Span]", now: int) -> None:
        if block in self._retry_spans:
            self._retry_spans.remove(block)
        if block in self._fixed:
            self._fixed.remove(block)
            inner_spans = [block]
        self.excluded.extend([span for span in inner_spans if span not in self.excluded])
        self.retry_at = min(self.retry_at, now + self._retry_delay)

    def block_answered(self, block: "Span") -> None:
        """The device has answered a read of `block`."""
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
        """Ask for missing points again when it is time; says whether the plan has changed.

        Each next time is twice as far off, up to an hour.
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
        """How many borders and missing points the device has taught."""
        return len(self._borders) + len(self.excluded)


def _split_points(spans: "list[Span]") -> "list[int]":
    """Where sorted points can be parted without cutting one in two."""
    points, reach = [], 0
    for i in range(1, len(spans)):
        reach = max(reach, spans[i - 1][1] + spans[i - 1][2])
        if spans[i][1] >= reach:
            points.append(i)
    return points


def _widest_gap(spans: "list[Span]", points: "list[int]") -> int:
    """Part at the widest gap, where a hole most likely is; in the middle when there is none."""
    widest_gap, best = 0, points[len(points) // 2]
    for i in points:
        gap = spans[i][1] - max([span[1] + span[2] for span in spans[:i]])
        if gap > widest_gap:
            widest_gap, best = gap, i
    return best
