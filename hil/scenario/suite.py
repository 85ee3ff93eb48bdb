# SPDX-License-Identifier: Apache-2.0
"""A suite: scenarios that run one after the other and give one record.

Does not contain events: a suite has a name, a title and the names of scenarios.

    name = "acceptance"
    title = "what a controller must show before it leaves the bench"
    scenarios = ["smoke", "load-step"]
"""

import fnmatch
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from hil.errors import ScenarioError
from hil.scenario.loader import find, shipped_names
from hil.scenario.model import Scenario
from hil.scenario.suggestion import suggest_name

_KEYS = {"name": str, "title": str, "scenarios": list}


@dataclass(frozen=True)
class Suite:
    """A suite, or one scenario as a suite; `scenarios` are its runs, with the cases expanded."""

    name: str
    title: str
    scenarios: tuple[Scenario, ...]


def suite_names() -> list[str]:
    """Return the sorted names of the shipped suites."""
    folder = resources.files("hil") / "suites"
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))


def load_suite(name: str, read: Callable[[str], Scenario] = find) -> Suite:
    """Read a shipped suite; `read` reads a scenario by its name. Raises ScenarioError."""
    text = (resources.files("hil") / "suites" / f"{name}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    for key, kind in _KEYS.items():
        if not isinstance(table.get(key), kind):
            raise ScenarioError(f"{name}.toml: {key}: missing, or not a {kind.__name__}")
    scenarios = [read(scenario) for scenario in table["scenarios"]]
    return Suite(
        table["name"], table["title"], tuple(run for s in scenarios for run in s.expand_cases())
    )


def resolve(name: str) -> Suite:
    """Find a suite, a shipped scenario, one of its cases (SCENARIO/CASE) or a file; or all shipped
    scenarios of a pattern, such as redundant-*. Raises ScenarioError with a similar name.
    """
    if name in suite_names():
        return load_suite(name)
    if name.partition("/")[0] in shipped_names() and not name.endswith(".toml"):
        case = find_case(name)
        return Suite(case.name, case.title, case.expand_cases())
    matching = fnmatch.filter(shipped_names(), name) if set(name) & set("*?[") else []
    if matching:
        runs = tuple(run for match in matching for run in find(match).expand_cases())
        return Suite(name, f"the scenarios {name}", runs)
    if not name.endswith(".toml") and name not in shipped_names():
        known = [*suite_names(), *shipped_names()]
        raise ScenarioError(
            f"{name}: no such scenario or suite{suggest_name(name, known)}; "
            "`coldloop hil list` names them"
        )
    scenario = find(name)
    return Suite(scenario.name, scenario.title, scenario.expand_cases())


def find_case(name: str) -> Scenario:
    """Find a shipped scenario, or one of its cases by SCENARIO/CASE; raises ScenarioError."""
    scenario = find(name.partition("/")[0])
    cases = {case.name: case for case in scenario.cases}
    if name == scenario.name:
        return scenario
    if name not in cases:
        known = f"there are {', '.join(cases)}" if cases else "the scenario has no cases"
        raise ScenarioError(f"{name}: no such case; {known}")
    return cases[name]
