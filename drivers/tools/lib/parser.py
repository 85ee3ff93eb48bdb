"""The parser of every command: what is wrong stands on one line.

On the lowest floor that has commands, so that all of them may use it.
"""

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

WRONG_USE = 2


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with `hint` at its end."""

    hint = "; --help tells more"

    def error(self, message: str) -> "NoReturn":
        """Print one line and end with exit code 2."""
        self.exit(WRONG_USE, "%s: %s%s\n" % (self.prog, message, self.hint))
