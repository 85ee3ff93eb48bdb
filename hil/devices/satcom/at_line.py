# SPDX-License-Identifier: Apache-2.0
"""The command line of an Iridium transceiver: splits a line into its commands.

Source: ISU AT Command Reference (MAN0009), section 3: command entry. A line is `AT` or `at` (not
mixed) and a body of at most 128 characters. Basic commands have a letter, perhaps with one of the
prefixes `&`, `%` or `*`, and a decimal number; without the number it is 0. Extended commands begin
with `+` or `-` and end at `;` or at the end of the line. Commands follow each other with or without
spaces. The text of +SBDWT is all that follows, as it is. Does not execute commands; see
`sbd_modem`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_BODY = 128
_BASIC = re.compile(r"([A-Z]|[&%*][A-Z])(\d*)")
_REGISTER = re.compile(r"(S)(\d{1,3}(?:\?|=\d{1,3}))")
_EXTENDED = re.compile(r"([+-][A-Z]+[A-Z0-9]*?)(\d?)(\?|=\?|=[^;]*)?(?:;|$)")


class LineCommand(NamedTuple):
    """One command: its name in capitals and its argument: digits, `?`, `=?`, `=…` or empty."""

    name: str
    argument: str


def split_line(line: str) -> list[LineCommand] | None:
    """Return the commands of a line without its carriage return; None if the line is malformed."""
    body = line[2:]
    if line[:2] not in ("AT", "at") or len(body) > MAX_BODY:
        return None
    text = re.match(r"\s*\+SBDWT=(.*)", body, re.IGNORECASE | re.DOTALL)
    if text:  # the text goes to the end of the line, as it is
        return [LineCommand("+SBDWT", "=" + text[1])]
    rest = body.replace(" ", "").upper()
    commands = []
    while rest:
        if rest[0] == ";":
            rest = rest[1:]
            continue
        pattern = _EXTENDED if rest[0] in "+-" else _REGISTER if rest[0] == "S" else _BASIC
        match = pattern.match(rest)
        if match is None:
            return None
        commands.append(LineCommand(match[1], "".join(group or "" for group in match.groups()[1:])))
        rest = rest[match.end() :]
    return commands
