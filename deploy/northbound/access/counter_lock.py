# SPDX-License-Identifier: Apache-2.0
"""Last counters of signed messages, shared by the processes that have the same site key.

The agent accepts each counter once and only growing ones. So a process holds the lock while it
signs and sends. Without a folder that it can write, the processes rely on the report of the unit.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

FILE = "counters.json"
_TRIES, _PAUSE_S = 20, 0.002


@contextlib.contextmanager
def shared_counters(folder: Path | None) -> Iterator[dict[str, int]]:
    """Give the last counters by kind of message, and store their changes at the end.

    Raises OSError if another process keeps the lock.
    """
    if folder is None:
        yield {}
        return
    try:
        file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield {}
        return
    try:
        _lock(file)
        counters = _parse(os.read(file, 4096))
        before = dict(counters)
        yield counters
        if counters != before:
            os.lseek(file, 0, os.SEEK_SET)
            os.ftruncate(file, 0)
            os.write(file, json.dumps(counters).encode())
    finally:
        os.close(file)


def _lock(file: int) -> None:
    """Lock a file. Does not wait long: a stopped process must not stop the others."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return
    raise OSError("another process signs")


def _parse(data: bytes) -> dict[str, int]:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(data)
        if isinstance(found, dict):
            return {k: v for k, v in found.items() if type(v) is int and 0 <= v < 1 << 32}
    return {}
