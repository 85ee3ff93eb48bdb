"""What the doctor finds: where, how bad, what, and what to do about it."""

from collections.abc import Iterable
from typing import NamedTuple

GOOD, WARNING, BAD = "good", "warning", "bad"


class CheckResult(NamedTuple):
    """One thing looked at; `todo` is empty when there is nothing to do."""

    where: str
    verdict: str
    text: str
    todo: str = ""


def good(where: str, text: str) -> CheckResult:
    """All is well there."""
    return CheckResult(where, GOOD, text)


def warning(where: str, text: str, todo: str) -> CheckResult:
    """The agent runs all the same, less well than it could."""
    return CheckResult(where, WARNING, text, todo)


def bad(where: str, text: str, todo: str) -> CheckResult:
    """The agent cannot do its work, or a part of it."""
    return CheckResult(where, BAD, text, todo)


def render(results: Iterable[CheckResult]) -> str:
    """Write findings as lines, what to do below what is wrong."""
    lines = []
    for result in results:
        lines.append(f"{result.verdict:<8} {result.where:<14} {result.text}")
        if result.todo:
            lines.append(f"{'':<8} {'':<14} -> {result.todo}")
    return "\n".join(lines)
