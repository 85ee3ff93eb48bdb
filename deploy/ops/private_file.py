# SPDX-License-Identifier: Apache-2.0
"""Files that only their user can read: written, or replaced as a whole.

Does not lock. `replace_private` is for state that a process reads again: a power cut or a full disk
leaves the old or the new file, and no part of the new one. It follows no link.
"""

import contextlib
import os
from pathlib import Path
from typing import IO

from deploy.errors import OpsError


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


def replace_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file; it is durable on return. Raises OSError: the old file is unchanged.

    `mode`: another one for a file that others may read.
    """
    new = path.with_name(path.name + ".new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
