# SPDX-License-Identifier: Apache-2.0
"""A telemetry block: rows of scaled integers, coded by column. Each block decodes alone.

    byte 0      version, 2; a reader also knows version 1 (`column_v1`)
    4 bytes     the schema number (`protocols.telemetry.schema`)
    numbers     rows; sequence number of the first row; length of the extra bytes, extra bytes
    the rest    range-coded columns, without trailing zeros
    2 bytes     the low half of the CRC-32 of all bytes before

A value is an integer of at most 53 bits, or None if absent. A column starts with its kind:

- all values present, varying;
- constant;
- a counter at a steady rate: the model codes the differences from a straight line;
- all values absent;
- some values absent: a presence mask follows, then the kind of the present values;
- periodic, smooth, alternating, or a counter that wraps (`series_kind`). After the modulus of a
  wrapping counter follows the kind of the unwrapped one: constant, steady, smooth or varying.

The first value of a column is coded as the difference from the first value of the column before.
The caller defines `extra`; the agent writes the uptime there. A block has at most MAX_VALUES
values, so that a small one cannot decode to a large one.
"""

from array import array
from binascii import crc32

from protocols.errors import DecodeError, EncodeError
from protocols.telemetry import linear_counter, series_kind, varint
from protocols.telemetry.column_model import (
    ColumnDecoder,
    decode_first,
    decode_number,
    initial_state,
    linear_state,
    push_decisions,
    push_first,
    push_number,
)
from protocols.telemetry.initial_contexts import MODE, PRESENT, RISE, initial_table
from protocols.telemetry.range_coder import RangeDecoder, RangeEncoder
from protocols.telemetry.series_kind import (
    ABSENT,
    ALTERNATING,
    CONSTANT,
    COUNTER,
    DIFFERENCES,
    GAPS,
    PERIODIC,
    VARIES,
    WRAP,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Values = list["int | None"]
    Push = Callable[[int], None]

VERSION, VERSION_1 = 2, 1
MAX_ROWS = 4096
MAX_VALUES = 1 << 18
"""Rows times columns of a block are at most this."""
MAX_VALUE = 1 << 53
"""Absolute values are smaller than this."""
_MAX_STEP = 1 << 55
"""The same for differences, and for wrapped counters without their wraps."""
_HEADER_BYTES, _CRC_BYTES = 5, 2
_KIND_BITS = (
    (VARIES, 0, 1),
    (CONSTANT, 0b01, 2),
    (COUNTER, 0b011, 3),
    (ABSENT, 0b1_0111, 5),
    (GAPS, 0b0_0111, 5),
    (PERIODIC, 0b00_1111, 6),
    (DIFFERENCES, 0b010_1111, 7),
    (WRAP, 0b0110_1111, 8),
    (ALTERNATING, 0b1110_1111, 8),
)
"""Kind, its decisions in the contexts from MODE on (the lowest bit first), their number."""
_INNER = (VARIES, CONSTANT, COUNTER, DIFFERENCES, ALTERNATING)
"""Kinds of an unwrapped counter, and of one period."""


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
        self._columns = 0
        self._coder = RangeEncoder(initial_table())
        self._previous_start = self._first_bits = 0
        self._state = initial_state()
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
        self._columns += 1
        if self._columns * self._rows > MAX_VALUES:
            raise EncodeError("a block has at most %d values" % MAX_VALUES)
        decisions = array("H")  # a quarter of the memory of a list
        present = values
        if None in values:
            present = [value for value in values if value is not None]
            _push_kind(decisions.append, GAPS if present else ABSENT)
            if present:
                _push_presence(values, decisions.append)
        if present:
            lowest, highest = min(present), max(present)  # type: ignore[type-var]
            if not -MAX_VALUE < lowest <= highest < MAX_VALUE:  # type: ignore[operator]
                raise EncodeError("a value has more than 53 bits")
            self._encode_present(present, lowest, highest, decisions.append)  # type: ignore[arg-type]
        self._coder.encode(decisions)

    def _encode_present(
        self, values: "Sequence[int]", lowest: int, highest: int, push: "Push"
    ) -> None:
        if lowest == highest:
            self._encode_series(values, CONSTANT, push)
            return
        ramp = linear_counter.fit(values)
        if ramp:
            self._encode_counter(values, ramp, push)
            return
        kind, parameter = series_kind.choose(values, lowest, highest)
        if kind in (WRAP, PERIODIC):
            _push_kind(push, kind)
            push_number(parameter + 1, RISE, 16, push)
            if kind == WRAP:
                self._encode_inner(series_kind.unwrap(values, parameter), push)
            else:
                self._encode_inner(values[:parameter], push)
        else:
            self._encode_series(values, kind, push)

    def _encode_inner(self, values: "Sequence[int]", push: "Push") -> None:
        """Encode an unwrapped counter, or one period."""
        ramp = linear_counter.fit(values)
        if ramp:
            self._encode_counter(values, ramp, push)
            return
        lowest, highest = min(values), max(values)
        kind = CONSTANT
        if len(values) == 2:
            kind = ALTERNATING
        elif lowest < highest:
            kind = series_kind.choose(values, lowest, highest)[0]
        self._encode_series(values, kind if kind in _INNER else VARIES, push)

    def _encode_counter(
        self, values: "Sequence[int]", ramp: "linear_counter.Ramp", push: "Push"
    ) -> None:
        _push_kind(push, COUNTER)
        self._push_start(values[0], push)
        push_number(varint.zigzag_encode(ramp[0]) + 1, RISE, 16, push)
        push_number(ramp[1] * linear_counter.PARTS + ramp[2] + 1, RISE, 16, push)
        push_decisions(linear_counter.residuals(values, ramp), 0, push, linear_state())

    def _encode_series(self, values: "Sequence[int]", kind: int, push: "Push") -> None:
        _push_kind(push, kind)
        self._push_start(values[0], push)
        if kind == VARIES:
            push_decisions(_part(values, 1, len(values)), values[0], push, self._state)
        elif kind == DIFFERENCES:
            steps = series_kind.differences(values, 1)
            first = next(steps)
            self._push_step(first, push)
            push_decisions(steps, first, push, initial_state())
        elif kind == ALTERNATING:
            self._push_step(values[1] - values[0], push)
            push_decisions(series_kind.differences(values, 2), 0, push, initial_state())

    def _push_step(self, step: int, push: "Push") -> None:
        push_first(varint.zigzag_encode(step) + 1, self._first_bits, push)

    def _push_start(self, start: int, push: "Push") -> None:
        number = varint.zigzag_encode(start - self._previous_start) + 1
        self._first_bits = push_first(number, self._first_bits, push)
        self._previous_start = start

    def finish(self) -> bytes:
        """Return the block."""
        out = self._out
        out.extend(self._coder.finish())
        check = crc32(out)
        out.append(check >> 8 & 255)
        out.append(check & 255)
        return bytes(out)


def _part(values: "Sequence[int]", start: int, end: int) -> "Iterator[int]":
    """Return the values from `start` to before `end`, without a copy."""
    for i in range(start, end):
        yield values[i]


def _push_kind(push: "Push", kind: int) -> None:
    for row in _KIND_BITS:
        if row[0] == kind:
            for i in range(row[2]):
                push(MODE + i << 1 | (row[1] >> i) & 1)


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
    if data[0] not in (VERSION, VERSION_1):
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
    """Reads one block of version 1 or 2, column by column. Raises DecodeError.

    `new_table` makes the initial probabilities of version 2.
    """

    def __init__(self, data: bytes, new_table: "Callable[[], array[int]]" = initial_table) -> None:
        self.schema, self.rows, self.seq, at, extra = parse_header(data)
        self.extra = bytes(data[at:extra])
        body = data[extra : len(data) - _CRC_BYTES]
        self._old: Callable[..., tuple[Values, int]] | None = None
        if data[0] == VERSION_1:
            from protocols.telemetry import column_v1  # noqa: PLC0415 - only for old blocks

            self._old = column_v1.decode_column
            self._coder = RangeDecoder(column_v1.initial_table(), body, column_v1.RATE, 0)
        else:
            self._coder = RangeDecoder(new_table(), body)
        self._previous_start = self._first_bits = self._columns = 0
        self._state = initial_state()

    def has_more(self) -> bool:
        """Return whether the block has more columns than were read."""
        return self._coder.has_more()

    def read_column(self) -> "Values":
        """Return the next column; a block has as many as its schema has entries."""
        self._columns += 1
        if self._columns * self.rows > MAX_VALUES:
            raise DecodeError("a block of more than %d values" % MAX_VALUES)
        if self._old is not None:
            column, self._previous_start = self._old(self._coder, self.rows, self._previous_start)
            return column
        kind = self._read_kind()
        if kind == ABSENT:
            return [None] * self.rows
        if kind != GAPS:
            return list(self._read_present(kind, self.rows))
        bit = self._coder.decode_bit
        is_present, mask = 1, []
        for _ in range(self.rows):
            is_present = bit(PRESENT + is_present)
            mask.append(is_present)
        kind = self._read_kind()
        if kind in (ABSENT, GAPS) or 1 not in mask:
            raise DecodeError("a column that begins twice")
        rest = iter(self._read_present(kind, sum(mask)))
        return [next(rest) if present else None for present in mask]

    def _read_kind(self) -> int:
        bits = 0
        for i in range(8):
            bits |= self._coder.decode_bit(MODE + i) << i
            for row in _KIND_BITS:
                if row[2] == i + 1 and row[1] == bits:
                    return row[0]
        raise DecodeError("no such kind of column")

    def _read_number(self) -> int:
        return decode_number(RISE, 16, self._coder.decode_bit)

    def _read_present(self, kind: int, count: int) -> "list[int]":
        """Read `count` consecutive values."""
        if kind not in (WRAP, PERIODIC):
            return _check(self._read_series(kind, count))
        parameter = self._read_number() - 1
        inner = self._read_kind()
        limit = count if kind == PERIODIC else 2 * len(series_kind.MODULI)
        if parameter >= limit or inner not in _INNER or (kind == PERIODIC and not parameter):
            raise DecodeError("no such period or modulus")
        if kind == WRAP:
            return series_kind.wrap(self._read_series(inner, count), parameter)
        values = _check(self._read_series(inner, parameter))
        return [values[i % parameter] for i in range(count)]

    def _read_series(self, kind: int, count: int) -> "list[int]":
        start = self._read_start()
        if kind == CONSTANT:
            return [start] * count
        if kind == COUNTER:
            return self._read_counter(start, count)
        if kind == VARIES:
            return self._read_values(start, [start], count, self._state)
        if count < 2:
            raise DecodeError("a curve of one value")
        number, _ = decode_first(self._first_bits, self._coder.decode_bit)
        first = varint.zigzag_decode(number - 1)
        if not -_MAX_STEP < first < _MAX_STEP:
            raise DecodeError("a value has more than 53 bits")
        if kind == DIFFERENCES:
            steps = self._read_values(first, [first], count - 1, initial_state())
            return series_kind.restore(iter(steps), [start], 1)
        steps = self._read_values(0, [], count - 2, initial_state())
        return series_kind.restore(iter(steps), [start, start + first], 2)

    def _read_start(self) -> int:
        number, self._first_bits = decode_first(self._first_bits, self._coder.decode_bit)
        start = self._previous_start + varint.zigzag_decode(number - 1)
        if not -MAX_VALUE < start < MAX_VALUE or self._coder.is_overrun():
            raise DecodeError("a column's first value is no value of ours")
        self._previous_start = start
        return start

    def _read_counter(self, start: int, count: int) -> "list[int]":
        rise = varint.zigzag_decode(self._read_number() - 1)
        slope, offset = divmod(self._read_number() - 1, linear_counter.PARTS)
        if slope >= 2 * linear_counter.MIDDLE or count < 2:
            raise DecodeError("no such counter")
        values = self._read_values(0, [0], count, linear_state())
        return linear_counter.restore(values, start, (rise, slope, offset))

    def _read_values(
        self, start: int, values: "list[int]", count: int, state: "list[int]"
    ) -> "list[int]":
        """Append the values of the model until there are `count`."""
        coder = self._coder
        column = ColumnDecoder(start, coder.decode_bit, state)
        while len(values) < count:
            value = column.next_value()
            if not -_MAX_STEP < value < _MAX_STEP or coder.is_overrun():
                raise DecodeError("the block says more than it holds")
            values.append(value)
        column.save(state)
        return values


def _check(values: "list[int]") -> "list[int]":
    if not -MAX_VALUE < min(values) <= max(values) < MAX_VALUE:
        raise DecodeError("a value has more than 53 bits")
    return values


def decode(data: bytes, width: int) -> Block:
    """Decode a block of `width` columns. Raises DecodeError."""
    reader = BlockReader(data)
    columns = [reader.read_column() for _ in range(width)]
    return Block(reader.schema, reader.seq, reader.extra, columns)
