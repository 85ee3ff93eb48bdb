# SPDX-License-Identifier: Apache-2.0
"""A telemetry block: rows of scaled integers, coded by column. Each block decodes alone.

    byte 0      version, 1
    4 bytes     the schema number (`protocols.telemetry.schema`)
    numbers     rows; sequence number of the first row; length of the extra bytes, extra bytes
    the rest    range-coded columns, without trailing zeros
    2 bytes     the low half of the CRC-32 of all bytes before

A value is an integer of at most 53 bits, or None if absent. A column starts with its kind:

- all values present, varying;
- constant;
- a counter at a steady rate: the model codes the differences from a straight line;
- all values absent;
- some values absent: a presence mask follows, then the kind of the present values.

The first value of a column is coded as the difference from the first value of the column before.
The caller defines `extra`; the agent writes the uptime there.
"""

from array import array
from binascii import crc32

from protocols.errors import DecodeError, EncodeError
from protocols.telemetry import linear_counter, varint
from protocols.telemetry.column_model import (
    ColumnDecoder,
    decode_number,
    push_decisions,
    push_number,
)
from protocols.telemetry.initial_contexts import FIRST, MODE, PRESENT, RISE, initial_table
from protocols.telemetry.range_coder import RangeDecoder, RangeEncoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Values = list["int | None"]

VERSION = 1
MAX_ROWS = 4096
MAX_VALUE = 1 << 53
"""Absolute values are smaller than this."""
_HEADER_BYTES, _CRC_BYTES = 5, 2
_VARIES, _CONSTANT, _ABSENT, _COUNTER = 0, 1, 2, 3


class Block:
    """A decoded block: schema number, sequence number of the first row, extra bytes, columns."""

    def __init__(self, schema: bytes, seq: int, extra: bytes, columns: "list[Values]") -> None:
        self.schema = schema
        self.seq = seq
        self.extra = extra
        self.columns = columns


class BlockWriter:
    """Builds one block column by column, so that a board needs no table of the whole block."""

    def __init__(self, schema: bytes, seq: int, rows: int, extra: bytes = b"") -> None:
        if not 0 < rows <= MAX_ROWS:
            raise EncodeError("a block has 1 to %d rows" % MAX_ROWS)
        self._rows = rows
        self._coder = RangeEncoder(initial_table())
        self._previous_start = 0
        out = bytearray([VERSION])
        out.extend(schema)
        for number in (rows, seq, len(extra)):
            varint.put(number, out)
        out.extend(extra)
        self._out = out

    def add(self, values: "Sequence[int | None]") -> None:
        """Add a column; None is an absent value. Raises EncodeError."""
        if len(values) != self._rows:
            raise EncodeError("a column of %d values in %d rows" % (len(values), self._rows))
        decisions = array("H")  # a quarter of the memory of a list
        present = values
        if None in values:
            present = [value for value in values if value is not None]
            _push_kind(decisions, _ABSENT if not present else -1)
            if present:
                _push_presence(values, decisions.append)
        if present:
            lowest, highest = min(present), max(present)  # type: ignore[type-var]
            if not -MAX_VALUE < lowest <= highest < MAX_VALUE:  # type: ignore[operator]
                raise EncodeError("a value has more than 53 bits")
            self._encode_present(present, lowest == highest, decisions)  # type: ignore[arg-type]
        self._coder.encode(decisions)

    def _encode_present(
        self, values: "Sequence[int]", constant: bool, decisions: "array[int]"
    ) -> None:
        push = decisions.append
        ramp = None if constant else linear_counter.fit(values)
        _push_kind(decisions, _CONSTANT if constant else _COUNTER if ramp else _VARIES)
        start = values[0]
        push_number(varint.zigzag_encode(start - self._previous_start) + 1, FIRST, 32, push)
        self._previous_start = start
        if ramp:
            push_number(varint.zigzag_encode(ramp[0]) + 1, RISE, 16, push)
            push_number(ramp[1] * linear_counter.PARTS + ramp[2] + 1, RISE, 16, push)
            push_decisions(linear_counter.residuals(values, ramp), 0, push)
        elif not constant:
            rest = iter(values)
            next(rest)
            push_decisions(rest, start, push)

    def finish(self) -> bytes:
        """Return the block."""
        out = self._out
        out.extend(self._coder.finish())
        check = crc32(out)
        out.append(check >> 8 & 255)
        out.append(check & 255)
        return bytes(out)


def _push_kind(decisions: "array[int]", kind: int) -> None:
    """Push the kind of a column; -1: some values are absent, and the kind follows again."""
    push = decisions.append
    push(MODE << 1 | (kind != _VARIES))
    if kind == _VARIES:
        return
    push(MODE + 1 << 1 | (kind != _CONSTANT))
    if kind == _CONSTANT:
        return
    push(MODE + 2 << 1 | (kind != _COUNTER))
    if kind != _COUNTER:
        push(MODE + 3 << 1 | (kind == _ABSENT))


def _push_presence(values: "Sequence[int | None]", push: "Callable[[int], None]") -> None:
    is_present = True
    for value in values:
        context = PRESENT + is_present
        is_present = value is not None
        push(context << 1 | is_present)


