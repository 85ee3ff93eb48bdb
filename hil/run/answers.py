# SPDX-License-Identifier: Apache-2.0
"""Answers to the questions of a run without the page: from a file, or from the terminal.

Does not judge answers; see `hil.scenario.questions`. A file has one answer a line, in the order of
the questions. An empty line leaves its question unanswered.
"""

import sys
from pathlib import Path

from hil.errors import BenchError
from hil.scenario.model import Prompt, Scenario
from hil.scenario.questions import Answer, find_answer_problem, make_answer, make_unanswered


class AnswerSource:
    """Answers no question; the base of the other sources."""

    def answer_all(self, scenario: Scenario) -> list[Answer]:
        """Answer the questions of a scenario in their order of time."""
        prompts = sorted(scenario.prompts, key=lambda prompt: prompt.at_s)
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Answer:
        return make_unanswered(prompt, prompt.at_s)


class FileAnswers(AnswerSource):
    """The answers of a file. Raises BenchError for a line that is no answer to its question."""

    def __init__(self, path: Path, operator: str) -> None:
        try:
            self._lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"--answers: {path}: {error}") from None
        self._path = path
        self._by = f"{operator or 'unknown'}, by file"
        self._number = 0

    def _answer(self, prompt: Prompt) -> Answer:
        self._number += 1
        line = self._lines[self._number - 1] if self._number <= len(self._lines) else ""
        if not line.strip():
            return make_unanswered(prompt, prompt.at_s)
        problem = find_answer_problem(prompt, line)
        if problem:
            raise BenchError(f"--answers: {self._path}, line {self._number}: {problem}")
        return make_answer(prompt, line, self._by, prompt.at_s)


class TerminalAnswers(AnswerSource):
    """Asks on the terminal. An empty line leaves the question unanswered."""

    def __init__(self, operator: str) -> None:
        self._by = f"{operator or 'unknown'}, at the terminal"

    def _answer(self, prompt: Prompt) -> Answer:
        kind = {"confirm": "yes or no", "text": "text", "number": prompt.unit}[prompt.ask]
        while True:
            sys.stderr.write(f"{prompt.text} [{kind}] ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line.strip():
                return make_unanswered(prompt, prompt.at_s)
            problem = find_answer_problem(prompt, line)
            if not problem:
                return make_answer(prompt, line, self._by, prompt.at_s)
            sys.stderr.write(f"  {problem}\n")


def open_answers(source: str | None, operator: str) -> AnswerSource:
    """Open a source: None, "-" for the terminal, or the path of a file. Raises BenchError."""
    if source is None:
        return AnswerSource()
    return TerminalAnswers(operator) if source == "-" else FileAnswers(Path(source), operator)
