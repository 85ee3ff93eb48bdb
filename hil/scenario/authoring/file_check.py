# SPDX-License-Identifier: Apache-2.0
"""Checks a scenario file and lists all problems, each with its line.

Does not run the scenario. The first problem of this list is the one that `coldloop hil run` names,
unless the text is no TOML: then it is the only one.
"""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from hil.errors import ScenarioError
from hil.scenario.authoring.line_map import find_line, map_lines
from hil.scenario.model import Scenario, read_model
from hil.scenario.semantic_check import find_problems

_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class LocatedProblem(NamedTuple):
    """A problem and its place: line from 1, key path ("": the whole text), and what is wrong."""

    line: int
    key_path: str
    text: str


def check_file(path: Path) -> list[LocatedProblem]:
    """List the problems of a file, sorted by line. Raises ScenarioError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    return check_text(text)


def check_text(text: str) -> list[LocatedProblem]:
    """List the problems of a text, sorted by line."""
    try:
        reading = read_model(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place is not None else len(text.splitlines()) or 1
        return [LocatedProblem(line, "", _PLACE.sub("", str(error)))]
    lines = map_lines(text)
    problems = list(reading.problems)
    problems += [
        (path, problem_text)
        for path, problem_text in _find_semantic_problems(reading.scenario, reading.positions)
        if not _follows_from(path, reading.problems)
    ]
    if not reading.scenario.expectations and not problems:
        problems.append(("expect", "missing: a scenario without expectations cannot fail"))
    located = {
        LocatedProblem(find_line(lines, path), path, problem_text)
        for path, problem_text in problems
    }
    return sorted(located)


def _follows_from(path: str, problems: list[tuple[str, str]]) -> bool:
    """Return whether a problem of a whole table can be a result of a wrong key in it."""
    return any(other == path or other.startswith(path + ".") for other, _ in problems)


def _find_semantic_problems(
    scenario: Scenario, positions: dict[str, list[int]]
) -> list[tuple[str, str]]:
    """List the problems of all cases; the indices are those of the file."""
    found = []
    for case in scenario.expand_cases():
        for problem in find_problems(case):
            path = re.sub(
                r"^(event|expect|prompt)\[(\d+)\]",
                lambda match: f"{match[1]}[{positions[match[1]][int(match[2])]}]",
                problem.key_path,
            )
            found.append((path, problem.text))
    return list(dict.fromkeys(found))
