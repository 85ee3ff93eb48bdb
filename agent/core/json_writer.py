# SPDX-License-Identifier: Apache-2.0
"""JSON text whose bytes are the same on every interpreter.

Not a general encoder: it writes what the agent publishes. MicroPython's dicts have no order and its
`json.dumps` cannot sort, so an object is given as a list of (key, value) pairs and written in that
order. Floats are refused on purpose: their text differs between interpreters.
"""

from protocols.errors import EncodeError

_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def quote(text: str) -> str:
    """Quote `text` as a JSON string; everything outside printable ASCII becomes an escape."""
    if '"' not in text and "\\" not in text:
        data = text.encode()
        if not data or (min(data) >= 0x20 and max(data) <= 0x7E):
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
    """Write None, bool, int, str, a list of values, `JsonObject` or `JsonValue`, as JSON without
    spaces.

    Raises `EncodeError` for anything else (a float above all).
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
        # nearly all that is written is whole numbers: no call for each
        pairs = ['"' + k + '":' + (str(v) if type(v) is int else write(v)) for k, v in value.pairs]
        return "{" + ",".join(pairs) + "}"
    if type(value) is JsonValue:
        return value.text
    if type(value) is list or type(value) is tuple:
        return "[" + ",".join([str(v) if type(v) is int else write(v) for v in value]) + "]"
    raise EncodeError("cannot write a %s as JSON here" % type(value).__name__)


class JsonValue:
    """JSON that is written already."""

    def __init__(self, text: str) -> None:
        self.text = text


class JsonObject:
    """A JSON object as ordered pairs. Keys are names, of our own or checked as such, and no quotes
    or escapes are looked for in them.
    """

    def __init__(self, pairs: "list[tuple[str, object]]") -> None:
        self.pairs = pairs
