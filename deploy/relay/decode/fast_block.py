# SPDX-License-Identifier: Apache-2.0
"""Fast reader of telemetry blocks: the values of the column model by compiled code.

Not a second codec: `protocols.telemetry.block` is the reference, and reads all else (kinds, first
values, masks, version 1). The loops of `RangeDecoder.decode_bit` and `ColumnDecoder.next_value` are
here once more, compiled by numba at the first use (some seconds, then from its cache). The tests
compare both on valid and on damaged blocks. Without numba, the reference does all.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

from protocols.telemetry import block, varint
from protocols.telemetry.column_model import (
    MAX_BITS,
    MAX_GAIN,
    MAX_SHIFT,
    MIN_GAIN,
)
from protocols.telemetry.initial_contexts import (
    ESCAPE,
    FIRST,
    MODE,
    MORE,
    PER_OCTAVE,
    RAW,
    SIDE,
    TOP,
    initial_table,
)
from protocols.telemetry.range_coder import ONE, RangeDecoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Function = TypeVar("_Function")
_MAX_UNARY, _UNSHIFTED, _ROUNDING = 14, 6, 120
_START_GAINS = np.array((128, 85, 64, 51), np.int64)
_MIN_RANGE = 1 << 20
_POSITION, _RANGE, _CODE, _LOW_BITS, _RATE, _DROP = range(6)  # state of the range decoder
_njit: Any = njit
_int64: Any = np.int64
_MAX_VALUE = 1 << 44
"""Larger values are left to the reference: 64 bits are too few for their products."""
_INITIAL_CONTEXTS = initial_table()
_INITIAL_TABLE = np.array(_INITIAL_CONTEXTS, np.int64)
_KIND_CODES = {bits | 1 << count: kind for kind, bits, count in block._KIND_BITS}  # noqa: SLF001
_KIND_OF_BITS = np.array([_KIND_CODES.get(code, -1) for code in range(1 << 9)], np.int64)


def _compile(function: _Function) -> _Function:
    try:
        return _njit(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder for the cache: compiled at each start
        return _njit()(function)  # type: ignore[no-any-return]


@_compile
def _decode_bit(coder: Any, table: Any, data: Any, context: Any) -> Any:
    probability = table[context]
    split = (coder[_RANGE] >> (15 - coder[_DROP])) * (probability >> coder[_DROP])
    if coder[_CODE] < split:
        coder[_RANGE] = split
        table[context] = probability + ((ONE - probability) >> coder[_RATE])
        decision = 1
    else:
        coder[_CODE] -= split
        coder[_RANGE] -= split
        table[context] = probability - (probability >> coder[_RATE])
        decision = 0
    while coder[_RANGE] < _MIN_RANGE:
        at = coder[_POSITION]
        byte = _int64(data[at]) if at < len(data) else _int64(0)
        coder[_POSITION] = at + 1
        coder[_CODE] = coder[_CODE] << 8 | coder[_LOW_BITS] << 4 | byte >> 4
        coder[_LOW_BITS] = byte & 15
        coder[_RANGE] <<= 8
    return decision


@_compile
def _decode_raw(coder: Any, table: Any, data: Any, bits: Any) -> Any:
    number = _int64(0)
    for _ in range(bits):
        number = number << 1 | _decode_bit(coder, table, data, RAW)
    return number


@_compile
def _decode_deviation(coder: Any, table: Any, data: Any, base: Any, at: Any) -> Any:
    if not _decode_bit(coder, table, data, at):
        return _int64(0)
    above = _decode_bit(coder, table, data, at + SIDE)
    deviation = _int64(1)
    while deviation <= _MAX_UNARY and _decode_bit(
        coder, table, data, base + MORE + min(deviation - 1, 5)
    ):
        deviation += 1
    if deviation > _MAX_UNARY:
        bits = 0
        while bits < MAX_BITS and _decode_bit(coder, table, data, ESCAPE + min(bits, 23)):
            bits += 1
        deviation = _MAX_UNARY + (_int64(1) << bits | _decode_raw(coder, table, data, bits))
    return deviation if above else -deviation


@_compile
def _read_kind(coder: Any, table: Any, data: Any) -> Any:
    """Return the kind of a column, -1: there is none with these bits."""
    bits = 0
    for place in range(8):
        bits |= _decode_bit(coder, table, data, MODE + place) << place
        kind = _KIND_OF_BITS[bits | 2 << place]
        if kind >= 0:
            return kind
    return -1


@_compile
def _read_first(coder: Any, table: Any, data: Any, last_bits: Any) -> Any:
    """Return a number and its length, as `column_model.decode_first`."""
    bits = 0
    while bits < MAX_BITS:
        context = FIRST + min(bits, 31) + (32 if bits < last_bits else 0)
        if not _decode_bit(coder, table, data, context):
            break
        bits += 1
    number = _int64(1)
    if bits:
        number = _int64(2) | _decode_bit(coder, table, data, TOP + min(bits, 15))
        if bits > 1:
            number = number << (bits - 2) | _decode_raw(coder, table, data, bits - 2)
            number = number << 1 | _decode_bit(coder, table, data, TOP)
    return number, bits


@_compile
def _contexts_of_spread(spread: Any) -> Any:
    """Return base of the contexts and shift of a spread."""
    octave = 0
    remaining = spread >> 4
    while remaining:
        octave += 1
        remaining >>= 1
    if not octave:
        return 0, 0
    upper = 1 if spread >= 12 << octave else 0
    return min(2 * octave + upper, 15) * PER_OCTAVE, max(octave - _UNSHIFTED, 0)


@_compile
def _read_values(  # noqa: PLR0912 - one loop, for its speed
    coder: Any, table: Any, data: Any, start: Any, state: Any, values: Any, limit: Any
) -> Any:
    """Fill `values`; return their number, or -1 if a value is beyond the bound or the data."""
    level = start << 8
    gain, spread, shift = state[0], state[1], state[2]
    last_error = _int64(0)
    count, next_shift_at = 0, 3
    for place in range(len(values)):
        base, raw_bits = _contexts_of_spread(spread)
        target = level + 128
        deviation = _decode_deviation(coder, table, data, base, base + ((target & 255) >> 5))
        if abs(deviation) > _MAX_VALUE >> raw_bits:
            return -1
        if raw_bits:
            half = (_int64(1) << raw_bits) >> 1
            deviation = (deviation << raw_bits | _decode_raw(coder, table, data, raw_bits)) - half
        value = (target >> 8) + deviation
        if not -_MAX_VALUE < value < _MAX_VALUE or coder[_POSITION] > limit:
            return -1
        values[place] = value
        error = (value << 8) - level
        size = abs(error)
        max_size = (spread << 3) + 256
        if size > max_size:
            size = max_size
            level += error
            last_error = _int64(0)
        else:
            if size < _ROUNDING:
                last_error = _int64(0)
            else:
                if last_error:
                    if (last_error > 0) == (error > 0):
                        gain = min(gain + 1, MAX_GAIN)
                    else:
                        gain = max(gain - 1, MIN_GAIN)
                last_error = error
            applied_gain = gain
            if count < 4:
                applied_gain = max(gain, _START_GAINS[count])
            level += (error * applied_gain) >> 8
        spread += (size - spread) >> shift
        count += 1  # noqa: SIM113 - enumerate is slower here
        if count == next_shift_at and shift < MAX_SHIFT:
            shift += 1
            next_shift_at += count + 1
    state[0], state[1], state[2] = gain, spread, 2
    return len(values)


def read_columns(data: bytes, width: int) -> tuple[list[list[int | None]], bool]:
    """Return the columns of a block, and whether it has more. Raises BeyondError, DecodeError."""
    reader = FastBlockReader(data)
    return [reader.read_column() for _ in range(width)], reader.has_more()


class BeyondError(Exception):
    """The block has a value, or an error, that the reference must handle."""


class _FastCoder(RangeDecoder):
    """The range decoder with its state in arrays."""

    def __init__(self, data: bytes) -> None:
        super().__init__(_INITIAL_CONTEXTS, data)  # `decode_bit` here never changes them
        self.table: NDArray[np.int64] = _INITIAL_TABLE.copy()
        self.bytes: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
        self.state: NDArray[np.int64] = np.array(
            (self._position, self._range, self._code, self._low_bits, self._rate, self._drop),
            np.int64,
        )
        self.limit = len(data) + self._spare

    def decode_bit(self, context: int) -> int:
        """Return the next decision of a context."""
        return int(_decode_bit(self.state, self.table, self.bytes, context))

    def is_overrun(self) -> bool:
        """Return True if more bytes were read than a message can have."""
        return bool(self.state[_POSITION] > self.limit)

    def has_more(self) -> bool:
        """Return True if the message has more bytes than were needed."""
        return bool(self.state[_POSITION] < len(self.bytes))


class FastBlockReader(block.BlockReader):
    """Reads a block of version 2. Raises DecodeError, or BeyondError: use the reference."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, lambda: _INITIAL_CONTEXTS)
        if data[0] != block.VERSION:
            raise BeyondError
        _, _, _, _, end = block.parse_header(data)
        self._fast = _FastCoder(data[end : len(data) - 2])
        self._coder = self._fast

    def _read_kind(self) -> int:
        fast = self._fast
        kind = int(_read_kind(fast.state, fast.table, fast.bytes))
        if kind < 0:
            raise BeyondError
        return kind

    def _read_start(self) -> int:
        fast = self._fast
        number, bits = _read_first(fast.state, fast.table, fast.bytes, self._first_bits)
        self._first_bits = int(bits)
        start = self._previous_start + varint.zigzag_decode(int(number) - 1)
        if not -_MAX_VALUE < start < _MAX_VALUE or fast.is_overrun():
            raise BeyondError
        self._previous_start = start
        return start

    def _read_values(
        self, start: int, values: list[int], count: int, state: list[int]
    ) -> list[int]:
        fast = self._fast
        if not -_MAX_VALUE < start < _MAX_VALUE:
            raise BeyondError
        model = np.array(state, np.int64)
        decoded_values = np.empty(count - len(values), np.int64)
        decoded = _read_values(
            fast.state, fast.table, fast.bytes, start, model, decoded_values, fast.limit
        )
        if decoded < 0:
            raise BeyondError
        state[:] = model.tolist()
        return [*values, *decoded_values.tolist()]
