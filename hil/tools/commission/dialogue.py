# SPDX-License-Identifier: Apache-2.0
"""Questions and messages of `coldloop commission`, on a terminal or for a script.

Does not know the steps; see `hil.tools.commission.steps`. With `assume_yes` each question gets its
proposal. With `as_json` each step prints one JSON object, and no other text.
"""

import json
import sys
from typing import Any

from drivers.tools.lib.arguments import confirm, prompt


class Dialogue:
    """The terminal of the technician."""

    def __init__(self, assume_yes: bool, as_json: bool) -> None:
        self.assume_yes = assume_yes
        self.as_json = as_json

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.as_json:
            print(text, flush=True)

    def ask(self, question: str, proposal: str) -> str:
        """Return the answer; an empty one is the proposal. Raises `UsageError` off a terminal."""
        return prompt(question, proposal, self.assume_yes)

    def confirm(self, question: str) -> bool:
        """Return whether the answer is yes. Raises `UsageError` off a terminal."""
        return confirm(question, self.assume_yes)

    def read_lines(self, question: str) -> str:
        """Return pasted lines up to an empty one."""
        print(question, file=sys.stderr, flush=True)
        lines = []
        for line in sys.stdin:
            if not line.strip():
                break
            lines.append(line)
        return "".join(lines)

    def report(self, step: str, result: Any) -> None:
        """Print the result of a step as JSON."""
        if self.as_json:
            print(json.dumps({"step": step, "result": result}, ensure_ascii=False), flush=True)
