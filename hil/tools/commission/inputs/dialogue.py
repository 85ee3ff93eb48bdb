# SPDX-License-Identifier: Apache-2.0
"""Questions and messages of `coldloop commission`, on a terminal or for a script.

Does not know the steps; see `hil.tools.commission.steps`. With `assume_yes` each question gets its
proposal. With `as_json` each step prints one JSON object, and no other text.
"""

import json
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from drivers.errors import DriverError
from drivers.tools.lib.arguments import confirm, prompt
from hil.errors import BenchError
from hil.record.label import escape_text

T = TypeVar("T")
_END = "."
"""Line that ends a pasted text."""


class Dialogue:
    """The terminal of the technician."""

    def __init__(self, assume_yes: bool, as_json: bool) -> None:
        self.assume_yes = assume_yes
        self.as_json = as_json

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.as_json:
            print(escape_text(text), flush=True)

    def ask(self, question: str, proposal: str) -> str:
        """Return the answer; an empty one is the proposal. Raises `UsageError` off a terminal."""
        return prompt(escape_text(question), escape_text(proposal), self.assume_yes)

    def ask_valid(self, question: str, proposal: str, parse: Callable[[str], T]) -> T:
        """Ask until `parse` takes the answer; return its result.

        Raises the error of `parse` for the proposal itself.
        """
        while True:
            answer = self.ask(question, proposal)
            try:
                return parse(answer)
            except (BenchError, DriverError) as error:
                if answer == proposal:
                    raise
                print(escape_text(error), file=sys.stderr, flush=True)

    def confirm(self, question: str) -> bool:
        """Return whether the answer is yes. Raises `UsageError` off a terminal."""
        return confirm(escape_text(question), self.assume_yes)

    def read_lines(self, question: str) -> str:
        """Return pasted lines up to one with a point alone, or Ctrl-D. Blank lines are left out.

        What was typed after it is dropped: it must not be taken for the next answers.
        """
        print(question, file=sys.stderr, flush=True)
        lines = []
        while line := sys.stdin.readline():
            if line.strip() == _END:
                break
            if line.strip():
                lines.append(line.rstrip("\r\n") + "\n")
        with suppress(OSError, ValueError, termios.error):  # no terminal
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        return "".join(lines)

    def report(self, step: str, result: Any) -> None:
        """Print the result of a step as JSON."""
        if self.as_json:
            print(json.dumps({"step": step, "result": result}), flush=True)
