"""Longer blocks for the backlog: a full segment is read, coded anew, and written in its place.

Not the flash (`agent.log.record_store` asks it) and not the coding
(`protocols.telemetry.merged_block`). Blocks of live rows are short, since a power cut costs what is
not in a block yet. Rows that have to wait anyway need fewer bytes in longer ones, on flash and on
the link. A file is replaced whole, so that at every moment either its old records are there or what
stands for them; the ground takes either for the same numbers. One file at a time, when the flash
has nothing else to do, in slices.
"""

from agent.log.segment import LogRecord
from protocols.errors import DecodeError
from protocols.telemetry import block
from protocols.telemetry.message import MERGED, ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.telemetry.merged_block import MergedBlockWriter

_MAX_BLOCKS = 8
"""Blocks that are made one: each has a decoder in memory."""


class BlockCompactor:
    """Makes blocks of at most `rows` rows, of the schema with this number and so many columns."""

    def __init__(self, rows: int, schema: bytes, width: int) -> None:
        self.segment_first = 0
        """First id of the segment that is to be written anew, 0: none."""
        self.records: list[LogRecord] = []
        """What it is to hold, when that is ready."""
        self._rows = rows
        self._schema = schema
        self._width = width
        self._groups: list[list[LogRecord]] = []
        self._output: list[LogRecord] = []
        self._merge: MergedBlockWriter | None = None

    def queue_segment(self, first: int) -> None:
        """A segment of the backlog is full; it has its turn unless another has."""
        if not self.segment_first:
            self.segment_first = first

    def reset(self) -> None:
        """Let go of the segment: it is written, or not worth it any more."""
        self.segment_first = 0
        self.records = []
        self._groups = []
        self._output = []
        self._merge = None

    def is_coding(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._groups)

    def load_records(self, records: "list[LogRecord]") -> None:
        """Take what the segment holds, and find what can be made one."""
        groups: list[list[LogRecord]] = []
        rows, expected = 0, -1
        for record in records:
            first, next_row = self._span(record)
            rows += next_row - first
            if first == expected and rows <= self._rows and len(groups[-1]) < _MAX_BLOCKS:
                groups[-1].append(record)
            else:
                groups.append([record])
                rows = next_row - first
            expected = next_row or -1
        if len(groups) < len(records):
            self._groups = groups
        else:
            self.reset()

    def _span(self, record: LogRecord) -> "tuple[int, int]":
        """Give a block's first row and the one behind it; 0, 0 for what cannot be merged."""
        if record.kind == ROWS:
            try:
                schema, rows, seq = block.parse_header(record.payload)[:3]
            except DecodeError:
                return 0, 0
            if schema == self._schema:
                return seq, seq + rows
        return 0, 0

    def step(self) -> None:
        """Do a little."""
        group = self._groups[0]
        if len(group) == 1:
            self._output.append(group[0])
        elif not self._merge_group(group):
            return
        self._groups.pop(0)
        if not self._groups:
            self.records = self._output

    def _merge_group(self, group: "list[LogRecord]") -> bool:
        """Code some of a group anew; True when it is done."""
        try:
            if self._merge is None:
                from protocols.telemetry.merged_block import MergedBlockWriter as Kind  # noqa: PLC0415 - seldom used

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
            self._output.append(LogRecord(group[0].ident, last.stamp, MERGED, content))
        else:
            self._output.extend(group)
        return True
