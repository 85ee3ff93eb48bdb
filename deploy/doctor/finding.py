# SPDX-License-Identifier: Apache-2.0
"""Check results: place, verdict, text, next step."""

from collections.abc import Iterable
from typing import NamedTuple

GOOD, WARNING, BAD = "good", "warning", "bad"


class CheckResult(NamedTuple):
    """Result of one check; `todo` is empty if there is nothing to do."""

    where: str
    verdict: str
    text: str
    todo: str = ""


def good(where: str, text: str) -> CheckResult:
    """The check has passed."""
    return CheckResult(where, GOOD, text)


def warning(where: str, text: str, todo: str) -> CheckResult:
    """The agent can run, with a limitation."""
    return CheckResult(where, WARNING, text, todo)


def bad(where: str, text: str, todo: str) -> CheckResult:
    """The agent or a part of it cannot work."""
    return CheckResult(where, BAD, text, todo)


def render(results: Iterable[CheckResult]) -> str:
    """Format results as lines; the next step stands below a failed check."""
    lines = []
    for result in results:
        lines.append(f"{result.verdict:<8} {result.where:<14} {result.text}")
        if result.todo:
            lines.append(f"{'':<8} {'':<14} -> {result.todo}")
    return "\n".join(lines)
