# SPDX-License-Identifier: Apache-2.0
"""Parse the text of a configuration file and report the place of an error.

Does not check the meaning of the values; see `agent.config.compiler`.

JSON accepts a key that is written twice and keeps the last one. Here this is an error. The parser
of MicroPython reports neither line nor duplicate, so there the error has no place. It also accepts
a truncated text, as a power cut leaves it; `_is_complete` detects that.
"""

import json

from agent.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str, name: str) -> "Any":
    """Parse JSON text. Raises `ConfigError` with `name` and, if known, line and column."""
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
    except (RuntimeError, MemoryError):  # the RecursionError of CPython is a RuntimeError
        raise ConfigError("%s: not a configuration: too long or nested too deeply" % name)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        where = "%s:%d:%d" % (name, line, getattr(error, "colno", 0)) if line else name
        raise ConfigError("%s: not JSON: %s" % (where, getattr(error, "msg", "syntax error")))
    if duplicates:
        raise ConfigError("%s: the key %s is written twice" % (name, duplicates[0]))
    return raw


def _is_complete(text: str) -> bool:
    """Return whether all brackets and quotation marks of a JSON text are closed."""
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
