# SPDX-License-Identifier: Apache-2.0
"""Writes a scenario as TOML, for the results of shrinking and campaigns.

Does not write default values. If `hil.scenario.loader` reads the text, the scenario is equal.
"""

from dataclasses import MISSING, Field, fields, replace
from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.scenario.loader import parse
from hil.scenario.model import Scenario


def write_toml(scenario: Scenario) -> str:
    """Write a scenario without its cases as TOML."""
    lines = [
        f"{key} = {_write_value(getattr(scenario, key))}" for key in ("name", "title", "seconds")
    ]
    if scenario.realtime:
        lines.append("realtime = true")
    lines += _write_table("[row]", scenario.settings, fields(TestbedSettings))
    for head, items in (
        ("[[event]]", scenario.events),
        ("[[prompt]]", scenario.prompts),
        ("[[expect]]", scenario.expectations),
    ):
        for item in items:
            lines += _write_table(head, item, fields(item))
    return "\n".join(lines) + "\n"


def round_trip(scenario: Scenario) -> Scenario:
    """Write and read a scenario; give the result. Raises ScenarioError."""
    return parse(write_toml(replace(scenario, cases=())), scenario.name)


def _write_table(head: str, item: object, entries: "tuple[Field[Any], ...]") -> list[str]:
    lines = []
    for entry in entries:
        value = getattr(item, entry.name)
        if entry.default is MISSING or value != entry.default:
            lines.append(f"{entry.name} = {_write_value(value)}")
    return ["", head, *lines] if lines else []


def _write_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
