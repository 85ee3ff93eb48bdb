# SPDX-License-Identifier: Apache-2.0
"""Faults of absent parts: refused with the missing part, and possible as soon as it is there."""

from dataclasses import replace

import pytest

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.fault.registry import EVENTS
from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS
from hil.kernel.world import World
from hil.scenario.fault_parts import find_limits, find_part, find_refusal, find_unit
from tests.support.cli_tools import SHORT

BASIC = TestbedSettings()
FULL = TestbedSettings(
    receiver_dialect="casic",
    parts="remote, throttle, ledger, log, modem, modem_store",
    meters=2,
    humidity_sensors=3,
    fans=3,
    outdoor_sensors=1,
)
START_US = 1_795_500_000_000_000


def can_start(name: str, settings: TestbedSettings) -> bool:
    """Start a fault on a row with its lowest value; False: the row lacks a part."""
    fault_type = EVENTS[name]
    limits = find_limits(name, settings)
    arguments = [0.0 if limits is None else limits[0]]
    texts = {"raise_in": "supply", "raw_frame": "00"}
    testbed = Testbed(World(1, START_US), settings)
    try:
        fault_type.do(testbed, *arguments, *([texts[name]] if name in texts else []))
    except Exception:  # noqa: BLE001 - a missing part raises anything
        return False
    return True


SEVERAL = {**PAIR_EVENTS, **GROUP_EVENTS}


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_a_fault_of_several_controllers_is_refused(name: str) -> None:
    for settings in (BASIC, FULL):
        assert find_refusal(name, settings, in_real_time=False).startswith("needs row.")
    row = replace(BASIC, controllers=2, pair_link=True, pair_uplink=True)
    if name in GROUP_EVENTS:
        row = replace(BASIC, units=2)
    assert not find_refusal(name, row, in_real_time=False)
    assert find_refusal(name, row, in_real_time=True)


@pytest.mark.parametrize("name", sorted(EVENTS.keys() - SEVERAL.keys()))
def test_a_fault_that_cannot_start_is_refused(name: str) -> None:
    if not can_start(name, BASIC):
        assert find_refusal(name, BASIC, in_real_time=True)
    assert not find_refusal(name, FULL, in_real_time=False)
    if name != "modem_unplugged":  # needs the port of a run
        assert can_start(name, FULL)


def test_the_reason_names_the_missing_setting() -> None:
    assert find_refusal("bmc_busy", BASIC, False) == 'needs row.parts = "throttle"'
    assert find_refusal("fan_trip", BASIC, False) == "needs row.fans = 1"
    assert find_refusal("power_cut", BASIC, True) == "is available in virtual time only"
    assert find_refusal("power_cut", BASIC, False) == ""
    part = find_part("receiver_jump")
    assert part is not None
    assert part.setting.startswith("receiver_dialect")


def test_the_range_is_that_of_the_row() -> None:
    assert find_limits("pump_trip", replace(BASIC, pumps=1)) == (1, 1)
    assert find_limits("fan_trip", replace(BASIC, fans=2)) == (1, 2)
    assert find_limits("it_load", BASIC) == (0, 200)
    assert find_limits("rpu_dead", BASIC) is None


def test_a_value_with_a_physical_unit_shows_it() -> None:
    units = {name: find_unit(fault.description) for name, fault in EVENTS.items() if fault.limits}
    assert units["it_load"] == "kW"
    assert units["fws_temperature"] == "°C"
    assert units["supply_drift"] == "K per hour"
    assert units["leak"] == "L/min"
    assert units["pump_trip"] == ""
    assert units["group_load"] == "kW"
    numbers = {name for name, unit in units.items() if not unit and name not in SEVERAL}
    assert len(numbers) <= 31, "numbers, counts, codes and fractions have no unit"


def test_a_scenario_with_a_fault_of_an_absent_part_is_refused() -> None:
    from hil.errors import ScenarioError  # noqa: PLC0415
    from hil.scenario.loader import parse  # noqa: PLC0415

    text = SHORT + '[[event]]\nat_s = 1\ndo = "bmc_busy"\nvalue = 5\n'
    with pytest.raises(
        ScenarioError, match=r'event\[0\].do: bmc_busy needs row.parts = "throttle"'
    ):
        parse(text, "x")
