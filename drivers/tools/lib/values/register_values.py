# SPDX-License-Identifier: Apache-2.0
"""Registers as values and back, for `modbus read` and `modbus write`.

Does not decode profiles. It combines words as `drivers.device.number_format` does, but returns a
float as a float and not as a count of steps. A value that does not fit its type is rejected with
the limits of the type.
"""

import math
import struct

from drivers.device.number_format import (
    decode_text,
    from_bcd,
    join_words,
    split_words,
    to_bcd,
)
from drivers.device.number_types import ORDERS, TYPES, compile_order
from drivers.tools.lib.arguments import UsageError, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Value = int | float | str | None

BCD = "bcd"
HEX = "hex"
TEXT = "text"
NUMBERS = [kind for kind, number_type in TYPES.items() if number_type.registers]
KINDS = (*NUMBERS, BCD, HEX, TEXT)
_FLOATS = {"f32": ">f", "f64": ">d"}
_WORDS = {2: ">I", 4: ">Q"}
_BCD_MAX = 9999
_MANY, _ALL_DIGITS = 1e6, 1e15


def register_width(kind: str) -> int:
    """Return the number of registers of one value."""
    return TYPES[kind].registers if kind in NUMBERS else 1


def check_order(order: str, kind: str) -> str:
    """Return `order` if it is valid for the width of `kind`. Raises `UsageError`."""
    allowed = ORDERS.get(register_width(kind), ())
    if order and order not in allowed:
        raise UsageError("--order %s is not one of %s for %s" % (order, ", ".join(allowed), kind))
    return order


def decode_values(kind: str, order: str, words: "Sequence[int]") -> "list[Value]":
    """Return the values in `words`; None for "not a number" and for a wrong BCD digit."""
    if kind == TEXT:
        return [decode_text(words, order == "BA")]
    size = register_width(kind)
    byte_order = compile_order(order, size)
    raws = [
        join_words(tuple(words), at, byte_order) for at in range(0, len(words) - size + 1, size)
    ]
    return [_decode_value(kind, size, raw) for raw in raws]


def _decode_value(kind: str, size: int, raw: int) -> "Value":
    if kind in _FLOATS:
        number: float = struct.unpack(_FLOATS[kind], struct.pack(_WORDS[size], raw))[0]
        return number if math.isfinite(number) else None
    if kind == HEX:
        return "0x%04X" % raw
    if kind == BCD:
        return from_bcd(raw)
    return raw - (1 << 16 * size) if kind[0] == "i" and raw >> (16 * size - 1) else raw


def format_value(value: "Value") -> str:
    """Return a value as text; fractions with the digits of a 32-bit float, counters with all."""
    if value is None:
        return "no number"
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) < _ALL_DIGITS:
        return "%d" % value
    return ("%.15g" if _MANY <= abs(value) < _ALL_DIGITS else "%.7g") % value


def encode_value(kind: str, order: str, text_value: str) -> "list[int]":
    """Return the words of a value. Raises `UsageError` with the limits of the type."""
    size = register_width(kind)
    if kind == TEXT:
        raise UsageError("text: cannot be written; write its registers one by one")
    if kind in _FLOATS:
        return split_words(_encode_float(kind, size, text_value), compile_order(order, size))
    number_type = TYPES.get(kind, TYPES["u16"])
    low, high = (0, _BCD_MAX) if kind == BCD else (number_type.low, number_type.high)
    try:
        number = int(plain(text_value), 0)
    except ValueError:
        raise UsageError(
            "value %r is not a whole number (%s, %d to %d)" % (text_value, kind, low, high)
        )
    if not low <= number <= high:
        raise UsageError("value %d is not %d to %d (%s)" % (number, low, high, kind))
    return split_words(to_bcd(number) if kind == BCD else number, compile_order(order, size))


def _encode_float(kind: str, size: int, text_value: str) -> int:
    try:
        packed = struct.pack(_FLOATS[kind], float(plain(text_value)))
        is_finite = math.isfinite(struct.unpack(_FLOATS[kind], packed)[0])
    except (ValueError, OverflowError):
        is_finite = False
        packed = b""
    if not is_finite:
        raise UsageError("value %r is not a number that %s can hold" % (text_value, kind))
    return int(struct.unpack(_WORDS[size], packed)[0])