def encode(
    schema: bytes, seq: int, columns: "Sequence[Sequence[int | None]]", extra: bytes = b""
) -> bytes:
    """Encode a whole block; `schema` is 4 bytes. Raises EncodeError."""
    writer = BlockWriter(schema, seq, len(columns[0]), extra)
    for column in columns:
        writer.add(column)
    return writer.finish()


def read_schema_number(data: bytes) -> bytes:
    """Return the schema number of an intact block. Raises DecodeError."""
    if len(data) < _HEADER_BYTES + _CRC_BYTES + 3:
        raise DecodeError("too short for a block")
    if data[0] != VERSION:
        raise DecodeError("a block of version %d, not %d" % (data[0], VERSION))
    body = memoryview(data)[:-_CRC_BYTES]
    if crc32(body) & 0xFFFF != data[-2] << 8 | data[-1]:
        raise DecodeError("the block's check is wrong")
    return bytes(data[1:_HEADER_BYTES])


def parse_header(data: bytes) -> "tuple[bytes, int, int, int, int]":
    """Return schema number, rows, first sequence number, start and end of the extra bytes.

    Raises DecodeError.
    """
    schema = read_schema_number(data)
    rows, at = varint.get(data, _HEADER_BYTES)
    seq, at = varint.get(data, at)
    length, at = varint.get(data, at)
    if not 0 < rows <= MAX_ROWS or at + length > len(data) - _CRC_BYTES:
        raise DecodeError("a block of %d rows, %d extra bytes" % (rows, length))
    return schema, rows, seq, at, at + length


class BlockReader:
    """Reads one block column by column. Raises DecodeError."""

    def __init__(self, data: bytes) -> None:
        self.schema, self.rows, self.seq, at, extra = parse_header(data)
        self.extra = bytes(data[at:extra])
        self._coder = RangeDecoder(initial_table(), data[extra : len(data) - _CRC_BYTES])
        self._previous_start = 0

    def read_column(self) -> "Values":
        """Return the next column; a block has as many as its schema has entries."""
        column, self._previous_start = _decode_column(self._coder, self.rows, self._previous_start)
        return column

    def has_more(self) -> bool:
        """Return whether the block has more columns than were read."""
        return self._coder.has_more()


def decode(data: bytes, width: int) -> Block:
    """Decode a block of `width` columns. Raises DecodeError."""
    reader = BlockReader(data)
    columns = [reader.read_column() for _ in range(width)]
    return Block(reader.schema, reader.seq, reader.extra, columns)


def _decode_kind(bit: "Callable[[int], int]") -> int:
    if not bit(MODE):
        return _VARIES
    if not bit(MODE + 1):
        return _CONSTANT
    if not bit(MODE + 2):
        return _COUNTER
    return _ABSENT if bit(MODE + 3) else -1


def _decode_column(coder: RangeDecoder, rows: int, previous_start: int) -> "tuple[Values, int]":
    """Decode one column; return it and its first value, which the next column needs."""
    bit = coder.decode_bit
    kind = _decode_kind(bit)
    if kind == _ABSENT:
        return [None] * rows, previous_start
    if kind != -1:
        values = _decode_series(coder, kind, rows, previous_start)
        return list(values), values[0]
    is_present, mask = 1, []
    for _ in range(rows):
        is_present = bit(PRESENT + is_present)
        mask.append(is_present)
    kind = _decode_kind(bit)
    if kind in (_ABSENT, -1) or 1 not in mask:
        raise DecodeError("a column that begins twice")
    values = _decode_series(coder, kind, sum(mask), previous_start)
    rest = iter(values)
    return [next(rest) if present else None for present in mask], values[0]


def _decode_series(coder: RangeDecoder, kind: int, count: int, previous_start: int) -> "list[int]":
    """Decode `count` consecutive values."""
    bit = coder.decode_bit
    start = previous_start + varint.zigzag_decode(decode_number(FIRST, 32, bit) - 1)
    if not -MAX_VALUE < start < MAX_VALUE or coder.is_overrun():
        raise DecodeError("a column's first value is no value of ours")
    if kind == _CONSTANT:
        return [start] * count
    ramp = (0, 0, 0)
    if kind == _COUNTER:
        rise = varint.zigzag_decode(decode_number(RISE, 16, bit) - 1)
        slope, offset = divmod(decode_number(RISE, 16, bit) - 1, linear_counter.PARTS)
        if slope >= linear_counter.PARTS or count < 2:
            raise DecodeError("no such counter")
        ramp = (rise, slope, offset)
        column = ColumnDecoder(0, bit)
    else:
        column = ColumnDecoder(start, bit)
    values = [0 if kind == _COUNTER else start]
    for _ in range(count - 1):
        value = column.next_value()
        if not -MAX_VALUE < value < MAX_VALUE or coder.is_overrun():
            raise DecodeError("the block says more than it holds")
        values.append(value)
    return linear_counter.restore(values, start, ramp) if kind == _COUNTER else values
