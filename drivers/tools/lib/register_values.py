"""Registers as the values a person means, and back, for `read` and `write`.

Not the decoder of profiles: words are put together by `drivers.device.number_format`, as there; but
a technician wants a float as it stands, not as a count of steps. What does not fit a type is
refused with the type's limits.
"""

import math
import struct

from drivers.device.number_format import (
    ORDERS,
    TYPES,
    compile_order,
    decode_text,
    from_bcd,
    join_words,
    split_words,
    to_bcd,
)
from drivers.tools.lib.arguments import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Value = int | float | str | None

BCD = "bcd"
HEX = "hex"
TEXT = "text"
NUMBERS = [kind for kind, (registers, _, _) in TYPES.items() if registers]
KINDS = (*NUMBERS, BCD, HEX, TEXT)
_FLOATS = {"f32": ">f", "f64": ">d"}
_WORDS = {2: ">I", 4: ">Q"}
_BCD_MAX = 9999


def register_width(kind: str) -> int:
    """Registers of one value."""
    return TYPES[kind][0] if kind in NUMBERS else 1


def check_order(order: str, kind: str) -> str:
    """Refuse an order that is none for values of this width; returns it."""
    allowed = ORDERS.get(register_width(kind), ())
    if order and order not in allowed:
        raise UsageError("--order %s is not one of %s for %s" % (order, ", ".join(allowed), kind))
    return order


def decode_values(kind: str, order: str, words: "Sequence[int]") -> "list[Value]":
    """The values in `words`; a float that is no number and a wrong BCD digit are None."""
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
    """A value for people; floats with the digits that a 32-bit one has."""
    if value is None:
        return "no number"
    return "%.7g" % value if isinstance(value, float) else str(value)


def encode_value(kind: str, order: str, text_value: str) -> "list[int]":
    """The words of a value. Raises `UsageError` that names the limits."""
    size = register_width(kind)
    if kind == TEXT:
        raise UsageError("text cannot be written; write its registers one by one")
    if kind in _FLOATS:
        return split_words(_encode_float(kind, size, text_value), compile_order(order, size))
    low, high = (0, _BCD_MAX) if kind == BCD else TYPES.get(kind, (1, 0, 0xFFFF))[1:]
    try:
        number = int(text_value, 0)
    except ValueError:
        raise UsageError(
            "value %r is not a whole number (%s, %d to %d)" % (text_value, kind, low, high)
        )
    if not low <= number <= high:
        raise UsageError("value %d is not %d to %d (%s)" % (number, low, high, kind))
    return split_words(to_bcd(number) if kind == BCD else number, compile_order(order, size))


def _encode_float(kind: str, size: int, text_value: str) -> int:
    try:
        packed = struct.pack(_FLOATS[kind], float(text_value))
        is_finite = math.isfinite(struct.unpack(_FLOATS[kind], packed)[0])
    except (ValueError, OverflowError):
        is_finite = False
        packed = b""
    if not is_finite:
        raise UsageError("value %r is not a number that %s can hold" % (text_value, kind))
    return int(struct.unpack(_WORDS[size], packed)[0])
