# SPDX-License-Identifier: Apache-2.0
"""The argument parser of all commands, with errors on one line.

It is in the lowest layer that has commands, so that all layers can use it.
"""

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

WRONG_USE = 2


class Parser(argparse.ArgumentParser):
    """An argument parser that prints each error on one line, with `hint` at the end."""

    hint = "; --help tells more"

    def error(self, message: str) -> "NoReturn":
        """Print one line and exit with code 2."""
        self.exit(WRONG_USE, "%s: %s%s\n" % (self.prog, message, self.hint))
