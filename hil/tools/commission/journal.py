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

    def put(self, step: str, result: Any) -> None:
        """Store the result of a step. Raises BenchError if the disk takes no file."""
        utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._steps[step] = {"utc": utc, "result": result}
        self._write()

    def forget(self, steps: list[str]) -> None:
        """Remove the results of some steps."""
        for step in steps:
            self._steps.pop(step, None)
        self._write()

    def _write(self) -> None:
        text = json.dumps({"format": FORMAT, "steps": self._steps}, indent=1, ensure_ascii=False)
        temporary = self.path.with_suffix(".new")
        try:
            temporary.write_text(text + "\n", encoding="utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            raise BenchError(f"{self.path}: {error.strerror}") from None
