# SPDX-License-Identifier: Apache-2.0
"""Data of the mutation tests: rooms, equivalent mutants, results of the last runs.

Does not run anything. `rooms.toml` and `equivalent.toml` are written manually, `results.json` by
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
class MutatedRoom:
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


def rooms() -> dict[str, MutatedRoom]:
    """Return the rooms by name."""
    return {
        name: MutatedRoom(name, tuple(entry["sources"]), tuple(entry["tests"]))
        for name, entry in _read("rooms.toml").items()
    }


def equivalents() -> dict[Change, str]:
    """Return the mutants that no test can detect, and the reason for each."""
    return {
        Change(entry["function"], entry["before"], entry["after"]): entry["why"]
        for entry in _read("equivalent.toml").get("mutant", [])
    }


def results() -> dict[str, Any]:
    """Return the last result of each room; empty without one."""
    if not RESULTS.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))
