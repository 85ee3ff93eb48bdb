"""Which reads fetch a device's points in the least time on the wire.

Not a scheduler and not a decoder: points in, blocks out. Reading through a gap costs its registers,
ending a block costs another request with its silence and turnaround; which is dearer depends on the
wire, so the cut that costs least is found by dynamic programming, not by a rule of thumb.

How it works. Points of one function are sorted by address. `least[i]` is the least time in which
the first i points can be read: the minimum over every j of `least[j]` and one block from point j to
point i - 1. A block may not be longer than `max_block` and may not touch a hole. A hole is
(function, first address, count): registers that must not be read; count 0 means a border that no
block may span. Fixed blocks, which a device only gives away whole, are read as they are.

`Layout` is a plan that learns. A device that answers a block with exception 02 does not say which
register is missing. So a border is put into the block, in its widest gap, and the rest is planned
anew. When a part is refused again, that explains the first refusal, and the border of the whole is
in doubt. Once everything is answered, the doubtful borders are taken out one by one, and put back
if that is refused. A single point that is refused is left out and asked again alone after
`RETRY_US`: a device that starts up may refuse everything. A block that was given before has no
hole, so refusing it teaches nothing unless that goes on for `PATIENCE_US`.
"""

from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from drivers.modbus.wire_time import Wire

    Span = tuple[int, int, int]

    class Item(Protocol):
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
PATIENCE_US = 60 * SECOND
"""How long a block that was given once may be refused before the plan learns from it."""
REFUSALS = (2, 3)
"""Exceptions that mean: I have no such registers, or not so many."""


