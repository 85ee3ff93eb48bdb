"""Files erased for good, as far as a program can: overwritten once, then removed.

On CPython and MicroPython alike. Not a promise about flash: a worn block that was put aside, or a
file system that writes elsewhere, keeps what it had.
"""

import os

from drivers.ports.base import ENOENT
from drivers.ports.store_request import is_plain

_SIZE = 6  # of what os.stat gives
_ZEROS = bytes(512)


def erase_file(path: str) -> "list[str]":
    """Overwrite and remove a file; give its path when it is still there, else nothing."""
    try:
        left = int(os.stat(path)[_SIZE])
        with open(path, "r+b") as file:
            while left > 0:
                left -= file.write(_ZEROS[: min(left, len(_ZEROS))])
            file.flush()
            if hasattr(os, "fsync"):
                os.fsync(file.fileno())
        os.remove(path)
    except OSError as error:
        return [] if error.errno == ENOENT else [path]
    return []


def erase_records(folder: str, keep: "tuple[str, ...]") -> "list[str]":
    """Erase every record of a store's folder but those to `keep`; name what is still there."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return [] if error.errno == ENOENT else [folder]
    left = []
    for name in names:
        if is_plain(name.encode()) and name not in keep:
            left.extend(erase_file("%s/%s" % (folder, name)))
    return left
