# SPDX-License-Identifier: Apache-2.0
"""Who has decided on the value of a set-point, over all protocols and processes.

A decision for the value in force is a decision, too: it sends nothing to the unit, but its user
counts on the value. So the return of a Modbus set-point asks here first. Another value that the
unit keeps ends the decisions for the value before it; one that it refuses or rolls back does not.

Does not know what a protocol's clients may repeat; see `decisions`. The file is in the state
folder, under a lock; without a folder, or without room, the table is in memory only.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from deploy.northbound.access.state_lock import state_lock
from deploy.ops.private_file import DAMAGED, replace_private

FILE, LOCK = "owners.json", "owners.lock"
_WAIT_S = 0.04
_MOST_VALUES, _MOST_USERS = 8, 64

_Values = dict[int, list[str]]


class ValueOwners:
    """The table: users by raw value, by set-point. A user is "PROTOCOL NAME"."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._table: dict[str, _Values] = {}
        self._stamp: tuple[int, ...] = ()

    def decide(self, key: str, raw: int, user: str) -> None:
        """Note a value on its way to the unit. It was not in force: older decisions for it end."""
        self._change(key, lambda values: {**_without(values, raw), raw: [user]})

    def support(self, key: str, raw: int, user: str) -> None:
        """Note a decision for the value in force."""
        self._read()
        if user not in self._table.get(key, {}).get(raw, ()):
            self._change(key, lambda values: {**values, raw: _with(values.get(raw, []), user)})

    def keep(self, key: str, raw: int, user: str) -> None:
        """Note that the unit has kept a value: the decisions for all others end."""
        self._change(key, lambda values: {raw: _with(values.get(raw, []), user)})

    def drop(self, key: str, raw: int, user: str) -> None:
        """Note that the unit has refused a value or rolled it back."""

        def without(values: _Values) -> _Values:
            left = [name for name in values.get(raw, []) if name != user]
            return {**_without(values, raw), raw: left}

        self._change(key, without)

    def users(self, key: str, raw: int) -> list[str]:
        """Return the users that have decided on a value, the newest one last."""
        self._read()
        return list(self._table.get(key, {}).get(raw, ()))

    def has_other(self, key: str, raw: int, protocol: str) -> bool:
        """Return whether a user of another protocol has decided on the value."""
        self._read()
        users = self._table.get(key, {}).get(raw, ())
        return any(name.partition(" ")[0] != protocol for name in users)

    def _change(self, key: str, change: Callable[[_Values], _Values]) -> None:
        with contextlib.ExitStack() as stack:
            if self._folder is not None:
                with contextlib.suppress(OSError):  # then the last one that writes wins
                    lock = state_lock(self._folder / LOCK, _WAIT_S, "another process decides")
                    stack.enter_context(lock)
            self._read()
            values = {
                raw: users for raw, users in change(self._table.get(key, {})).items() if users
            }
            self._table[key] = dict(list(values.items())[-_MOST_VALUES:])
            self._store()

    def _read(self) -> None:
        """Read the file if it has changed. A damaged file has no decisions."""
        if self._folder is None:
            return
        path = self._folder / FILE
        with contextlib.suppress(OSError, *DAMAGED):
            stamp = _stamp_of(path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._table = {
                    str(key): {int(raw): [str(name) for name in users][:_MOST_USERS]
                               for raw, users in values.items()}
                    for key, values in json.loads(path.read_text(encoding="utf-8")).items()
                }  # fmt: skip

    def _store(self) -> None:
        if self._folder is None:
            return
        path = self._folder / FILE
        with contextlib.suppress(OSError):
            replace_private(path, json.dumps(self._table))
            self._stamp = _stamp_of(path)


def _without(values: _Values, raw: int) -> _Values:
    return {value: users for value, users in values.items() if value != raw}


def _with(users: list[str], user: str) -> list[str]:
    return [*(name for name in users if name != user), user][-_MOST_USERS:]


def _stamp_of(path: Path) -> tuple[int, ...]:
    info = path.stat()
    return info.st_mtime_ns, info.st_ino, info.st_size
