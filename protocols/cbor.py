"""CBOR in its core deterministic form (RFC 8949, 4.2.1), as far as signed messages need it.

    whole numbers (-2^63 to 2^63-1), bytes, text, lists, maps, true, false, null,
    decimal fractions (tag 4, RFC 8949, 3.4.4) as `Decimal`

Not floats (they differ between boards), other tags, indefinite lengths or other simple values.
One value has one encoding: a number, a length or the order of a map's keys that is not the shortest
or the first is refused, so that what is hashed and signed cannot be written in two ways.

A map is a list of (key, value) pairs within `Map`, since dictionaries have no order on every
interpreter. The decoder never allocates more than its input is long, and is not recursive without a
bound.
"""

from protocols.errors import DecodeError, EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEEPEST = 8
"""Levels of lists and maps within each other."""
LEAST, MOST = -(1 << 63), (1 << 63) - 1

PLACES = 9
"""Decimal places at most."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP = 0, 1, 2, 3, 4, 5
_DECIMAL = 0xC4
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOORS = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
"""What the argument of each size must at least be, or a shorter one would have done."""


class Map:
    """A CBOR map: `pairs` of (key, value), kept in the order of their encoded keys."""

    def __init__(self, pairs: "list[tuple[Any, Any]]") -> None:
        self.pairs = pairs

    def get(self, key: object, absent: object = None) -> "Any":
        """Give the value of `key`, or `absent`."""
        for name, value in self.pairs:
            if name == key and type(name) is type(key):
                return value
        return absent


class Decimal:
    """A number with `places` (1 to 9) decimals: mantissa / 10^places, in lowest terms."""

    def __init__(self, mantissa: int, places: int) -> None:
        self.mantissa = mantissa
        self.places = places

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decimal):
            return False
        return self.mantissa == other.mantissa and self.places == other.places

    def __hash__(self) -> int:
        return hash((self.mantissa, self.places))

    def proper(self) -> bool:
        """Say whether this is the one way to write its value."""
        return 1 <= self.places <= PLACES and self.mantissa % 10 != 0


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    for code in (24, 25, 26, 27):
        size = _SIZES[code]
        if argument < 1 << (8 * size):
            return bytes((major << 5 | code,)) + argument.to_bytes(size, "big")
    raise EncodeError("a number beyond 64 bits")


def encode(value: "Any", as_known: "Callable[[Any], Any] | None" = None) -> bytes:
    """Encode `value`; raises `EncodeError` for what has no place here (a float, a deep nest).

    `as_known` is asked for what would have no place; what it gives is encoded instead, so that a
    large value need not be turned into another as large first.
    """
    return _encode(value, 0, as_known)


def _encode(value: "Any", depth: int, as_known: "Callable[[Any], Any] | None") -> bytes:
    if depth > DEEPEST:
        raise EncodeError("nested more than %d deep" % DEEPEST)
    if value is None or value is True or value is False:
        return bytes((_NULL if value is None else _TRUE if value else _FALSE,))
    if isinstance(value, int):
        if not LEAST <= value <= MOST:
            raise EncodeError("%d is beyond 64 bits" % value)
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, (bytes, bytearray)):
        return _head(_BYTES, len(value)) + bytes(value)
    if isinstance(value, str):
        data = value.encode()
        return _head(_TEXT, len(data)) + data
    if isinstance(value, (list, tuple)):
        return _head(_LIST, len(value)) + b"".join(
            [_encode(item, depth + 1, as_known) for item in value]
        )
    if isinstance(value, Map):
        return _encode_map(value, depth, as_known)
    if isinstance(value, Decimal) and value.proper():
        return bytes((_DECIMAL,)) + _encode([-value.places, value.mantissa], depth, None)
    known = None if as_known is None else as_known(value)
    if known is None:
        raise EncodeError("a value of type %s" % type(value).__name__)
    return _encode(known, depth, None if known is value else as_known)


def _encode_map(value: Map, depth: int, as_known: "Callable[[Any], Any] | None") -> bytes:
    items = [(_encode(k, depth + 1, None), _encode(v, depth + 1, as_known)) for k, v in value.pairs]
    items.sort()
    for before, after in zip(items, items[1:]):
        if before[0] == after[0]:
            raise EncodeError("the same key twice in a map")
    return _head(_MAP, len(items)) + b"".join([key + item for key, item in items])


def decode(data: bytes, made: "Callable[[Any], Any] | None" = None) -> "Any":
    """Decode one value that fills `data`; raises `DecodeError` for anything else.

    `made` turns each map and decimal fraction, as soon as it is read, into what stands for it.
    """
    reader = _Reader(data, made)
    value = reader.value(0)
    if reader.at != len(data):
        raise DecodeError("%d bytes after the end" % (len(data) - reader.at))
    return value


class _Reader:
    def __init__(self, data: bytes, made: "Callable[[Any], Any] | None") -> None:
        self.at = 0
        self._made = made
        self._data = data
        self._readers: tuple[Callable[[int, int], Any] | None, ...] = (
            self._unsigned,
            self._negative,
            self._bytes,
            self._text,
            self._list,
            self._map,
            None,
            None,
        )

    def value(self, depth: int) -> "Any":
        if depth > DEEPEST:
            raise DecodeError("nested more than %d deep" % DEEPEST)
        first = self._take(1)[0]
        if first in (_FALSE, _TRUE, _NULL):
            return None if first == _NULL else first == _TRUE
        if first == _DECIMAL:
            decimal = self._decimal(depth)
            return decimal if self._made is None else self._made(decimal)
        reader = self._readers[first >> 5]
        if reader is None:
            raise DecodeError("a tag, a float or another simple value (0x%02x)" % first)
        return reader(self._argument(first & 0x1F), depth)

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise DecodeError("cut off after %d bytes" % len(self._data))
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def _argument(self, code: int) -> int:
        if code < 24:
            return code
        if code not in _SIZES:
            raise DecodeError("an indefinite length or a reserved code")
        argument = int.from_bytes(self._take(_SIZES[code]), "big")
        if argument < _FLOORS[code]:
            raise DecodeError("%d is not written in its shortest form" % argument)
        return argument

    def _unsigned(self, argument: int, _: int) -> int:
        if argument > MOST:
            raise DecodeError("a number beyond 64 bits")
        return argument

    def _negative(self, argument: int, _: int) -> int:
        return -1 - self._unsigned(argument, 0)

    def _bytes(self, argument: int, _: int) -> bytes:
        return self._take(argument)

    def _text(self, argument: int, _: int) -> str:
        data = self._take(argument)
        try:
            return str(data, "utf-8")
        except (UnicodeError, ValueError):
            raise DecodeError("text that is not UTF-8")

    def _list(self, count: int, depth: int) -> "list[Any]":
        self._room(count)
        return [self.value(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> "Any":
        self._room(2 * count)
        pairs = []
        last = b""
        for _ in range(count):
            start = self.at
            key = self.value(depth + 1)
            written = self._data[start : self.at]
            if written <= last:
                raise DecodeError("the keys of a map are not in order, or one comes twice")
            last = written
            pairs.append((key, self.value(depth + 1)))
        found = Map(pairs)
        return found if self._made is None else self._made(found)

    def _decimal(self, depth: int) -> Decimal:
        parts = self.value(depth + 1)
        if type(parts) is list and len(parts) == 2 and type(parts[0]) is type(parts[1]) is int:
            number = Decimal(parts[1], -parts[0])
            if number.proper():
                return number
        raise DecodeError("a decimal fraction that is none, or not in lowest terms")

    def _room(self, items: int) -> None:
        """Refuse a count that what is left could not hold, before anything is made for it."""
        if items > len(self._data) - self.at:
            raise DecodeError("cut off: %d items announced" % items)
