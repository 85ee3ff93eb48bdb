# SPDX-License-Identifier: Apache-2.0
"""Temporary folders of these tests lie in memory, as the records of a unit do.

The agent replaces a record in each second, and the tests skip this second. On a disk, each
replacement waits until the file is written: more than half of the time of some files of tests.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = "/dev/shm"  # tmpfs; absent or small in some containers
_MIN_FREE_BYTES = 1 << 30


def is_usable(folder: str) -> bool:
    """Return whether tests can write and start programs in a folder, and it has space."""
    try:
        about = os.statvfs(folder)
    except OSError:
        return False
    is_limited = about.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) or not os.access(folder, os.W_OK)
    return not is_limited and about.f_bavail * about.f_frsize >= _MIN_FREE_BYTES


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not is_usable(_MEMORY):
        yield tmp_path_factory.mktemp("site")
        return
    with tempfile.TemporaryDirectory(prefix="coldloop-", dir=_MEMORY) as folder:
        yield Path(folder)
