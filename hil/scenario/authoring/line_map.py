# SPDX-License-Identifier: Apache-2.0
"""The line of each key of a TOML text, so that a problem can name its place.

Does not parse values; see `tomllib`, which gives no lines. A key path is as in the messages of
`hil.scenario.model`: `row.it_kw`, `event[2].value`. A statement ends where its value is complete.
"""

import re
import tomllib

_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\"'.-]+)\s*=(.*)$")
_MAX_LINES = 2000
"""Longest value in lines; beyond that the rest of the file has no key."""


def map_lines(text: str) -> dict[str, int]:
    """Map each key path, and each table, to its line, from 1."""
    lines = text.splitlines()
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix, i = "", 0
    while i < len(lines):
        header, key = _HEADER.match(lines[i]), _KEY.match(lines[i])
        if header is not None:
            name = header[2].strip("\"'")
            if header[1]:
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            found.setdefault(name, i + 1)
            prefix = name + "."
        elif key is not None:
            found.setdefault(prefix + key[1].strip("\"'"), i + 1)
            i += _count_more_lines(lines, i, key[2])
        i += 1
    return found


def _count_more_lines(lines: list[str], start: int, value: str) -> int:
    """Count the lines after `start` that belong to its value."""
    for count in range(min(_MAX_LINES, len(lines) - start)):
        if count:
            value += "\n" + lines[start + count]
        try:
            tomllib.loads("x =" + value)
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
        return count
    return 0


def find_line(found: dict[str, int], key_path: str) -> int:
    """Return the line of a key, or of its nearest table that has one; 1 if there is none."""
    while key_path:
        if key_path in found:
            return found[key_path]
        shorter = key_path.rpartition(".")[0]
        key_path = shorter or key_path.partition("[")[0] if shorter != key_path else ""
        if not shorter:
            return found.get(key_path, 1)
    return 1
