"""What the doctor finds: where, how bad, what, and what to do about it."""

from collections.abc import Iterable
from typing import NamedTuple

GOOD, WARNING, BAD = "good", "warning", "bad"


class Finding(NamedTuple):
    """One thing looked at; `todo` is empty when there is nothing to do."""

    where: str
    verdict: str
    text: str
    todo: str = ""


def good(where: str, text: str) -> Finding:
    """All is well there."""
    return Finding(where, GOOD, text)


def warning(where: str, text: str, todo: str) -> Finding:
    """The agent runs all the same, less well than it could."""
    return Finding(where, WARNING, text, todo)


def bad(where: str, text: str, todo: str) -> Finding:
    """The agent cannot do its work, or a part of it."""
    return Finding(where, BAD, text, todo)


def render(findings: Iterable[Finding]) -> str:
    """Write findings as lines, what to do below what is wrong."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:<8} {finding.where:<14} {finding.text}")
        if finding.todo:
            lines.append(f"{'':<8} {'':<14} -> {finding.todo}")
    return "\n".join(lines)
