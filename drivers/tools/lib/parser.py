# SPDX-License-Identifier: Apache-2.0
"""The argument parser of all commands, with errors on one line.

It is in the lowest layer that has commands, so that all layers can use it.
"""

import argparse
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

WRONG_USE = 2
_WIDTH = 80


def _terminal_width() -> int:
    """Return the columns of the terminal, as `shutil.get_terminal_size` does."""
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
    except ValueError:
        columns = 0
    if columns <= 0:
        try:
            columns = os.get_terminal_size((sys.__stdout__ or sys.stdout).fileno()).columns
        except (AttributeError, ValueError, OSError):
            columns = 0
    return columns or _WIDTH


class _Formatter(argparse.HelpFormatter):
    """Knows the width without `shutil`, whose import takes 2 ms of every start."""

    def __init__(self, prog: str, *arguments: "Any", **options: "Any") -> None:
        """Set the width as argparse does."""
        options.setdefault("width", _terminal_width() - 2)
        super().__init__(prog, *arguments, **options)


class Parser(argparse.ArgumentParser):
    """An argument parser that prints each error on one line, with `hint` at the end."""

    hint = "; --help tells more"

    def __init__(self, *arguments: "Any", **options: "Any") -> None:
        """Make a parser as argparse does."""
        options.setdefault("formatter_class", _Formatter)
        super().__init__(*arguments, **options)
        # A list such as -1,-2 is a value: no option begins with a minus and a digit.
        self._negative_number_matcher = re.compile(r"-[0-9.]")

    def error(self, message: str) -> "NoReturn":
        """Print one line and exit with code 2."""
        # argparse names the function that reads the value; those of this project read numbers
        message = re.sub(r"invalid _\w+ value: (.+)", r"\1 is not a number", message)
        self.exit(WRONG_USE, "%s: %s%s\n" % (self.prog, message, self.hint))
