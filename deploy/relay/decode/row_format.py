# SPDX-License-Identifier: Apache-2.0
"""Rows of a unit in physical units, and notes: what the outputs get.

Does not give dates to rows without UTC; see `dating`. Does not write texts for other systems; see
`outputs.row_text`.
"""

from dataclasses import dataclass, field
from typing import Any

from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block, varint
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import CLOCK, STATE, TIME, Schema

try:
    from deploy.relay.decode import fast_block
except ImportError:  # numba is part of the extra `relay`, and needs its own numpy
    fast_block = None  # type: ignore[assignment]

META = (CLOCK, STATE)
"""Columns with an index into a list instead of a measured value."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A block in physical units: time and values of each row, in the order of `names`.

    A time is UTC in ms. If `is_dated` is False, it is the uptime of the unit in ms.
    `generation` (hexadecimal) and `number` identify the record, `run` the start of the unit.
    `estimated`: rows that were dated by other rows. `units`: UCUM.
    """

    unit: str
    number: int
    seq: int
    names: tuple[str, ...]
    values: list[tuple[int, list[float | None]]]
    generation: str = ""
    run: int = 0
    is_dated: bool = True
    estimated: int = 0
    units: tuple[str, ...] = ()

    def counted(self) -> list[tuple[int, int, list[float | None]]]:
        """Return time, number of earlier rows here with this time, and values of each row."""
        nth: dict[int, int] = {}
        rows = []
        for at, values in self.values:
            nth[at] = nth.get(at, -1) + 1
            rows.append((at, nth[at], values))
        return rows


def count_values(item: "Item") -> int:
    """Return how many values an item has in memory; a note counts by its bytes."""
    if isinstance(item, Rows):
        return max(1, len(item.values) * len(item.names))
    return 1 + len(item.payload) // _BYTES_OF_A_VALUE


_BYTES_OF_A_VALUE = 40
"""What a decoded value needs in memory, about."""
START = "start"
"""The event that a unit logs at each start, before its alarms."""


@dataclass(frozen=True, slots=True)
class Note:
    """An alarm or an event: `content` is the JSON object, `time_ms` its UTC (0: unknown)."""

    unit: str
    number: int
    content: dict[str, Any]
    generation: str = ""
    time_ms: int = 0
    payload: bytes = b""


Item = Rows | Note


@dataclass(slots=True)
class RowSpan:
    """Consecutive rows of one block of the unit: first row, count, run, uptime of the first row."""

    first: int
    count: int
    run: int = 0
    uptime_ms: int | None = None


@dataclass(slots=True)
class RawBlock:
    """A decoded block: columns of integers, times in ms (None: no UTC), spans of its rows."""

    seq: int
    columns: list[list[int | None]]
    times: list[int | None]
    spans: list[RowSpan] = field(default_factory=list)


def block_of_record(kind: int, payload: bytes) -> bytes:
    """Return the block of a record of rows. Raises DecodeError."""
    return merged_block.extract_block(payload) if kind == telemetry_message.MERGED else payload


def decode_block(kind: int, payload: bytes, schema: Schema, max_values: int) -> RawBlock:
    """Decode a record of rows. Raises DecodeError; SizeError above `max_values`."""
    data = block_of_record(kind, payload)
    width = len(schema.entries)
    rows, _ = check_size(data, width, max_values)
    if kind == telemetry_message.MERGED and merged_block.parse_header(payload)[1] != width:
        raise DecodeError("the schema has another number of columns")
    _, _, seq, start, end = block.parse_header(data)
    spans = _read_spans(kind, payload, bytes(data[start:end]), rows, width)
    columns, has_more = _read_columns(data, width)
    if has_more:
        raise DecodeError("more columns than the schema has")
    names = schema.column_names()
    times = columns[names.index(TIME)] if TIME in names else [None] * rows
    return RawBlock(seq, columns, list(times), spans)


def _read_columns(data: bytes, width: int) -> tuple[list[list[int | None]], bool]:
    """Read the columns: by compiled code if numba is installed, otherwise by the reference."""
    if fast_block is not None:
        try:
            return fast_block.read_columns(data, width)
        except fast_block.BeyondError:
            pass  # a block that the reference must read
    reader = block.BlockReader(data)
    return [reader.read_column() for _ in range(width)], reader.has_more()


def warm_up() -> None:
    """Compile the fast reader, if it is installed: the first unit must not pay for that."""
    if fast_block is not None:
        values: list[int | None] = [1, 2, 4, 8, 3, 3, 9, 700]
        fast_block.read_columns(block.encode(bytes(4), 0, [values, values]), 2)


class SizeError(DecodeError):
    """A block is within the format, but above the limit of a unit."""


def check_size(data: bytes, width: int, max_values: int) -> tuple[int, int]:
    """Return rows and values of a block. Raises SizeError, DecodeError."""
    rows = block.parse_header(data)[1]
    if rows * width > max_values:
        raise SizeError(f"{rows} rows of {width} columns")
    return rows, rows * width


def _read_spans(kind: int, payload: bytes, extra: bytes, rows: int, width: int) -> list[RowSpan]:
    """Read the extra bytes: run, uptime in ms, number of columns (since version 0.3)."""
    if kind != telemetry_message.MERGED:
        return [_read_span(extra, 0, rows, width)]
    spans: list[RowSpan] = []
    at = first = 0
    for _ in range(merged_block.parse_header(payload)[0]):
        count, at = varint.get(extra, at)
        length, at = varint.get(extra, at)
        spans.append(_read_span(extra[at : at + length], first, count, width))
        at += length
        first += count
    if first != rows:
        raise DecodeError("blocks with other rows than the merged block")
    return spans


def _read_span(extra: bytes, first: int, count: int, width: int) -> RowSpan:
    span = RowSpan(first, count)
    if not extra:
        return span
    run, at = varint.get(extra, 0)
    uptime, at = varint.get(extra, at)
    if run >= 1 << 53 or uptime >= 1 << 53:
        raise DecodeError("run or uptime is out of range")
    if at < len(extra) and varint.get(extra, at)[0] != width:
        raise DecodeError("the schema has another number of columns")
    span.run, span.uptime_ms = run, uptime
    return span


def scale_rows(raw: RawBlock, schema: Schema) -> list[list[float | None]]:
    """Return the values of each row in physical units, without the column of the time."""
    scaled = [
        _scale_column(column, numerator, denominator)
        for column, (name, _, numerator, denominator) in zip(
            raw.columns, schema.entries, strict=True
        )
        if name != TIME
    ]
    return [list(row) for row in zip(*scaled, strict=True)] if scaled else [[] for _ in raw.times]


def _scale_column(column: list[int | None], numerator: int, denominator: int) -> list[float | None]:
    if None not in column:
        return [raw * numerator / denominator for raw in column]  # type: ignore[operator]
    return [None if raw is None else raw * numerator / denominator for raw in column]
