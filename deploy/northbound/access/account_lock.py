# SPDX-License-Identifier: Apache-2.0
"""The lock of the file of accounts, between the servers and `coldloop northbound account`.

A change reads the file, checks a password or a rule, and writes the file as a whole. Without a lock
a change of another process in between is lost: a removed account would come back. The lock ends
with its process. Does not know accounts; see `deploy.northbound.access.accounts`.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

LOCK = "accounts.lock"
WAIT_S = 5.0
_PAUSE_S = 0.01


@contextlib.contextmanager
def accounts_lock(folder: Path, wait_s: float = WAIT_S) -> Iterator[bool]:
    """Hold the lock, and give whether it is held: another process can keep it for `wait_s`.

    Raises OSError: the file of the lock cannot be opened.
    """
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        yield _take(file, wait_s)
    finally:
        os.close(file)


def _take(file: int, wait_s: float) -> bool:
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True
