# SPDX-License-Identifier: Apache-2.0
"""Reads files that other people wrote, and writes results: regular files only.

Does not check the content. Files are read with a size limit. A device such as /dev/zero has no end,
and a FIFO can wait for ever. Therefore a file is opened without waiting, and its kind and size are
checked before it is read.
"""

import os
import stat
from pathlib import Path

from drivers.ports.cpython.whole_file import replace_file
from hil.errors import BenchError

REPORT_BYTES = 256 * 1024 * 1024
"""Limit of a file of a report."""
SMALL_BYTES = 1024 * 1024
"""Limit of a key file and of the known benches."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class MissingFileError(BenchError):
    """There is no such file."""


def read_regular(path: Path, max_bytes: int, follow_links: bool = False) -> bytes:
    """Read a file; a symbolic link is followed only with `follow_links`.

    Raises `MissingFileError` for a missing file. Raises `BenchError` for a file that is no regular
    file, is larger than `max_bytes`, or cannot be read.
    """
    try:
        if path.is_symlink() and not follow_links:
            raise BenchError(f"{path}: a symbolic link, not a regular file")
        handle = os.open(path, _FLAGS if follow_links else _FLAGS | os.O_NOFOLLOW)
        try:
            return _read_all(handle, path, max_bytes)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: missing") from None
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise BenchError(f"{path}: not the name of a file") from None


def check_target(path: Path) -> None:
    """Raise `BenchError` if `path` is there and no regular file: a folder, a link, a device."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: {getattr(error, 'strerror', 'not a name')}") from None
    if stat.S_ISLNK(mode):
        raise BenchError(f"{path}: a symbolic link, not a regular file; it is not overwritten")
    if not stat.S_ISREG(mode):
        raise BenchError(f"{path}: not a regular file; it is not overwritten")


def write_regular(path: Path, text: str) -> None:
    """Write UTF-8 text; a symbolic link is not followed. Raises `BenchError`."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise BenchError(f"{path}: the text has characters that UTF-8 does not have") from None
    check_target(path)
    write_whole(path, data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all: a full disk leaves the file of before.

    A symbolic link is replaced; the file behind it is not changed. Raises `BenchError`, also for a
    folder, a device or a FIFO.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_symlink()):
            raise BenchError(f"{path}: not a regular file; it is not overwritten")
        replace_file(path, data)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None


def write_output(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_whole` does; a device such as /dev/stdout is written directly.

    Raises `BenchError`.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None


def write_into(folder: Path, name: str, text: str) -> Path:
    """Write UTF-8 text as a whole into a folder, which is made if needed; give the file.

    Raises `BenchError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}") from None
    write_whole(folder / name, text.encode())
    return folder / name


def _read_all(handle: int, path: Path, max_bytes: int) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise BenchError(f"{path}: not a regular file")
    data = bytearray()
    while len(data) <= max_bytes:  # a file such as /proc/self/mem has the size 0
        part = os.read(handle, min(SMALL_BYTES, max_bytes + 1 - len(data)))
        if not part:
            return bytes(data)
        data += part
    raise BenchError(f"{path}: larger than {max_bytes} bytes")
