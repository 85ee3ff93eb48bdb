# SPDX-License-Identifier: Apache-2.0
"""Texts that a person or a device gives for a record: serial number, name of the tester.

Does not compare a serial number with that of the CDU; see `hil.run.device_serial`. A label is one
line of printable characters. A line break or a control character could make a report say
something else.
"""

from hil.errors import BenchError

MAX_LABEL_CHARS = 64


def check_label(text: str, name: str) -> str:
    """Return a label without blanks at its ends.

    Raises `BenchError` that names `name` if the label is empty, has more than `MAX_LABEL_CHARS`
    characters, or has a character that cannot be printed.
    """
    label = text.strip(" ")
    if not label:
        raise BenchError(f"{name}: the text is empty")
    if not label.isprintable():
        raise BenchError(f"{name}: {escape_text(label)} has a character that cannot be printed")
    if len(label) > MAX_LABEL_CHARS:
        raise BenchError(f"{name}: longer than {MAX_LABEL_CHARS} characters")
    return label


def escape_text(text: object) -> str:
    """Return a text for a terminal: characters that cannot be printed are shown as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
