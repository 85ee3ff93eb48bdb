# SPDX-License-Identifier: Apache-2.0
"""The questions of a scenario: the check of a typed answer, and the entries for the record.

Does not show questions; see `hil.page.session` and `hil.tools.run`. A question is a `Prompt`. Its
kind `ask` is the kind of answer:

    confirm   yes or no; "no" fails the run
    text      a text that is not empty
    number    a number in `unit`, from `min` to `max` if they are given

A question without an answer is "not answered". It is never a pass.
"""

import math
from datetime import UTC, datetime
from typing import Any

from hil.scenario.model import Prompt

MAX_ANSWER_CHARS = 200
NOT_ANSWERED = "not answered"

Answer = dict[str, Any]
"""An entry of the record: at_s, text, ask, unit, answer (None: not answered), by, answered_utc."""


def find_answer_problem(prompt: Prompt, text: str) -> str:
    """Return why `text` is no answer to `prompt`; "": it is one."""
    answer = text.strip()
    if not answer:
        return "the answer is empty"
    if len(answer) > MAX_ANSWER_CHARS:
        return f"the answer is longer than {MAX_ANSWER_CHARS} characters"
    if prompt.ask == "confirm":
        return "" if answer in ("yes", "no") else f"{answer!r} is not yes or no"
    return _find_number_problem(prompt, answer) if prompt.ask == "number" else ""


def _find_number_problem(prompt: Prompt, answer: str) -> str:
    try:
        value = float(answer) if answer.isascii() and "_" not in answer else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return f"{answer!r} is not a number in {prompt.unit}"
    low = -math.inf if prompt.min is None else prompt.min
    high = math.inf if prompt.max is None else prompt.max
    if not low <= value <= high:
        return f"{answer} is outside {low:g} to {high:g} {prompt.unit}"
    return ""


def make_answer(prompt: Prompt, text: str, by: str, at_s: float) -> Answer:
    """Return the entry of an answer that `find_answer_problem` accepts."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**_describe(prompt, at_s), "answer": text.strip(), "by": by, "answered_utc": now}


def make_unanswered(prompt: Prompt, at_s: float) -> Answer:
    """Return the entry of a question without an answer."""
    return {**_describe(prompt, at_s), "answer": None, "by": "", "answered_utc": None}


def _describe(prompt: Prompt, at_s: float) -> Answer:
    return {"at_s": at_s, "text": prompt.text, "ask": prompt.ask, "unit": prompt.unit}


def count_unanswered(answers: list[Answer]) -> int:
    """Count the questions without an answer."""
    return sum(entry["answer"] is None for entry in answers)


def list_denials(answers: list[Answer]) -> list[str]:
    """Return a failure line for each question that was answered with no."""
    return [
        f"question: {entry['text']}: no"
        for entry in answers
        if entry["ask"] == "confirm" and entry["answer"] == "no"
    ]
