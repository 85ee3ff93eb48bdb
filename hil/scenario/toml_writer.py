"""A scenario written as the TOML that `hil.scenario.model` reads: what shrinking and campaigns leave.

Only what differs from the usual is written; a scenario that is read back is equal.
"""

from dataclasses import MISSING, Field, fields, replace
from typing import Any

from hil.bench.testbed_settings import Setting
from hil.scenario.model import Scenario, parse


def text_of(scenario: Scenario) -> str:
    """Write a scenario (without cases) as TOML."""
    lines = [f"{key} = {_value(getattr(scenario, key))}" for key in ("name", "title", "seconds")]
    if scenario.realtime:
        lines.append("realtime = true")
    lines += _table("[row]", scenario.row, fields(Setting))
    for head, rows in (
        ("[[event]]", scenario.events),
        ("[[prompt]]", scenario.prompts),
        ("[[expect]]", scenario.expectations),
    ):
        for row in rows:
            lines += _table(head, row, fields(row))
    return "\n".join(lines) + "\n"


def written(scenario: Scenario) -> Scenario:
    """Give the scenario as it is after it was written and read; raises ScenarioError."""
    return parse(text_of(replace(scenario, cases=())), scenario.name)


def _table(head: str, row: object, entries: "tuple[Field[Any], ...]") -> list[str]:
    lines = []
    for entry in entries:
        value = getattr(row, entry.name)
        if entry.default is MISSING or value != entry.default:
            lines.append(f"{entry.name} = {_value(value)}")
    return ["", head, *lines] if lines else []


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
