"""Longer blocks for the backlog: a full segment is read, coded anew, and written in its place.

Not the flash (`agent.log.record_store` asks it) and not the coding (`protocols.telemetry.merged_block`). Blocks
of live rows are short, since a power cut costs what is not in a block yet. Rows that have to wait
anyway need fewer bytes in longer ones, on flash and on the link. A file is replaced whole, so that
at every moment either its old records are there or what stands for them; the ground takes either
for the same numbers. One file at a time, when the flash has nothing else to do, in slices.
"""

from agent.log.segment import Record
from protocols.errors import DecodeError
from protocols.telemetry import block
from protocols.telemetry.message import MERGED, ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.telemetry.merged_block import Merge

_MOST_BLOCKS = 8
"""Blocks that are made one: each has a decoder in memory."""


class Merger:
    """Makes blocks of at most `rows` rows, of the schema with this number and so many columns."""

    def __init__(self, rows: int, schema: bytes, width: int) -> None:
        self.first = 0
        """First id of the segment that is to be written anew, 0: none."""
        self.records: list[Record] = []
        """What it is to hold, when that is ready."""
        self._rows = rows
        self._schema = schema
        self._width = width
        self._todo: list[list[Record]] = []
        self._done: list[Record] = []
        self._merge: Merge | None = None

    def full(self, first: int) -> None:
        """A segment of the backlog is full; it has its turn unless another has."""
        if not self.first:
            self.first = first

    def drop(self) -> None:
        """Let go of the segment: it is written, or not worth it any more."""
        self.first = 0
        self.records = []
        self._todo = []
        self._done = []
        self._merge = None

    def busy(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._todo)

    def take(self, records: "list[Record]") -> None:
        """Take what the segment holds, and find what can be made one."""
        groups: list[list[Record]] = []
        rows, expected = 0, -1
        for record in records:
            first, end = self._span(record)
            rows += end - first
            if first == expected and rows <= self._rows and len(groups[-1]) < _MOST_BLOCKS:
                groups[-1].append(record)
            else:
                groups.append([record])
                rows = end - first
            expected = end or -1
        if len(groups) < len(records):
            self._todo = groups
        else:
            self.drop()

    def _span(self, record: Record) -> "tuple[int, int]":
        """Give a block's first row and the one behind it; 0, 0 for what cannot be merged."""
        if record.kind == ROWS:
            try:
                schema, rows, seq = block.head(record.payload)[:3]
            except DecodeError:
                return 0, 0
            if schema == self._schema:
                return seq, seq + rows
        return 0, 0

    def step(self) -> None:
        """Do a little."""
        group = self._todo[0]
        if len(group) == 1:
            self._done.append(group[0])
        elif not self._step(group):
            return
        self._todo.pop(0)
        if not self._todo:
            self.records = self._done

    def _step(self, group: "list[Record]") -> bool:
        """Code some of a group anew; True when it is done."""
        try:
            if self._merge is None:
                from protocols.telemetry.merged_block import Merge as Kind  # noqa: PLC0415 - seldom used

                self._merge = Kind([record.payload for record in group], self._width)
                return False
            if not self._merge.step():
                return False
            content = self._merge.finish()
        except DecodeError:
            content = b""
        self._merge = None
        if content and len(content) < sum([len(record.payload) for record in group]):
            last = group[-1]
            self._done.append(Record(group[0].ident, last.stamp, MERGED, content))
        else:
            self._done.extend(group)
        return True
