"""Rows of telemetry into blocks for the log: gathered for a while, then coded a few columns a turn.

Not the log. A block holds consecutive rows of one schema; it is closed when it is as long as may be
at risk, or when a link comes up, so that what is fresh goes first. Coding is done in slices, since
no tick may wait for it.
"""

from protocols.telemetry import varint
from protocols.telemetry.block import Writer
from protocols.telemetry.schema import CLOCK, CLOCKS, STATE, STATES, TIME, Schema
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus.fieldbus import Fieldbus

    Row = list["int | None"]

_SLICE = 4
"""Columns that are coded in one turn."""


def schema_of(fieldbus: "Fieldbus") -> Schema:
    """Name the columns of a unit's rows: time, clock, state, then every point of every device."""
    entries = [(TIME, "ms", 1, 1), (CLOCK, "1", 1, 1), (STATE, "1", 1, 1)]
    entries.extend(
        [
            (station.name + "." + point.name, point.unit, point.num, point.den)
            for station in fieldbus.stations
            for point in station.profile.points
        ]
    )
    return Schema(entries)


def row_of(fieldbus: "Fieldbus", utc: "int | None", clock: str, state: str, oldest: int) -> "Row":
    """Take a row: what is good and was read since `oldest`."""
    row: Row = [
        None if utc is None else utc // MILLISECOND,
        CLOCKS.index(clock),
        STATES.index(state),
    ]
    for station in fieldbus.stations:
        for reading in station.device.readings:
            good = reading.quality == "good" and reading.at >= oldest
            row.append(reading.raw if good else None)
    return row


class Feed:
    """Rows of `schema` into blocks of at most `most` rows; `run` says which start of the unit.

    A block's extra bytes are two numbers: `run`, and the monotonic ms of its first row, so that
    rows without UTC can be dated by later ones of the same run.
    """

    def __init__(self, schema: Schema, most: int, run: int) -> None:
        self.schema = schema
        self.since: int | None = None
        self._most = most
        self._run = run
        self._seq = 1
        self._rows: list[Row] = []
        self._coding: list[Row] = []
        self._writer: Writer | None = None
        self._column = 0
        self._coding_since = 0

    def add(self, row: "Row", now: int) -> None:
        """Take a row."""
        if not self._rows:
            self.since = now
        self._rows.append(row)
        if len(self._rows) >= self._most:
            self.cut()

    def cut(self) -> None:
        """Close the block, if there is one and the one before is coded."""
        if not self._rows or self._writer is not None or self.since is None:
            return
        extra = bytearray()
        varint.put(self._run, extra)
        varint.put(self.since // MILLISECOND, extra)
        rows = self._rows
        self._writer = Writer(self.schema.number, self._seq, len(rows), bytes(extra))
        self._seq += len(rows)
        self._coding, self._rows = rows, []
        self._coding_since = self.since
        self.since = None
        self._column = 0

    def busy(self) -> bool:
        """Tell whether `step` has something to do."""
        return self._writer is not None

    def step(self) -> "tuple[bytes, int] | None":
        """Code some columns; when that was the last: the block, and when its first row was."""
        writer = self._writer
        if writer is None:
            return None
        end = min(self._column + _SLICE, len(self.schema.entries))
        for at in range(self._column, end):
            writer.add([row[at] for row in self._coding])
        self._column = end
        if end < len(self.schema.entries):
            return None
        self._writer = None
        self._coding = []
        if len(self._rows) >= self._most:
            self.cut()
        return writer.finish(), self._coding_since

    def oldest(self) -> "int | None":
        """Give when the oldest row was taken that is not in a block yet."""
        return self._coding_since if self._writer is not None else self.since
