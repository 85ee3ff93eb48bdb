# SPDX-License-Identifier: Apache-2.0
r"""Text of units and brokers for a terminal, of the relay, `coldloop fleet` and `coldloop config`.

A text from outside can hold escape sequences, which a terminal executes. They are shown as \x1b and
so on, not sent.
"""

import contextlib
import sys


def report(text: str) -> None:
    """Write a line to the standard error. A full disk or a closed pipe there ends nothing."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable(text) + "\n")


def printable(text: object) -> str:
    """Return `text` with each control, format and surrogate character as an escape."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else _escaped(c) for c in plain)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
