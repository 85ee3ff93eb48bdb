# SPDX-License-Identifier: Apache-2.0
"""Writes the result of a command: the file is written as a whole, or stays as it was.

Does not lock, and makes no folder. The bytes go to a new file in the same folder, are made durable,
and take the name of the old file. Thus a full disk, a power cut or Ctrl-C leaves the old or the new
file. A device or a pipe, such as /dev/stdout, cannot be replaced and is written directly.
"""

import os
from pathlib import Path

_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def replace_file(path: Path, data: bytes) -> None:
    """Write a file as a whole; a symbolic link is replaced. Raises OSError.

    The new file has the permissions of the old one.
    """
    if path.exists() and not (path.is_file() or path.is_symlink()):
        with open(path, "wb") as device:
            device.write(data)
        return
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # of a process that was killed
    try:
        with open(os.open(temporary, _NEW_FLAGS, 0o666), "wb") as file:
            if path.is_file() and not path.is_symlink():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
