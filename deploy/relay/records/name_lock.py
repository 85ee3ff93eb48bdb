# SPDX-License-Identifier: Apache-2.0
"""Lock of the name of a relay: one process for each name in one file.

Does not guard the file itself; SQLite does. Two processes with one name would use the same session
at the broker and the same positions. Each would delete records that the other has not delivered.
The lock is a file beside the store, `STORE.NAME.lock`. The kernel releases it at the end of the
process.
"""

import errno
import fcntl
import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from deploy.errors import DeployError
from deploy.relay.records.database import RelayDatabase
from deploy.relay.terminal_text import report

_LOOK_S = 60.0
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class DiskError(DeployError):
    """The disk of the store is full or fails; that can end, so a start is tried again."""


def start_error(path: Path, error: Exception) -> Exception:
    """Return what to raise after an error at the start with the store at `path`."""
    if isinstance(error, sqlite3.OperationalError) or getattr(error, "errno", 0) in _OF_THE_DISK:
        return DiskError(f"{path}: {error}")
    # Another error of SQLite: the file is no store.
    return DeployError(f"{path}: {error}") if isinstance(error, sqlite3.Error) else error


class NameLock:
    """Holds the lock of `name` for the store at `path`. Raises DeployError if another has it."""

    def __init__(self, path: Path, name: str) -> None:
        place = _lock_path(path, name)
        try:
            self._file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            kind = DiskError if error.errno in _OF_THE_DISK else DeployError
            raise kind(f"{place}: {error.strerror}") from None
        if not _acquire(self._file):
            os.close(self._file)
            raise DeployError(f"{path}: another relay with the name {name!r} uses it; see --name")

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)


def find_abandoned(path: Path, database: RelayDatabase) -> dict[str, int]:
    """Return how many records each other name has that no process uses now."""
    others = database.query("SELECT DISTINCT relay FROM position WHERE relay<>?", database.relay)
    counts = {}
    for (name,) in others:
        if not is_used(path, name):  # the count reads the whole outbox
            statement = "SELECT COUNT(*) FROM outbox WHERE relay=?"
            counts[str(name)] = int(database.query(statement, name)[0][0])
    return {name: count for name, count in counts.items() if count}


class AbandonedRecords:
    """Reports records of names that no process uses; they get no receipt.

    A relay that is being started again has no process for a moment, so two looks must find it.
    """

    def __init__(self, path: Path, database: RelayDatabase) -> None:
        self.due = 0.0
        self._path = path
        self._database = database
        self._found: dict[str, int] = {}
        self._reported: set[str] = set()

    def count(self) -> int:
        """Return how many records two looks have found."""
        return sum(self._found[name] for name in self._reported)

    def look(self) -> None:
        """Look once a minute."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + _LOOK_S
        try:
            counts = find_abandoned(self._path, self._database)
        except sqlite3.Error:
            return  # the next batch reports it
        for name in sorted((counts.keys() & self._found.keys()) - self._reported):
            report(f"{self._path}: {counts[name]} records wait for a relay with --name {name}")
        self._reported = counts.keys() & self._found.keys()
        self._found = counts


def _lock_path(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}.{quote(name, safe='')}.lock")


def _acquire(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_used(path: Path, name: str) -> bool:
    """Return whether a process has the lock of a name."""
    try:
        file = os.open(_lock_path(path, name), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _acquire(file)
    finally:
        os.close(file)
