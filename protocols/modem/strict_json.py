# SPDX-License-Identifier: Apache-2.0
"""A strict parser of small JSON objects, with equal results on both interpreters.

Not a general JSON parser. MicroPython's own `json` accepts `{"a"` as an object, and the output of a
faulty modem must be unambiguous. Numbers are integers (JSPR has no others). Texts have only
two-character escapes. Nesting is at most `_MAX_DEPTH`.
"""

from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_DEPTH = 4
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_DIGITS = "0123456789"
_LITERALS = (("true", True), ("false", False), ("null", None))


def parse_object(text: str) -> "dict[str, Any]":
    """Parse one object; raises `DecodeError`."""
    value, end = _parse_value(text, _skip_space(text, 0), _MAX_DEPTH)
    if _skip_space(text, end) != len(text) or not isinstance(value, dict):
        raise DecodeError("no JSON object")
    return value


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _parse_value(text: str, at: int, depth: int) -> "tuple[Any, int]":
    first = text[at : at + 1]
    if first == '"':
        return _parse_string(text, at + 1)
    if first in ("{", "[") and depth:
        return _parse_container(text, at, depth - 1)
    for literal, value in _LITERALS:
        if text[at : at + len(literal)] == literal:
            return value, at + len(literal)
    end = at + (first == "-")
    while end < len(text) and text[end] in _DIGITS:
        end += 1
    if end == at + (first == "-") or end - at > 18:
        raise DecodeError("no value at %d" % at)
    return int(text[at:end]), end


def _parse_string(text: str, at: int) -> "tuple[str, int]":
    unescaped = ""
    start = at
    while text[at : at + 1] not in ('"', ""):
        if text[at] == "\\":
            unescaped += text[start:at] + _ESCAPES.get(text[at + 1 : at + 2], "?")
            at += 1
            start = at + 1
        at += 1
    if at >= len(text):
        raise DecodeError("a text has no end")
    return unescaped + text[start:at], at + 1


def _parse_container(text: str, at: int, depth: int) -> "tuple[Any, int]":
    """Parse a list or an object."""
    is_object = text[at] == "{"
    closing = "}" if is_object else "]"
    members: dict[str, Any] = {}
    items: list[Any] = []
    at = _skip_space(text, at + 1)
    while text[at : at + 1] != closing:
        if members or items:
            if text[at : at + 1] != ",":
                raise DecodeError("no comma at %d" % at)
            at = _skip_space(text, at + 1)
        if is_object:
            if text[at : at + 1] != '"':
                raise DecodeError("no name at %d" % at)
            name, at = _parse_string(text, at + 1)
            at = _skip_space(text, at)
            if text[at : at + 1] != ":":
                raise DecodeError("no colon at %d" % at)
            members[name], at = _parse_value(text, _skip_space(text, at + 1), depth)
        else:
            item, at = _parse_value(text, at, depth)
            items.append(item)
        at = _skip_space(text, at)
    return (members if is_object else items), at + 1
