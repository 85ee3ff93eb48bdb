# SPDX-License-Identifier: Apache-2.0
"""JSON text with the same bytes on every interpreter.

Not a general encoder: it writes only the types that the agent publishes. Dictionaries have no order
on MicroPython, and its `json.dumps` cannot sort. So an object is a list of (key, value) pairs and
keeps this order. Floats are rejected, because their text differs between interpreters.
"""

from protocols.errors import EncodeError

_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def is_plain_by_bytes(text: str) -> bool:
    """Return whether all characters are printable ASCII."""
    data = text.encode()
    return not data or (min(data) >= 0x20 and max(data) <= 0x7E)


def is_plain_by_method(text: str) -> bool:
    """As `is_plain_by_bytes`, on interpreters with `str.isprintable`."""
    return text.isascii() and text.isprintable()


_is_plain = is_plain_by_method if hasattr("", "isprintable") else is_plain_by_bytes


def quote(text: str) -> str:
    """Quote `text` as a JSON string; characters outside printable ASCII become escapes."""
    if '"' not in text and "\\" not in text and _is_plain(text):
        return '"' + text + '"'
    parts = []
    for c in text:
        code = ord(c)
        if code > 0xFFFF:
            code -= 0x10000
            parts.append("\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF)))
        elif " " <= c <= "~":
            parts.append(_ESCAPES.get(c, c))
        else:
            parts.append("\\u%04x" % code)
    return '"' + "".join(parts) + '"'


def write(value: object) -> str:
    """Write a value as JSON without spaces.

    Types: None, bool, int, str, list, tuple, `JsonObject`. Raises `EncodeError` for all other
    types, also for float.
    """
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int:
        return str(value)
    if type(value) is str:
        return quote(value)
    if type(value) is JsonObject:
        # Almost all values are integers; these need no function call.
        pairs = ['"' + k + '":' + (str(v) if type(v) is int else write(v)) for k, v in value.pairs]
        return "{" + ",".join(pairs) + "}"
    if type(value) is list or type(value) is tuple:
        return "[" + ",".join([str(v) if type(v) is int else write(v) for v in value]) + "]"
    raise EncodeError("cannot write a %s as JSON here" % type(value).__name__)


class JsonObject:
    """A JSON object as ordered pairs. Keys are fixed or already checked names; they are not
    escaped.
    """

    def __init__(self, pairs: "list[tuple[str, object]]") -> None:
        self.pairs = pairs
