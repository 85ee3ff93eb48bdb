# SPDX-License-Identifier: Apache-2.0
"""The suites, scenarios and faults that the page offers.

Does not start them; see `hil.page.session_manager`.
"""

from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.fault.registry import EVENTS
from hil.scenario.fault_parts import find_limits, find_refusal, find_unit
from hil.scenario.loader import find, shipped_names
from hil.scenario.model import Scenario
from hil.scenario.semantic_check import find_virtual_only
from hil.scenario.suite import load_suite, suite_names

MAX_REAL_TIME_S = 600
"""Longest duration of a scenario that the page offers, s."""


def fits_real_time(scenario: Scenario) -> bool:
    """Return whether a scenario can run in real time under the page."""
    return scenario.seconds <= MAX_REAL_TIME_S and find_virtual_only(scenario) is None


def build_catalogue(scenario_files: list[str]) -> dict[str, Any]:
    """List the suites and scenarios that the page offers.

    `scenario_files` are paths of further scenarios; they come first.
    """
    scenarios = [(path, find(path)) for path in scenario_files]
    scenarios += [(name, find(name)) for name in shipped_names()]
    return {
        "suites": [
            {
                "name": suite.name,
                "title": suite.title,
                "seconds": sum(scenario.seconds for scenario in suite.scenarios),
            }
            for suite in map(load_suite, suite_names())
            if all(fits_real_time(scenario) for scenario in suite.scenarios)
        ],
        "scenarios": [
            {"name": name, "title": scenario.title, "seconds": scenario.seconds}
            for name, scenario in scenarios
            if fits_real_time(scenario)
        ],
    }


def list_faults(settings: TestbedSettings) -> list[dict[str, Any]]:
    """List the faults that a row with these settings has in real time."""
    return [
        {
            "name": name,
            "about": fault_type.description,
            "limits": find_limits(name, settings),
            "unit": find_unit(fault_type.description),
            "whole": fault_type.is_pump,
            "ends": fault_type.undo is not None,
        }
        for name, fault_type in EVENTS.items()
        if fault_type.check_text is None and not find_refusal(name, settings, in_real_time=True)
    ]
