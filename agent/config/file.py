"""A configuration file's text to a parsed object, with the place of what is wrong.

Not the check of its meaning (that is `agent.core.config_records`). JSON allows a key to be written
twice and keeps the last one silently; a controller must not guess which was meant, so that is an
error here. MicroPython's parser says neither line nor duplicate; there only the plain message is
left. It also takes a text that ends in the middle, as a power cut leaves it; that is looked for
here.
"""

import json

from agent.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str, name: str) -> "Any":
    """Parse JSON text; raises `ConfigError` naming `name` and, where known, line and column."""
    duplicates: list[str] = []

    def pairs(items: "list[tuple[str, Any]]") -> "dict[str, Any]":
        keys = [key for key, _ in items]
        duplicates.extend([key for i, key in enumerate(keys) if key in keys[:i]])
        return dict(items)

    try:
        try:
            raw = json.loads(text, object_pairs_hook=pairs)
        except TypeError:
            raw = json.loads(text)
            if not _is_complete(text):
                raise ValueError
    except (RuntimeError, MemoryError):  # CPython's RecursionError is a RuntimeError
        raise ConfigError("%s: not a configuration: too long or nested too deeply" % name)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        where = "%s:%d:%d" % (name, line, getattr(error, "colno", 0)) if line else name
        raise ConfigError("%s: not JSON: %s" % (where, getattr(error, "msg", "syntax error")))
    if duplicates:
        raise ConfigError("%s: the key %s is written twice" % (name, duplicates[0]))
    return raw


def _is_complete(text: str) -> bool:
    """Say whether every bracket and every quotation mark of a JSON text has its partner."""
    depth, quoted, escaped = 0, False, False
    for c in text:
        if quoted:
            quoted = escaped or c != '"'
            escaped = c == "\\" and not escaped
        elif c == '"':
            quoted = True
        else:
            depth += (c in "{[") - (c in "}]")
    return depth == 0 and not quoted
