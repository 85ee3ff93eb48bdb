"""A strict reader of small JSON objects, the same on both interpreters.

Not a general one: MicroPython's own `json` takes `{"a"` for an object, and what a broken modem says
must not mean two things. Numbers are integers (others are refused: no JSPR field needs one), texts
have no escapes but the two-character ones, nesting is at most `_DEEPEST`.
"""

from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEEPEST = 4
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_WORDS = (("true", True), ("false", False), ("null", None))


def load(text: str) -> "dict[str, Any]":
    """Read one object; raises `DecodeError`."""
    value, end = _value(text, _skip(text, 0), _DEEPEST)
    if _skip(text, end) != len(text) or not isinstance(value, dict):
        raise DecodeError("no JSON object")
    return value


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _value(text: str, at: int, depth: int) -> "tuple[Any, int]":
    first = text[at : at + 1]
    if first == '"':
        return _text(text, at + 1)
    if first in ("{", "[") and depth:
        return _many(text, at, depth - 1)
    for word, meaning in _WORDS:
        if text[at : at + len(word)] == word:
            return meaning, at + len(word)
    end = at + (first == "-")
    while text[end : end + 1].isdigit():
        end += 1
    if end == at + (first == "-") or end - at > 18:
        raise DecodeError("no value at %d" % at)
    return int(text[at:end]), end


def _text(text: str, at: int) -> "tuple[str, int]":
    parts = ""
    start = at
    while text[at : at + 1] not in ('"', ""):
        if text[at] == "\\":
            parts += text[start:at] + _ESCAPES.get(text[at + 1 : at + 2], "?")
            at += 1
            start = at + 1
        at += 1
    if at >= len(text):
        raise DecodeError("a text has no end")
    return parts + text[start:at], at + 1


def _many(text: str, at: int, depth: int) -> "tuple[Any, int]":
    """Read a list or an object."""
    is_object = text[at] == "{"
    close = "}" if is_object else "]"
    found: dict[str, Any] = {}
    items: list[Any] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != close:
        if found or items:
            if text[at : at + 1] != ",":
                raise DecodeError("no comma at %d" % at)
            at = _skip(text, at + 1)
        if is_object:
            if text[at : at + 1] != '"':
                raise DecodeError("no name at %d" % at)
            name, at = _text(text, at + 1)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise DecodeError("no colon at %d" % at)
            found[name], at = _value(text, _skip(text, at + 1), depth)
        else:
            item, at = _value(text, at, depth)
            items.append(item)
        at = _skip(text, at)
    return (found if is_object else items), at + 1
