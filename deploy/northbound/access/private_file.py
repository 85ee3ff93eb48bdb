# SPDX-License-Identifier: Apache-2.0
"""Small files of the state folder that only their user can read, replaced as a whole.

Does not lock. A full disk changes nothing: the file of before stays, and no part of the new one.
"""

import contextlib
import os
from pathlib import Path


def replace_private(path: Path, text: str) -> None:
    """Replace a file; it is durable on return. Raises OSError: the old file is unchanged."""
    new = path.with_name(path.name + ".new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
