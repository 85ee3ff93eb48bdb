# SPDX-License-Identifier: Apache-2.0
"""Data of the mutation tests: subjects, equivalent mutants, results of the last runs.

Does not run anything. `subjects.toml` and `equivalent.toml` are written manually, `results.json` by
`python -m benchmarks.mutation.run --write`.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
RESULTS = _FOLDER / "results.json"


@dataclass(frozen=True)
class MutatedSubject:
    """Source files that are changed, as patterns, and the tests that must notice it."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One mutant: the function, and the lines that differ, without indentation."""

    function: str
    before: str
    after: str


def subjects() -> dict[str, MutatedSubject]:
    """Return the subjects by name."""
    return {
        name: MutatedSubject(name, tuple(entry["sources"]), tuple(entry["tests"]))
        for name, entry in _read("subjects.toml").items()
    }


def equivalents() -> dict[Change, str]:
    """Return the mutants that no test can detect, and the reason for each."""
    return {
        Change(entry["function"], entry["before"], entry["after"]): entry["why"]
        for entry in _read("equivalent.toml").get("mutant", [])
    }


def results() -> dict[str, Any]:
    """Return the last result of each subject; empty without one."""
    if not RESULTS.exists():
        return {}
    stored: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return stored


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))
