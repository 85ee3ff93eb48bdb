# SPDX-License-Identifier: Apache-2.0
"""Secure erase of files, as far as a program can: overwrites once, then removes.

Works on CPython and MicroPython. Gives no guarantee on flash: a retired block, or a file system
that writes to other blocks, keeps the old data.
"""

import os

from drivers.ports.base import ENOENT
from drivers.ports.store_request import is_valid_key

_SIZE = 6  # index in the result of os.stat
_ZEROS = bytes(512)


def erase_file(path: str) -> "list[str]":
    """Overwrite and remove a file; return its path if it still exists, else an empty list."""
    try:
        remaining = int(os.stat(path)[_SIZE])
        with open(path, "r+b") as file:
            while remaining > 0:
                remaining -= file.write(_ZEROS[: min(remaining, len(_ZEROS))])
            file.flush()
            if hasattr(os, "fsync"):
                os.fsync(file.fileno())
        os.remove(path)
    except OSError as error:
        return [] if error.errno == ENOENT else [path]
    return []


def erase_records(folder: str, kept_names: "tuple[str, ...]") -> "list[str]":
    """Erase every record of a store's folder except `kept_names`; return the remaining paths."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return [] if error.errno == ENOENT else [folder]
    remaining = []
    for name in names:
        if is_valid_key(name.encode()) and name not in kept_names:
            remaining.extend(erase_file("%s/%s" % (folder, name)))
    return remaining
