# SPDX-License-Identifier: Apache-2.0
"""Checks what a row with several controllers cannot have: its settings, and measures of other rows.

Does not check faults; see `hil.scenario.fault_parts`. The controllers of a pair have one line, a
link and a store, and with `pair_uplink` a receiver and a broker. The units of a group have the
plant, a line and the network.
"""

from collections.abc import Iterator
from dataclasses import fields

from hil.bench.optional_sections import section_names
from hil.bench.testbed_settings import TestbedSettings, several_setting
from hil.measure.several import GROUP_MEASURES, PAIR_MEASURES
from hil.scenario.model import Scenario

_PLANT = ("it_kw", "fws_c", "setpoint_c", "setpoint_kpa", "drift_ppm", "pipes", "valve_size")
PAIR_SETTINGS = (*_PLANT, "pumps", "size", "parts", "controllers", "pair_link", "pair_uplink")
GROUP_SETTINGS = (*_PLANT, "units", "shared_header", "rotate_h", "start_utc", "ppm_per_c")
PAIR_SECTIONS = ("cooling", "safety", "retain", "throttle", "log")
"""Sections of `parts` that a pair on the bench can have. `log` needs the broker."""
_OF_PAIR, _OF_GROUP = ("pair_link", "pair_uplink"), ("shared_header", "rotate_h")


def find_several_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Find settings and measures that do not fit the number of controllers: key path, text."""
    settings = scenario.settings
    several = several_setting(settings)
    usable = PAIR_SETTINGS if settings.controllers > 1 else GROUP_SETTINGS
    for name in _changed(settings):
        if several and name not in usable:
            yield f"row.{name}", f"is not available in a row with {several}"
        elif name in _OF_PAIR and settings.controllers < 2:
            yield f"row.{name}", "needs controllers = 2"
        elif name in _OF_GROUP and settings.units < 2:
            yield f"row.{name}", "needs units = 2 to 16"
    if settings.controllers > 1:
        for name in section_names(settings):
            if name not in PAIR_SECTIONS:
                yield "row.parts", f"{name!r} is not available in a row with {several}"
            elif name == "log" and not settings.pair_uplink:
                yield "row.parts", f"{name!r} needs row.pair_uplink = true"
    yield from _check_measures(scenario)


def _changed(settings: TestbedSettings) -> list[str]:
    """Return the names of the settings that have not their default."""
    return [f.name for f in fields(settings) if getattr(settings, f.name) != f.default]


def _check_measures(scenario: Scenario) -> Iterator[tuple[str, str]]:
    settings = scenario.settings
    for number, expectation in enumerate(scenario.expectations):
        name, key_path = expectation.measure.partition(":")[0], f"expect[{number}].measure"
        if name in PAIR_MEASURES and settings.controllers < 2:
            yield key_path, f"{name} needs row.controllers = 2"
        elif name in GROUP_MEASURES and settings.units < 2:
            yield key_path, f"{name} needs row.units = 2 to 16"
        elif settings.units > 1 and name not in GROUP_MEASURES:
            yield key_path, f"{name} is of one unit; not in a row with {several_setting(settings)}"
