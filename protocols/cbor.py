# SPDX-License-Identifier: Apache-2.0
"""CBOR in its core deterministic form (RFC 8949, 4.2.1), the subset of signed messages.

    integers (-2^63 to 2^63-1), bytes, text, lists, maps, true, false, null,
    decimal fractions (tag 4, RFC 8949, 3.4.4) as `Decimal`

Does not encode or decode floats (they differ between boards), other tags, indefinite lengths or
other simple values. One value has one encoding: numbers and lengths in their shortest form, map
keys in order. The decoder rejects all others, so that signed data has one form only.

`Map` holds a map as a list of (key, value) pairs, because dictionaries have no order on
MicroPython. The decoder allocates at most the length of its input. Its recursion is bounded.
"""

from protocols.errors import DecodeError, EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_DEPTH = 8
"""The maximum number of nested lists and maps."""
MIN_INT, MAX_INT = -(1 << 63), (1 << 63) - 1

MAX_PLACES = 9
"""The maximum number of decimal places."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP = 0, 1, 2, 3, 4, 5
_DECIMAL = 0xC4
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_MIN_ARGUMENTS = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
"""The minimum argument of each size; a smaller one has a shorter form."""


class Map:
    """A CBOR map: `pairs` of (key, value), in the order of their encoded keys."""

    def __init__(self, pairs: "list[tuple[Any, Any]]") -> None:
        self.pairs = pairs

    def get(self, key: object, default: object = None) -> "Any":
        """Return the value of `key`, or `default`."""
        for name, value in self.pairs:
            if name == key and type(name) is type(key):
                return value
        return default


class Decimal:
    """A number with 1 to 9 decimal `places`: mantissa / 10^places, in lowest terms."""

    def __init__(self, mantissa: int, places: int) -> None:
        self.mantissa = mantissa
        self.places = places

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decimal):
            return False
        return self.mantissa == other.mantissa and self.places == other.places

    def __hash__(self) -> int:
        return hash((self.mantissa, self.places))

    def is_canonical(self) -> bool:
        """Return True if this is the canonical form of the value."""
        return 1 <= self.places <= MAX_PLACES and self.mantissa % 10 != 0


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    for code in (24, 25, 26, 27):
        size = _SIZES[code]
        if argument < 1 << (8 * size):
            return bytes((major << 5 | code,)) + argument.to_bytes(size, "big")
    raise EncodeError("a number beyond 64 bits")


def encode(value: "Any", default: "Callable[[Any], Any] | None" = None) -> bytes:
    """Encode `value`; raises `EncodeError` for an unsupported type (a float) or too many levels.

    `default` converts a value of an unsupported type; the encoder then writes the result. A large
    value is thus converted in parts, without a second copy in memory.
    """
    return _encode(value, 0, default)


def _encode(value: "Any", depth: int, default: "Callable[[Any], Any] | None") -> bytes:
    if depth > MAX_DEPTH:
        raise EncodeError("nested more than %d deep" % MAX_DEPTH)
    if value is None or value is True or value is False:
        return bytes((_NULL if value is None else _TRUE if value else _FALSE,))
    if isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise EncodeError("%d is beyond 64 bits" % value)
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, (bytes, bytearray)):
        return _head(_BYTES, len(value)) + bytes(value)
    if isinstance(value, str):
        data = value.encode()
        return _head(_TEXT, len(data)) + data
    if isinstance(value, (list, tuple)):
        return _head(_LIST, len(value)) + b"".join(
            [_encode(item, depth + 1, default) for item in value]
        )
    if isinstance(value, Map):
        return _encode_map(value, depth, default)
    if isinstance(value, Decimal) and value.is_canonical():
        return bytes((_DECIMAL,)) + _encode([-value.places, value.mantissa], depth, None)
    converted = None if default is None else default(value)
    if converted is None:
        raise EncodeError("a value of type %s" % type(value).__name__)
    return _encode(converted, depth, None if converted is value else default)


def _encode_map(value: Map, depth: int, default: "Callable[[Any], Any] | None") -> bytes:
    items = [(_encode(k, depth + 1, None), _encode(v, depth + 1, default)) for k, v in value.pairs]
    items.sort()
    for previous, following in zip(items, items[1:]):
        if previous[0] == following[0]:
            raise EncodeError("the same key twice in a map")
    return _head(_MAP, len(items)) + b"".join([key + item for key, item in items])


def decode(data: bytes, object_hook: "Callable[[Any], Any] | None" = None) -> "Any":
    """Decode one value that fills `data`; raises `DecodeError` for anything else.

    `object_hook` converts each map and each decimal fraction immediately after it is read.
    """
    reader = _CborReader(data, object_hook)
    value = reader.read_value(0)
    if reader.position != len(data):
        raise DecodeError("%d bytes after the end" % (len(data) - reader.position))
    return value


class _CborReader:
    def __init__(self, data: bytes, object_hook: "Callable[[Any], Any] | None") -> None:
        self.position = 0
        self._object_hook = object_hook
        self._data = data
        self._readers: tuple[Callable[[int, int], Any] | None, ...] = (
            self._read_unsigned,
            self._read_negative,
            self._read_bytes,
            self._read_text,
            self._read_list,
            self._read_map,
            None,
            None,
        )

    def read_value(self, depth: int) -> "Any":
        if depth > MAX_DEPTH:
            raise DecodeError("nested more than %d deep" % MAX_DEPTH)
        first = self._take(1)[0]
        if first in (_FALSE, _TRUE, _NULL):
            return None if first == _NULL else first == _TRUE
        if first == _DECIMAL:
            decimal = self._read_decimal(depth)
            return decimal if self._object_hook is None else self._object_hook(decimal)
        reader = self._readers[first >> 5]
        if reader is None:
            raise DecodeError("a tag, a float or another simple value (0x%02x)" % first)
        return reader(self._read_argument(first & 0x1F), depth)

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise DecodeError("cut off after %d bytes" % len(self._data))
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _read_argument(self, code: int) -> int:
        if code < 24:
            return code
        if code not in _SIZES:
            raise DecodeError("an indefinite length or a reserved code")
        argument = int.from_bytes(self._take(_SIZES[code]), "big")
        if argument < _MIN_ARGUMENTS[code]:
            raise DecodeError("%d is not written in its shortest form" % argument)
        return argument

    def _read_unsigned(self, argument: int, _: int) -> int:
        if argument > MAX_INT:
            raise DecodeError("a number beyond 64 bits")
        return argument

    def _read_negative(self, argument: int, _: int) -> int:
        return -1 - self._read_unsigned(argument, 0)

    def _read_bytes(self, argument: int, _: int) -> bytes:
        return self._take(argument)

    def _read_text(self, argument: int, _: int) -> str:
        data = self._take(argument)
        try:
            return str(data, "utf-8")
        except (UnicodeError, ValueError):
            raise DecodeError("text that is not UTF-8")

    def _read_list(self, count: int, depth: int) -> "list[Any]":
        self._check_count(count)
        return [self.read_value(depth + 1) for _ in range(count)]

    def _read_map(self, count: int, depth: int) -> "Any":
        self._check_count(2 * count)
        pairs = []
        previous_key = b""
        for _ in range(count):
            start = self.position
            key = self.read_value(depth + 1)
            encoded_key = self._data[start : self.position]
            if encoded_key <= previous_key:
                raise DecodeError("the keys of a map are not in order, or one comes twice")
            previous_key = encoded_key
            pairs.append((key, self.read_value(depth + 1)))
        found = Map(pairs)
        return found if self._object_hook is None else self._object_hook(found)

    def _read_decimal(self, depth: int) -> Decimal:
        parts = self.read_value(depth + 1)
        if type(parts) is list and len(parts) == 2 and type(parts[0]) is type(parts[1]) is int:
            number = Decimal(parts[1], -parts[0])
            if number.is_canonical():
                return number
        raise DecodeError("a decimal fraction that is none, or not in lowest terms")

    def _check_count(self, items: int) -> None:
        """Reject a count larger than the remaining input, before memory is allocated for it."""
        if items > len(self._data) - self.position:
            raise DecodeError("cut off: %d items announced" % items)
