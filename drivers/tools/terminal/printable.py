# SPDX-License-Identifier: Apache-2.0
"""Texts of devices and files for a terminal. Everything that a command prints goes through here."""


def printable(text: str) -> str:
    """Return a text of one line for a terminal: other characters are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines for a terminal; its line ends stay."""
    return "\n".join([printable(line) for line in text.split("\n")])
