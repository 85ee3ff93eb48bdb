# SPDX-License-Identifier: Apache-2.0
"""Set-points to which the Modbus server returns when its client ends to write; kept in a file.

Does not decide when; see `deploy.northbound.modbus.set_points`.
"""

import contextlib
import json
from pathlib import Path

from deploy.northbound.modbus import layout
from deploy.ops.private_file import load_state, replace_private

_MOST_WRITTEN = 8


class RestoreFile:
    """Set-points to return to, by key; in a file if there is one.

    `values`: before the first change. `written`: the newest values that the clients have written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.values: dict[str, int] = {}
        self.written: dict[str, list[int]] = {}
        none: dict[str, list[int]] = {}
        for key, (before, *written) in load_state(path, _entries, none).items():
            self.values[key], self.written[key] = before, written

    def keep(self, key: str, raw: int, wanted: int, *, again: bool = False) -> None:
        """Keep the first value of a key, and the wanted one. Raises OSError: nothing is kept.

        `again`: another user has set `raw`, so it is the value to return to.
        """
        first, *older = [raw] if again else self.entry(key) or [raw]
        values = {**self.values, key: first}
        written = {**self.written, key: _with(older, wanted)}
        self._write(values, written)
        self.values, self.written = values, written

    def entry(self, key: str) -> list[int]:
        """Return the first value of a key and the newest ones; empty: there are none."""
        return [self.values[key], *self.written[key]] if key in self.values else []

    def put_back(self, key: str, entry: list[int]) -> None:
        """Undo `keep`: a write that was refused changes nothing. `entry`: of before."""
        if not entry:
            self.forget(key)
            return
        self.values[key], self.written[key] = entry[0], entry[1:]
        self._try_to_write()

    def add_step(self, key: str, raw: int) -> None:
        """Add a value of the way back. On a full disk, a restart loses it."""
        self.written[key] = _with(self.written[key], raw)
        self._try_to_write()

    def forget(self, key: str) -> None:
        """Forget a key."""
        if key in self.values:
            del self.values[key], self.written[key]
            self._try_to_write()  # a full disk: after a restart it returns once more

    def _try_to_write(self) -> None:
        with contextlib.suppress(OSError):
            self._write(self.values, self.written)

    def _write(self, values: dict[str, int], written: dict[str, list[int]]) -> None:
        if self._path is not None:
            data = {key: [raw, *written[key]] for key, raw in values.items()}
            replace_private(self._path, json.dumps(data))


def _entries(data: dict[str, list[int]]) -> dict[str, list[int]]:
    return {
        key: [int(number) for number in numbers][: _MOST_WRITTEN + 1]
        for key, numbers in data.items()
        if key in layout.SETPOINT_SLOTS and numbers
    }


def _with(written: list[int], raw: int) -> list[int]:
    """Return the newest values with `raw` as the last one."""
    return [*(value for value in written if value != raw), raw][-_MOST_WRITTEN:]
