# SPDX-License-Identifier: Apache-2.0
"""Text of an exception for the console: its type, its message and its place.

The place is the innermost frame. Both interpreters give the same text for the same source. The name
of a private function is left out, because a board has a number in its place. What loads a
configuration has no line numbers on a board.
"""

import io
import sys

_MAX_TEXT = 80


def describe(error: Exception) -> str:
    """Return "TYPE MESSAGE at MODULE:LINE in FUNCTION"; a private function has no name here."""
    text = "%s %s" % (type(error).__name__, str(error)[:_MAX_TEXT])
    return "%s at %s" % (text.strip(), _place(error))


def _place(error: Exception) -> str:
    if hasattr(sys, "print_exception"):  # MicroPython
        out = io.StringIO()
        sys.print_exception(error, out)
        frames = [line for line in out.getvalue().split("\n") if line.startswith("  File ")]
        if not frames:
            return "?"
        parts = frames[-1].split('"')
        line, function = parts[2].replace(", line ", "").split(", in ")
        return "%s:%s%s" % (_module(parts[1]), line, _function(function.strip()))
    trace = error.__traceback__
    if trace is None:
        return "?"
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return "%s:%d%s" % (_module(code.co_filename), trace.tb_lineno, _function(code.co_name))


def _function(name: str) -> str:
    return "" if name[0] == "_" and name[:2] != "__" else " in " + name


def _module(file: str) -> str:
    """Return the last part of a name: /a/b.py and a.b (compiled) are both b."""
    name = file[:-3] if file.endswith(".py") else file
    return name.split("/")[-1].split(".")[-1]