def plan(
    points: "Sequence[Item]",
    wire: "Wire",
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
    rest: list[Span] = []
    for span in spans:
        whole = [block for block in fixed if _within(span, block)]
        if whole:
            if whole[0] not in blocks:
                blocks.append(whole[0])
        elif not _touches(span, holes):
            rest.append(span)
    barred = list(holes) + list(fixed)
    for function in sorted({span[0] for span in rest}):
        longest = min(max_block * 16, MAX_BITS) if function in _BITS else min(max_block, 125)
        mine = [span for span in rest if span[0] == function]
        blocks.extend(_cut(mine, wire, [b for b in barred if b[0] == function], longest))
    blocks.sort()
    return blocks


def _within(span: "Span", block: "Span") -> bool:
    start = block[1]
    return span[0] == block[0] and start <= span[1] and span[1] + span[2] <= start + block[2]


def _touches(span: "Span", holes: "Sequence[Span]") -> bool:
    for function, address, count in holes:
        apart = span[1] >= address + count or span[1] + span[2] <= address
        if function == span[0] and count and not apart:
            return True
    return False


def _barrier(start: int, end: int, barred: "Sequence[Span]") -> bool:
    """Whether a block from `start` to `end` would read a hole or span a border."""
    for _, address, count in barred:
        inside = start < address < end if count == 0 else start < address + count and address < end
        if inside:
            return True
    return False


def _cut(spans: "list[Span]", wire: "Wire", barred: "Sequence[Span]", longest: int) -> "list[Span]":
    """Cut the sorted spans of one function into the cheapest blocks."""
    function = spans[0][0]
    least = [0]
    begin = [0]
    for i in range(1, len(spans) + 1):
        best, first = NEVER, i - 1
        end = 0
        for j in range(i - 1, -1, -1):
            start = spans[j][1]
            end = max(end, start + spans[j][2])
            alone = j == i - 1
            if not alone and end - start > longest:
                break
            if not alone and barred and _barrier(start, end, barred):
                break
            time = least[j] + wire.read_us(function, end - start)
            if time < best:
                best, first = time, j
        least.append(best)
        begin.append(first)
    blocks = []
    i = len(spans)
    while i:
        j = begin[i]
        start = spans[j][1]
        end = max([span[1] + span[2] for span in spans[j:i]])
        blocks.append((function, start, end - start))
        i = j
    return blocks


def cost_us(blocks: "Sequence[Span]", wire: "Wire") -> int:
    """What one round of `blocks` takes on the wire, in microseconds."""
    return sum([wire.read_us(function, count) for function, _, count in blocks])


class Layout:
    """The plan of one device that learns from what the device refuses.

    `blocks` is the plan as it stands, `version` grows whenever it changes. `missing` are the points
    that are left out; from `due` on `retry` asks each of them again, in a block of its own.
    Everything is bounded by the number of points.
    """

    def __init__(
        self,
        points: "Sequence[Item]",
        wire: "Wire",
        holes: "Sequence[Span]" = (),
        fixed: "Sequence[Span]" = (),
        max_block: int = MAX_REGISTERS,
    ) -> None:
        self.version = 0
        self.missing: list[Span] = []
        self.due = NEVER
        self.blocks: list[Span] = []
        self._spans = sorted({(p.function, p.address, p.registers) for p in points})
        self._points = list(points)
        self._wire = wire
        self._holes = list(holes)
        self._fixed = list(fixed)
        self._max = max_block
        self._borders: list[tuple[Span, Span]] = []  # (border, the refused block it parts)
        self._doubtful: list[Span] = []
        self._taken_out: Span | None = None
        self._answered: list[Span] = []
        self._trials: list[Span] = []
        self._delay = RETRY_US
        self._given: list[Span] = []  # blocks that were answered, in this plan or an older one
        self._refused_since: dict[Span, int] = {}
        self._arrange()

    def _arrange(self) -> None:
        barred = self._holes + [border for border, _ in self._borders]
        barred += self.missing + self._trials
        blocks = plan(self._points, self._wire, barred, self._fixed, self._max)
        self.blocks = sorted(blocks + self._trials)
        self._answered = []
        self.version += 1

    def refuse(self, block: "Span", now: int) -> None:
        """The device has answered a read of `block` with exception 02."""
        if block not in self.blocks:
            return  # a block of an older plan
        if block in self._given:
            if now - self._refused_since.setdefault(block, now) < PATIENCE_US:
                return
            self._given.remove(block)
        out = self._taken_out
        if out is not None and block[0] == out[0] and block[1] < out[1] < block[1] + block[2]:
            self._borders.append((out, block))
            self._taken_out = None
            self._arrange()
            return
        inner = [span for span in self._spans if _within(span, block)]
        for border, parent in self._borders:
            if parent != block and _within(block, parent) and border not in self._doubtful:
                self._doubtful.append(border)
        ends = _ends(inner)
        if block in self._fixed or not ends:
            self._leave_out(block, inner, now)
        else:
            self._borders.append(((block[0], inner[_part(inner, ends)][1], 0), block))
        self._arrange()

    def _leave_out(self, block: "Span", inner: "list[Span]", now: int) -> None:
        if block in self._trials:
            self._trials.remove(block)
        if block in self._fixed:
            self._fixed.remove(block)
            inner = [block]
        self.missing.extend([span for span in inner if span not in self.missing])
        self.due = min(self.due, now + self._delay)

    def accept(self, block: "Span") -> None:
        """The device has answered a read of `block`."""
        if self._refused_since:
            self._refused_since.pop(block, None)
        if block not in self._given:
            self._given.append(block)
        if not (self._trials or self._doubtful) or block not in self.blocks:
            return
        if block in self._trials:
            self._trials.remove(block)
            self._delay = RETRY_US
            self._arrange()
        elif block not in self._answered:
            self._answered.append(block)
            if self._doubtful and len(self._answered) == len(self.blocks):
                self._taken_out = self._doubtful.pop()
                self._borders = [b for b in self._borders if b[0] != self._taken_out]
                self._arrange()

    def retry(self, now: int) -> bool:
        """Ask for missing points again when it is time; says whether the plan has changed.

        Each next time is twice as far off, up to an hour.
        """
        if now < self.due:
            return False
        self._trials.extend([span for span in self.missing if span not in self._trials])
        self.missing = []
        self.due = NEVER
        self._delay = min(2 * self._delay, MAX_RETRY_US)
        self._arrange()
        return True

    @property
    def learned(self) -> int:
        """How many borders and missing points the device has taught."""
        return len(self._borders) + len(self.missing)


def _ends(inner: "list[Span]") -> "list[int]":
    """Where sorted points can be parted without cutting one in two."""
    ends, reach = [], 0
    for i in range(1, len(inner)):
        reach = max(reach, inner[i - 1][1] + inner[i - 1][2])
        if inner[i][1] >= reach:
            ends.append(i)
    return ends


def _part(inner: "list[Span]", ends: "list[int]") -> int:
    """Part at the widest gap, where a hole most likely is; in the middle when there is none."""
    widest, at = 0, ends[len(ends) // 2]
    for i in ends:
        gap = inner[i][1] - max([span[1] + span[2] for span in inner[:i]])
        if gap > widest:
            widest, at = gap, i
    return at
