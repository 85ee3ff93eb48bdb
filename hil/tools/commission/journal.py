# SPDX-License-Identifier: Apache-2.0
"""The journal of a commissioning: results of its steps, so that it can be continued later.

Does not run steps; see `hil.tools.commission.steps`. The file is `commission.json` in the folder of
the site. Each write replaces it as a whole.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil.errors import BenchError

FILE = "commission.json"
FORMAT = "coldloop-commission-1"


class Journal:
    """The journal in `folder`. Raises BenchError for a damaged file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._steps: dict[str, Any] = {}
        self._pending: dict[str, Any] | None = None
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{self.path}: cannot be read: {error}") from None
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise ValueError
            self._steps = dict(record["steps"])
            self._pending = record.get("pending-write")
        except (ValueError, KeyError, TypeError):
            raise BenchError(
                f"{self.path}: not a journal of a commissioning; move it away to start again"
            ) from None

    def get(self, step: str) -> Any:
        """Return the result of a step; None if it is not done."""
        entry = self._steps.get(step)
        return None if entry is None else entry["result"]

    def done_at(self, step: str) -> str:
        """Return the UTC of a step that is done."""
        return str(self._steps[step]["utc"])

    def arguments(self, step: str) -> dict[str, Any]:
        """Return the arguments with which a step was done; empty if it is not done."""
        return dict(self._steps.get(step, {}).get("arguments", {}))

    def put(self, step: str, result: Any, arguments: dict[str, Any] | None = None) -> None:
        """Store the result of a step. Raises BenchError if the disk takes no file."""
        utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._steps[step] = {"utc": utc, "arguments": arguments or {}, "result": result}
        self._write()

    @property
    def pending_write(self) -> dict[str, Any] | None:
        """The old words of an output whose write test has not ended; None if there is none."""
        return self._pending

    def set_pending_write(self, pending: dict[str, Any] | None) -> None:
        """Store the old words before a write, or None after they are back."""
        self._pending = pending
        self._write()

    def forget(self, steps: list[str]) -> None:
        """Remove the results of some steps."""
        for step in steps:
            self._steps.pop(step, None)
        self._write()

    def _write(self) -> None:
        content: dict[str, Any] = {"format": FORMAT, "steps": self._steps}
        if self._pending is not None:
            content["pending-write"] = self._pending
        text = json.dumps(content, indent=1, ensure_ascii=False)
        temporary = self.path.with_suffix(".new")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as error:
            raise BenchError(f"{self.path}: {error.strerror}") from None
