# SPDX-License-Identifier: Apache-2.0
"""Set-points to which the Modbus server returns when its client ends to write; kept in a file.

Does not decide when; see `deploy.northbound.modbus.set_points`.
"""

import contextlib
import json
from pathlib import Path

from deploy.northbound.modbus import layout
from deploy.ops.private_file import replace_private


class RestoreFile:
    """Set-points to return to, by key; in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.values: dict[str, int] = {}
        try:
            data = json.loads(path.read_text()) if path else {}
            self.values = {k: int(v) for k, v in data.items() if k in layout.SETPOINT_SLOTS}
        except (OSError, ValueError, TypeError, AttributeError):
            self.values = {}

    def keep(self, key: str, raw: int) -> None:
        """Keep the first value of a key. Raises OSError: it cannot be stored and is not kept."""
        if key not in self.values:
            values = {**self.values, key: raw}
            self._write(values)
            self.values = values

    def forget(self, key: str) -> None:
        """Forget a key."""
        if key in self.values:
            del self.values[key]
            with contextlib.suppress(OSError):  # a full disk: after a restart it returns once more
                self._write(self.values)

    def _write(self, values: dict[str, int]) -> None:
        if self._path is not None:
            replace_private(self._path, json.dumps(values))
