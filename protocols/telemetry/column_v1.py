# SPDX-License-Identifier: Apache-2.0
"""Reads the columns of blocks of version 1. Nothing writes this version any more.

Version 2 has other contexts, another adaptation of the level, and more kinds of columns; see
`protocols.telemetry.block`. This module is loaded only for a block of version 1. The model is that
of `column_model` with these differences: contexts for whole octaves, a gain that also adapts within
half a count, the same initial gain and spread for each column.
"""

from array import array
from binascii import unhexlify

from protocols.errors import DecodeError
from protocols.telemetry import linear_counter, varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.telemetry.range_coder import RangeDecoder

    Values = list["int | None"]
    Bit = Callable[[int], int]

_SIDE, _MORE, _PER_OCTAVE = 8, 16, 22
_ESCAPE = 8 * _PER_OCTAVE
_RAW = _ESCAPE + 24
_FIRST = _RAW + 1
_MODE = _FIRST + 32
_PRESENT = _MODE + 4
_RISE = _PRESENT + 2
_GAIN, _MAX_GAIN, _MIN_GAIN, _SPREAD = 64, 240, 16, 300
_MAX_SHIFT, _MAX_UNARY, _UNSHIFTED, _MAX_BITS = 5, 14, 6, 56
_MAX_VALUE = 1 << 53
_VARIES, _CONSTANT, _ABSENT, _COUNTER = 0, 1, 2, 3
RATE = 6

_INITIAL = unhexlify(
    "aa26231906042e4b334033ac8580dbd55af3e8e9eacf6b323f23192539620f152f"
    "5e8ecff4f012b2e5eae0da755141302c3a4e70050c1c619ee0effd038be7d3ebd2"
    "735d4b393a4b5b7706122853a7dbeff8041c6cc08be4978d8c8e818b8d9534475a"
    "7489a4bbcd2d1d346e839acececbcbb1cfcad1656f707c8189959a9792887d79c1"
    "d9d7d9d7d8d8d7da6972778084868d93ab9c8b7f746fe0e1e4e0e8e1e0e0837f81"
    "8380817f86c1bab3b1b1d1f3efeaded5cfc5bfaf9e8f6a3c138080808080808080"
    "808080fcfcf7dddac8e1cdfee3dfdad3dff6eeda79a6a601808080808080808080"
    "80802c988222f8f6fefbfafec7ebf1d4d3f0680180808080"
)


def initial_table() -> "array[int]":
    """Return a new table of probabilities in 1/32768."""
    table = array("H", bytes(2 * len(_INITIAL)))
    for at, start in enumerate(_INITIAL):
        table[at] = start * 128 + 64
    return table


def _octave_of(spread: int) -> int:
    """Return the octave of a spread: 0 below 16/256, 1 below 32/256, …"""
    octave = 0
    spread >>= 4
    while spread:
        octave += 1
        spread >>= 1
    return octave


def _decode_number(first: int, contexts: int, bit: "Bit") -> int:
    """Decode a number; a longer number ends at _MAX_BITS."""
    bits = 0
    while bits < _MAX_BITS and bit(first + min(bits, contexts - 1)):
        bits += 1
    return 1 << bits | _decode_raw(bits, bit)


def _decode_raw(bits: int, bit: "Bit") -> int:
    """Decode bits without a model."""
    number = 0
    for _ in range(bits):
        number = number << 1 | bit(_RAW)
    return number


class ColumnDecoderV1:
    """Decodes one column: call `next_value` once per value."""

    def __init__(self, start: int, bit: "Bit") -> None:
        self._bit = bit
        self._level = start << 8
        self._gain = _GAIN
        self._spread = _SPREAD
        self._last_error = 0
        self._shift = 1
        self._count = 0
        self._next_shift_at = 3

    def next_value(self) -> int:
        """Return the next value."""
        octave = _octave_of(self._spread)
        base = min(octave, 7) * _PER_OCTAVE
        down = max(octave - _UNSHIFTED, 0)
        target = self._level + 128
        deviation = self._decode_deviation(base, base + ((target & 255) >> 5))
        if down:
            deviation = (deviation << down | _decode_raw(down, self._bit)) - ((1 << down) >> 1)
        value = (target >> 8) + deviation
        self._adapt((value << 8) - self._level)
        return value

    def _decode_deviation(self, base: int, at: int) -> int:
        bit = self._bit
        if not bit(at):
            return 0
        above = bit(at + _SIDE)
        deviation = 1
        while deviation <= _MAX_UNARY and bit(base + _MORE + min(deviation - 1, 5)):
            deviation += 1
        if deviation > _MAX_UNARY:
            deviation = _MAX_UNARY + _decode_number(_ESCAPE, 24, bit)
        return deviation if above else -deviation

    def _adapt(self, error: int) -> None:
        size = abs(error)
        limit = (self._spread << 3) + 256
        if size > limit:
            size = limit
            self._level += error
            self._last_error = 0
        else:
            product = self._last_error * error
            if product > 0:
                self._gain = min(self._gain + 1, _MAX_GAIN)
            elif product < 0:
                self._gain = max(self._gain - 1, _MIN_GAIN)
            self._last_error = error
            self._level += (error * self._gain) >> 8
        self._spread += (size - self._spread) >> self._shift
        self._count += 1
        if self._count == self._next_shift_at and self._shift < _MAX_SHIFT:
            self._shift += 1
            self._next_shift_at += self._count + 1


def _decode_kind(bit: "Callable[[int], int]") -> int:
    if not bit(_MODE):
        return _VARIES
    if not bit(_MODE + 1):
        return _CONSTANT
    if not bit(_MODE + 2):
        return _COUNTER
    return _ABSENT if bit(_MODE + 3) else -1


def decode_column(coder: "RangeDecoder", rows: int, previous_start: int) -> "tuple[Values, int]":
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
        is_present = bit(_PRESENT + is_present)
        mask.append(is_present)
    kind = _decode_kind(bit)
    if kind in (_ABSENT, -1) or 1 not in mask:
        raise DecodeError("a column that begins twice")
    values = _decode_series(coder, kind, sum(mask), previous_start)
    rest = iter(values)
    return [next(rest) if present else None for present in mask], values[0]


def _decode_series(
    coder: "RangeDecoder", kind: int, count: int, previous_start: int
) -> "list[int]":
    """Decode `count` consecutive values."""
    bit = coder.decode_bit
    start = previous_start + varint.zigzag_decode(_decode_number(_FIRST, 32, bit) - 1)
    if not -_MAX_VALUE < start < _MAX_VALUE or coder.is_overrun():
        raise DecodeError("a column's first value is no value of ours")
    if kind == _CONSTANT:
        return [start] * count
    ramp = (0, 0, 0)
    if kind == _COUNTER:
        rise = varint.zigzag_decode(_decode_number(_RISE, 16, bit) - 1)
        slope, offset = divmod(_decode_number(_RISE, 16, bit) - 1, linear_counter.PARTS)
        if slope >= linear_counter.PARTS or count < 2:
            raise DecodeError("no such counter")
        ramp = (rise, slope, offset)
        column = ColumnDecoderV1(0, bit)
    else:
        column = ColumnDecoderV1(start, bit)
    values = [0 if kind == _COUNTER else start]
    for _ in range(count - 1):
        value = column.next_value()
        if not -_MAX_VALUE < value < _MAX_VALUE or coder.is_overrun():
            raise DecodeError("the block says more than it holds")
        values.append(value)
    return (
        linear_counter.restore(values, start, ramp, linear_counter.MIDDLE_V1)
        if kind == _COUNTER
        else values
    )
