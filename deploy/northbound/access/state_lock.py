# SPDX-License-Identifier: Apache-2.0
"""Lock of a state file that several processes change: one process at a time reads and writes it.

Does not read or write the state. The lock is on a file of its own, which is never replaced: the
state file is another file after each change. The system ends the lock with its process.

As root, the lock file belongs to the owner of the folder: the servers must be able to open it.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.ops.private_file import give_to_owner

_PAUSE_S = 0.002


@contextlib.contextmanager
def state_lock(path: Path, wait_s: float, busy: str) -> Iterator[None]:
    """Hold the lock file `path`. `wait_s`: longest time to wait, s.

    Raises OSError: the file cannot be opened, or another process keeps the lock (text `busy`).
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(file, path.parent)
        _lock(file, wait_s, busy)
        yield
    finally:
        os.close(file)


def _lock(file: int, wait_s: float, busy: str) -> None:
    """Lock a file. The wait has an end: a stopped process must not stop the others."""
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise OSError(errno.EAGAIN, busy) from None
            time.sleep(_PAUSE_S)
        else:
            return
