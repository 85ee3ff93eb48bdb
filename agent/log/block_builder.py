# SPDX-License-Identifier: Apache-2.0
"""Build telemetry blocks for the log from rows.

Does not store blocks; see `agent.log.record_store`.

A block holds consecutive rows of one schema. The builder closes a block when it has its full number
of rows, or when a link comes up, so that recent rows are sent first. It encodes a few columns in
each step, because a tick must not wait for the codec.
"""

from protocols.telemetry import varint
from protocols.telemetry.block import MAX_VALUE, BlockWriter
from protocols.telemetry.schema import CLOCK, CLOCKS, STATE, STATES, TIME, Schema
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Component
    from agent.core.context import FieldbusView

    Row = list["int | None"]

COLUMNS_PER_STEP = 4
"""Columns that one step encodes."""


def unit_schema(fieldbus: "FieldbusView", components: "list[Component]") -> Schema:
    """Return the schema of a unit's rows: time, clock, state, each point of each device, each
    point of each component.
    """
    entries = [(TIME, "ms", 1, 1), (CLOCK, "1", 1, 1), (STATE, "1", 1, 1)]
    entries.extend(
        [
            (session.name + "." + point.name, point.unit, point.numerator, point.denominator)
            for session in fieldbus.sessions
            for point in session.profile.points
        ]
    )
    for component in components:
        entries.extend(component.POINTS)
    return Schema(entries)


def take_row(
    fieldbus: "FieldbusView", utc: "int | None", clock: str, state: str, oldest_read_at: int
) -> "Row":
    """Return a row without the values of the components. A point is None if its quality is not good
    or its value is older than `oldest_read_at`.
    """
    row: Row = [
        None if utc is None else utc // MILLISECOND,
        CLOCKS.index(clock),
        STATES.index(state),
    ]
    for session in fieldbus.sessions:
        for reading in session.device.readings:
            good = reading.quality == "good" and reading.read_at >= oldest_read_at
            row.append(reading.raw if good else None)
    return row


class BlockBuilder:
    """Builds blocks of at most `max_rows` rows of `schema`. `start_number` identifies a start of
    the unit (0: not known yet).

    The extra bytes of a block are three numbers: `start_number`, the monotonic time of its first
    row in ms, and the number of columns. Later rows of the same start thus give a date to rows
    without UTC, and the relay detects a block with the schema of another unit.
    """

    def __init__(self, schema: Schema, max_rows: int, start_number: int) -> None:
        self.schema = schema
        self.first_row_at: int | None = None
        self._max_rows = max_rows
        self.start_number = start_number
        self._next_row_number = 1
        self._rows: list[Row] = []
        self._rows_in_coding: list[Row] = []
        self._writer: BlockWriter | None = None
        self._next_column = 0
        self._coding_first_at = 0

    def set_start_number(self, number: int) -> None:
        """Set the number of this start for the next blocks."""
        self.start_number = number

    def add(self, row: "Row", now: int) -> None:
        """Append a row; `now` is its monotonic time in µs."""
        if not self._rows:
            self.first_row_at = now
        self._rows.append(row)
        if len(self._rows) >= self._max_rows:
            self.close_block()

    def close_block(self) -> None:
        """Close the block if it has rows and the previous block is encoded."""
        if not self._rows or self._writer is not None or self.first_row_at is None:
            return
        extra = bytearray()
        varint.put(self.start_number, extra)
        varint.put(self.first_row_at // MILLISECOND, extra)
        varint.put(len(self.schema.entries), extra)
        rows = self._rows
        self._writer = BlockWriter(
            self.schema.number, self._next_row_number, len(rows), bytes(extra)
        )
        self._next_row_number += len(rows)
        self._rows_in_coding, self._rows = rows, []
        self._coding_first_at = self.first_row_at
        self.first_row_at = None
        self._next_column = 0

    def is_coding(self) -> bool:
        """Return whether `step` has work."""
        return self._writer is not None

    def step(self, columns: int = COLUMNS_PER_STEP) -> "tuple[bytes, int] | None":
        """Encode some columns. After the last: return the block and the time of its first row."""
        writer = self._writer
        if writer is None:
            return None
        end = min(self._next_column + columns, len(self.schema.entries))
        for column in range(self._next_column, end):
            writer.add([_in_range(row[column]) for row in self._rows_in_coding])
        self._next_column = end
        if end < len(self.schema.entries):
            return None
        self._writer = None
        self._rows_in_coding = []
        if len(self._rows) >= self._max_rows:
            self.close_block()
        return writer.finish(), self._coding_first_at

    def oldest_row_at(self) -> "int | None":
        """Return the time of the oldest row that is not in a finished block. None: there is no such
        row.
        """
        return self._coding_first_at if self._writer is not None else self.first_row_at


def _in_range(value: "int | None") -> "int | None":
    """Return a value that a block can hold; None for one of more than 53 bits."""
    return value if value is None or -MAX_VALUE < value < MAX_VALUE else None
