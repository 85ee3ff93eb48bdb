# SPDX-License-Identifier: Apache-2.0
"""Check of the supply temperature by its own past, and by the return and the heat of the loads."""

from agent.power.detector.supply_check import SupplyCheck
from tests.portable.support.check import eq, near

LOAD_W, LPM = 66_800, 100.0
"""The heat of the loads is a rise of 10 K."""


def check_for(check, seconds, supply_c, return_c, start_s=0):
    """Step with unchanged readings. Return the last value."""
    value = None
    for second in range(start_s, start_s + seconds):
        value = check.step(supply_c, return_c, LPM, LOAD_W, 1_000_000 * second)
    return value


def test_a_supply_that_jumps_is_the_return_less_the_heat_of_the_loads():
    for false_c in (20.0, 50.0, 0.0, 99.0):
        check = SupplyCheck()
        near(check_for(check, 10, 32.0, 42.0), 32.0, 0.01)
        near(check_for(check, 60, false_c, 43.0, 10), 33.0, 0.01)
        eq(check.suspect_since, 10_000_000)
        near(check_for(check, 12, 33.0, 43.0, 70), 33.0, 0.01)
        eq(check.suspect_since, None)


def test_a_supply_above_the_return_after_a_start_is_the_warmer_one_of_both():
    """Without a past, each of them can be false. Too low would hide a loss of heat rejection."""
    near(check_for(SupplyCheck(), 60, 46.0, 42.0), 46.0, 0.01)
    near(check_for(SupplyCheck(), 60, 36.0, 26.0), 36.0, 0.01)
    near(check_for(SupplyCheck(), 60, 96.0, 42.0), 32.0, 0.01)


def test_a_supply_above_the_return_after_a_start_rises_with_its_reading():
    check = SupplyCheck()
    for second in range(100):
        value = check.step(
            36.0 + 0.2 * second, 28.0 + 0.2 * second, LPM, LOAD_W, 1_000_000 * second
        )
        near(value, 36.0 + 0.2 * second, 0.01)
