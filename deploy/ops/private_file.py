# SPDX-License-Identifier: Apache-2.0
"""Files that only their user can read: written, or replaced as a whole.

Does not lock a read with the change after it. `replace_private` is for state that a process reads
again: a power cut or a full disk leaves the old or the new file, and no part of the new one. It
follows no link. `load_state` reads such a file, whatever is in it.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from deploy.errors import OpsError

_WAIT_S, _PAUSE_S = 1.0, 0.002
"""Longest wait for another process that replaces the same file, and the pause between tries, s."""

DAMAGED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What the content of a file can raise: also 1e999 as a number, and deep nesting."""
_State = TypeVar("_State")


def load_state(path: Path | None, build: Callable[[Any], _State], empty: _State) -> _State:
    """Return what `build` makes of the JSON in a file; `empty`: no file, or it is damaged."""
    try:
        return empty if path is None else build(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, *DAMAGED):
        return empty


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its user can read. Raises `OpsError`."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    try:
        file: IO[bytes]
        with open(path, "wb", opener=opener) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None


def replace_private(path: Path, text: str, mode: int = 0o600, to_owner: bool = False) -> None:
    """Replace a file; it is durable on return. Raises OSError: the old file is unchanged.

    `mode`: another one for a file that others may read. `to_owner`: root gives the file to the
    owner of its folder. Of several processes that replace a file, each one writes a whole new file.
    """
    new = path.with_name(path.name + ".new")
    file = open_locked(new, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            if to_owner:
                give_to_owner(file, path.parent)
            os.ftruncate(file, 0)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


class StateFile:
    """A file of state at `path` that is replaced only if its text has changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._written = path, ""

    def write(self, text: str) -> None:
        """Replace the file if the text is another. A full disk costs the state: the next call
        tries again.
        """
        if text != self._written:
            with contextlib.suppress(OSError):
                replace_private(self._path, text)
                self._written = text


def give_to_owner(file: int, folder: Path) -> None:
    """As root, give an open file to the owner of its folder; else nothing."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            owner = folder.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)


def open_locked(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file and lock it between processes; it still has its name. Raises OSError.

    The lock ends when the file is closed. The wait has an end: a stopped process must not stop the
    others.
    """
    end = time.monotonic() + _WAIT_S
    while True:
        file = os.open(path, flags, mode)
        try:
            lock_until(file, end)
            # The process before may have moved the file to its place while this one waited.
            if _is_at(path, file):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def lock_until(file: int, end: float) -> None:
    """Lock an open file between processes. `end`: of the wait, monotonic s. Raises OSError."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _is_at(path: Path, file: int) -> bool:
    """Return whether the open file still has its name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(file))
    return False
