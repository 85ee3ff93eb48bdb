# SPDX-License-Identifier: Apache-2.0
"""Lock of a state file that several processes change: one process at a time reads and writes it.

Does not read or write the state. The lock is on a file of its own, which is never replaced: the
state file is another file after each change. The system ends the lock with its process.

As root, the lock file belongs to the owner of the folder: the servers must be able to open it.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.ops.private_file import give_to_owner, lock_until


@contextlib.contextmanager
def state_lock(path: Path, wait_s: float, busy: str) -> Iterator[None]:
    """Hold the lock file `path`. `wait_s`: longest time to wait, s.

    Raises OSError: the file cannot be opened, or another process keeps the lock (text `busy`).
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(file, path.parent)
        try:
            lock_until(file, time.monotonic() + wait_s)  # a stopped process must not stop others
        except BlockingIOError:
            raise OSError(errno.EAGAIN, busy) from None
        yield
    finally:
        os.close(file)
