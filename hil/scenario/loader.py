# SPDX-License-Identifier: Apache-2.0
"""Finds, reads and checks scenario files: shipped ones by name, others by path.

Does not define the types; see `hil.scenario.model`. The shipped files are in folders by subject
below `hil/scenarios/`. A name must be unique over all folders.
"""

import functools
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from hil.errors import ScenarioError
from hil.scenario.model import Scenario, parse_model
from hil.scenario.suggestion import suggest_name


@functools.cache
def shipped_files() -> dict[str, Traversable]:
    """Map name -> file of each shipped scenario; raises `ScenarioError` for a duplicate name."""
    found: dict[str, Traversable] = {}
    for folder in (resources.files("hil") / "scenarios").iterdir():
        if not folder.is_dir():
            continue
        for file in folder.iterdir():
            name, _, ending = file.name.rpartition(".")
            if ending != "toml":
                continue
            if name in found:
                raise ScenarioError(f"{name}: two shipped scenarios have this name")
            found[name] = file
    return found


def shipped_names() -> list[str]:
    """Return the sorted names of the shipped scenarios."""
    return sorted(shipped_files())


def parse(text: str, source: str) -> Scenario:
    """Read and check a scenario; raises `ScenarioError` that names `source`, key and problem."""
    from hil.scenario.semantic_check import find_problem  # noqa: PLC0415 - it imports the bench

    scenario = parse_model(text, source)
    for case in scenario.expand_cases():
        problem = find_problem(case)
        if problem is not None:
            raise ScenarioError(f"{source}: {problem.key_path}: {problem.text}")
    return scenario


def read_shipped(name: str) -> Scenario:
    """Read a shipped scenario without a check of its values; for lists."""
    return parse_model(shipped_files()[name].read_text(encoding="utf-8"), f"{name}.toml")


def find(name: str) -> Scenario:
    """Read a shipped scenario by name, or a file by its path; it must have expectations."""
    scenario = _read(name)
    if not scenario.expectations:
        raise ScenarioError(f"{name}: expect: missing: a scenario without expectations cannot fail")
    return scenario


def _read(name: str) -> Scenario:
    if name.endswith(".toml"):
        try:
            return parse(Path(name).read_text(encoding="utf-8-sig"), name)
        except OSError as error:
            raise ScenarioError(f"{name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ScenarioError(f"{name}: not UTF-8 text; save it as UTF-8") from None
    files = shipped_files()
    names = sorted(files)
    if name not in files:
        raise ScenarioError(
            f"{name}: no such scenario{suggest_name(name, names)}; there are {', '.join(names)}"
        )
    text, source = files[name].read_text(encoding="utf-8"), f"{name}.toml"
    _check_shipped(text, source)
    return parse_model(text, source)


@functools.cache
def _check_shipped(text: str, source: str) -> None:
    """Check a shipped scenario once; it takes ten times as long as to read it."""
    parse(text, source)
