# SPDX-License-Identifier: Apache-2.0
"""Merge blocks of the backlog into longer blocks: read a full segment, encode it again, replace it.

Does not access the flash (see `agent.log.record_store`) and does not encode (see
`protocols.telemetry.merged_block`).

Live blocks are short, because a power cut destroys the rows that are not in a block yet. Waiting
rows need fewer bytes in longer blocks, on flash and on the link. The store replaces a file
atomically, so that either the old records or the merged ones are there. The ground relay accepts
both under the same numbers. The compactor handles one file at a time, in steps, while the flash is
idle.
"""

from agent.log.segment import LogRecord
from protocols.errors import DecodeError
from protocols.telemetry import block
from protocols.telemetry.message import MERGED, ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.telemetry.merged_block import MergedBlockWriter

_MAX_BLOCKS = 8
"""Blocks that are merged into one. Each needs a decoder in memory."""


class BlockCompactor:
    """Merges blocks up to `rows` rows. `schema`: number of the schema, `width`: its columns."""

    def __init__(self, rows: int, schema: bytes = b"", width: int = 0) -> None:
        self.segment_first = 0
        """First id of the segment that is compacted. 0: none."""
        self.records: list[LogRecord] = []
        """New content of the segment. Empty until it is ready."""
        self._rows = rows
        self._schema = schema
        self._width = width
        self._groups: list[list[LogRecord]] = []
        self._output: list[LogRecord] = []
        self._merge: MergedBlockWriter | None = None

    def set_schema(self, number: bytes, width: int) -> None:
        """Set the number of the schema and its number of columns, before the first segment."""
        self._schema = number
        self._width = width

    def queue_segment(self, first: int) -> None:
        """Compact a full segment of the backlog, unless another one is in progress."""
        if not self.segment_first:
            self.segment_first = first

    def reset(self) -> None:
        """End the work on the segment: it is replaced, or no longer worth it."""
        self.segment_first = 0
        self.records = []
        self._groups = []
        self._output = []
        self._merge = None

    def is_coding(self) -> bool:
        """Return whether `step` has work."""
        return bool(self._groups)

    def load_records(self, records: "list[LogRecord]") -> None:
        """Take the records of the segment and group those that can be merged."""
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
        """Return the first row of a block and the row after its last one. 0, 0: it cannot be
        merged.
        """
        if record.kind == ROWS:
            try:
                schema, rows, seq = block.parse_header(record.payload)[:3]
            except DecodeError:
                return 0, 0
            if schema == self._schema:
                return seq, seq + rows
        return 0, 0

    def step(self) -> None:
        """Do one step of the work."""
        group = self._groups[0]
        if len(group) == 1:
            self._output.append(group[0])
        elif not self._merge_group(group):
            return
        self._groups.pop(0)
        if not self._groups:
            self.records = self._output

    def _merge_group(self, group: "list[LogRecord]") -> bool:
        """Encode a part of a group. Return True when the group is done."""
        try:
            if self._merge is None:
                from protocols.telemetry.merged_block import MergedBlockWriter  # noqa: PLC0415 - seldom used

                self._merge = MergedBlockWriter([record.payload for record in group], self._width)
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
