# SPDX-License-Identifier: Apache-2.0
"""Last counters of signed messages, shared by the processes that have the same site key.

The agent accepts each counter once and only growing ones. So a process holds the lock while it
signs and sends. It stores the counter before it sends: without room on the disk nothing is sent.
The table also has the last two changes of each process, `trial PROCESS` and `before PROCESS`.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from deploy.northbound.access.state_lock import state_lock
from deploy.ops.private_file import replace_private

FILE, LOCK = "counters.json", "counters.lock"
_WAIT_S = 0.04
_MAX_BYTES = 4096
_TRIAL, _BEFORE = "trial ", "before "
_MAX_COUNTER = 1 << 64


class SharedCounters:
    """The table while the lock is held. `values`: by kind of message, and `trial PROCESS`."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE
        self.values = {} if self._path is None else _read(self._path)

    def store(self, changes: dict[str, int]) -> None:
        """Store values durably. Raises OSError: the table of before is unchanged."""
        values = {**self.values, **changes}
        if self._path is not None and values != self.values:
            replace_private(self._path, json.dumps(values))
        self.values = values


@contextlib.contextmanager
def shared_counters(folder: Path | None) -> Iterator[SharedCounters]:
    """Give the table under its lock; without a folder, an empty one.

    Raises OSError if another process keeps the lock, or if the folder cannot be written.
    """
    if folder is None:
        yield SharedCounters(None)
        return
    with state_lock(folder / LOCK, _WAIT_S, "another process signs"):
        yield SharedCounters(folder)


def process_of(folder: Path | None, counter: int) -> str:
    """Return the process whose last change has this counter; "": none. It takes no lock."""
    values = {} if folder is None else _read(folder / FILE)
    found = [name for name, value in values.items() if name.startswith(_TRIAL) and value == counter]
    return found[0].removeprefix(_TRIAL) if found else ""


def is_own(folder: Path | None, counter: int) -> bool:
    """Return whether one of the last two changes of a process has this counter."""
    values = {} if folder is None else _read(folder / FILE)
    return any(
        value == counter for name, value in values.items() if name.startswith((_TRIAL, _BEFORE))
    )


def note_change(counters: SharedCounters, process: str, counter: int) -> dict[str, int]:
    """Return the entries for a new change of a process."""
    before = counters.values.get(_TRIAL + process, 0)
    return {_TRIAL + process: counter, _BEFORE + process: before}


def _read(path: Path) -> dict[str, int]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = json.loads(os.read(file, _MAX_BYTES))
        finally:
            os.close(file)
        if isinstance(found, dict):
            return {k: v for k, v in found.items() if type(v) is int and 0 <= v < _MAX_COUNTER}
    return {}
