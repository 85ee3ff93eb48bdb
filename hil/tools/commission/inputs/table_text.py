# SPDX-License-Identifier: Apache-2.0
"""The text of a register table as vendors write it, made plain: characters, lines, header.

Does not parse rows; see `hil.tools.commission.inputs.register_table`. A table copied from a PDF or
saved by a spreadsheet has blanks that do not break, full-width letters, cells with line breaks in
quotes, and lines above its header. They are made plain here. No digit is changed: a footnote mark
such as `4²` must not become another address, so it stays and is refused later.
"""

import re
import unicodedata
from collections.abc import Callable

_MAX_CELL_LINES = 64
_MAX_TITLE_LINES = 20
_FULL_WIDTH, _FULL_WIDTH_OFFSET = range(0xFF01, 0xFF5F), 0xFF01 - 0x21
_PLAIN = {
    **{ord(c): None for c in "\u00ad\u200b\u200c\u200d\u2060\ufeff"},
    **{ord(c): "-" for c in "\u2010\u2011\u2212"},
    **{code: chr(code - _FULL_WIDTH_OFFSET) for code in _FULL_WIDTH},
    ord("\u00ba"): "\u00b0",
    ord("\u02da"): "\u00b0",
    ord("\u2103"): "\u00b0C",
}
"""Character: its plain form. Signs without width are left out; `º` is used for a degree."""
_RULE = re.compile(r"[\s|:+=-]*-{3}[\s|:+=-]*")
"""A line of a Markdown or text table that holds no cells."""
_SEPARATORS = ("\t", ";", "|", ",")
_DATA = re.compile(r"\s*(0x[0-9a-fA-F]+|[0-9]{1,6})\s*")

Line = tuple[int, str]
"""Number of a line in the text, from 1, and the text of the line."""


def make_plain(text: str) -> str:
    """Return a text with plain characters: one kind of blank, hyphen, degree and letter."""
    plain = text.translate(_PLAIN)
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in plain)


def split_lines(text: str) -> list[Line]:
    """Return the lines with cells. A cell in quotes can have line breaks: they stay in it."""
    found: list[Line] = []
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        count = _count_lines(lines[i : i + _MAX_CELL_LINES])
        line = "\n".join(lines[i : i + count])
        if line.strip() and not line.lstrip().startswith("#") and not _RULE.fullmatch(line):
            found.append((i + 1, line))
        i += count
    return found


def find_header(lines: list[Line], is_header: Callable[[str, str], bool]) -> tuple[int, str] | None:
    """Return the place of the first line with names of columns in `lines`, and its separator.

    `is_header` gets a line and a separator. A line above the header that begins as a row does
    ends the search: it must not be left out.
    """
    for place, (_, line) in enumerate(lines[:_MAX_TITLE_LINES]):
        for separator in (*_SEPARATORS, ""):
            if (not separator or separator in line) and is_header(line, separator):
                return place, separator
        if _begins_as_row(line):
            return None
    return None


def find_separator(lines: list[Line]) -> str:
    """Return the separator that each line has; empty: two blanks."""
    for separator in _SEPARATORS:
        if all(separator in line for _, line in lines):
            return separator
    return ""


def _begins_as_row(line: str) -> bool:
    return any(_DATA.fullmatch(cell) for cell in re.split(r"[\t;|,]|\s{2,}", line.strip())[:2])


def _count_lines(lines: list[str]) -> int:
    """Return how many lines the first one has with the line breaks of its quoted cells.

    A quote opens a cell only at its begin. One that is not closed is a plain character.
    """
    is_open = False
    for count, line in enumerate(lines, 1):
        is_open = _is_open_after(line, is_open=is_open)
        if not is_open:
            return count
    return 1


def _is_open_after(line: str, *, is_open: bool) -> bool:
    is_begin = True
    for c in line:
        if c == '"' and (is_open or is_begin):
            is_open = not is_open
            is_begin = False
        elif not is_open:
            is_begin = c in "\t;|," or (is_begin and c == " ")
    return is_open
