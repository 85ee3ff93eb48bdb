# SPDX-License-Identifier: Apache-2.0
"""The lowest supply temperature of the coolant that can be in the return."""

from agent.control.law.row.lowest_supply import LowestSupply
from tests.portable.support.check import eq


def follow(lowest, supply_c, flow_lpm, seconds):
    """Give it `seconds` equal readings, one a second."""
    for _ in range(seconds):
        lowest.update(supply_c, flow_lpm, 1.0)


def test_it_is_known_after_a_minute_at_design_flow():
    lowest = LowestSupply(150.0)
    follow(lowest, 20.0, 150.0, 60)
    eq(lowest.lowest_c, None)
    follow(lowest, 20.0, 150.0, 1)
    eq(lowest.lowest_c, 20.0)


def test_a_colder_reading_stays_for_one_to_two_minutes():
    lowest = LowestSupply(150.0)
    follow(lowest, 22.0, 150.0, 90)
    follow(lowest, 20.0, 150.0, 1)
    for seconds, lowest_c in ((1, 20.0), (59, 20.0), (60, 22.0)):
        follow(lowest, 22.0, 150.0, seconds)
        eq((seconds, lowest.lowest_c), (seconds, lowest_c))


def test_coolant_that_stands_is_the_same_coolant():
    lowest = LowestSupply(150.0)
    follow(lowest, 20.0, 150.0, 90)
    for flow_lpm in (0.0, None):
        follow(lowest, 30.0, flow_lpm, 600)
        eq(lowest.lowest_c, 20.0)


def test_after_a_restart_it_is_not_known():
    lowest = LowestSupply(150.0)
    follow(lowest, 20.0, 150.0, 90)
    lowest.restart()
    follow(lowest, 30.0, 150.0, 59)
    eq(lowest.lowest_c, None)
    follow(lowest, 30.0, 150.0, 2)
    eq(lowest.lowest_c, 30.0)
