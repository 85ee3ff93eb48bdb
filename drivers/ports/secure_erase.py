"""Files erased for good, as far as a program can: overwritten once, then removed.

On CPython and MicroPython alike. Not a promise about flash: a worn block that was put aside, or a
file system that writes elsewhere, keeps what it had.
"""

import os

from drivers.ports.base import ENOENT
from drivers.ports.store_request import is_valid_key

_SIZE = 6  # of what os.stat gives
_ZEROS = bytes(512)


def erase_file(path: str) -> "list[str]":
    """Overwrite and remove a file; give its path when it is still there, else nothing."""
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
    """Erase every record of a store's folder but those to `kept_names`; name what is still there."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return [] if error.errno == ENOENT else [folder]
    remaining = []
    for name in names:
        if is_valid_key(name.encode()) and name not in kept_names:
            remaining.extend(erase_file("%s/%s" % (folder, name)))
    return remaining
