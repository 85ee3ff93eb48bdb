# SPDX-License-Identifier: Apache-2.0
r"""Text of units and brokers for a terminal, and private files.

Does not format reports; see `deploy.ops.command.show`. A text from outside can hold escape
sequences, which a terminal executes. They are shown as \x1b and so on, not sent.
"""

import os
from pathlib import Path
from typing import IO

from deploy.errors import OpsError


def printable(text: object) -> str:
    """Return `text` with each control, format and surrogate character as an escape."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its user can read. Raises `OpsError`."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    try:
        file: IO[bytes]
        with open(path, "wb", opener=opener) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None
