# SPDX-License-Identifier: Apache-2.0
"""Notices that files on the disk were replaced.

Does not read them. Replaced files are often written one after the other; a caller that cannot use
them yet tries again when `has_changed` is true the next time.
"""

import os
from collections.abc import Sequence
from pathlib import Path

POLL_S = 5.0
"""Interval of the look at certificates, s."""


class FileStamps:
    """The time, number and size of `paths`, as they were at the last `keep`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._kept = self._seen = self._read()

    def has_changed(self) -> bool:
        """Return whether a file is another one than at the last `keep`."""
        self._seen = self._read()
        return self._seen != self._kept

    def keep(self) -> None:
        """Take the files of the last look as known. A later change is not lost."""
        self._kept = self._seen

    def _read(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
