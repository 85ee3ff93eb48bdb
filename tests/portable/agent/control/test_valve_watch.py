# SPDX-License-Identifier: Apache-2.0
"""The watch of the supply loop: which swings of the supply count."""

from agent.control.watch.valve_watch import ValveWatch
from tests.portable.support.check import eq


class SwingingValve:
    command_pct, is_reversed = 50.0, False

    def position(self):
        return self.command_pct


class SwingingDecision:
    owner = "loop"


class SwingingArbiter:
    decision = SwingingDecision()


class SwingingLoop:
    setpoint, at_fail_safe, in_wave = 21.0, False, False
    arbiter = SwingingArbiter()

    def __init__(self):
        self.valve = SwingingValve()

    def set_care(self, is_gentle, deadband_scale, stiction_pct):
        pass


class SwingingReadings:
    supply_c, return_c = 21.0, 30.0


def watch_swings(is_estimate=False, reversals=()):
    """Return the codes after 20 half waves. `reversals`: the half waves that begin with one."""
    loop, readings = SwingingLoop(), SwingingReadings()
    watch = ValveWatch(loop, readings)
    for i in range(400):
        sign = 1.0 if i % 40 < 20 else -1.0
        if i % 20 == 0 and i // 20 in reversals:
            loop.valve.is_reversed = not loop.valve.is_reversed
        loop.valve.command_pct = 50.0 + 5.0 * sign
        readings.supply_c = 21.0 + sign
        watch.step(1.0, is_estimate)
    return [record.code for record, _, _ in watch.active_conditions()]


def test_an_estimate_of_the_supply_that_swings_is_no_limit_cycle():
    for is_estimate in (True, False):
        codes = watch_swings(is_estimate)
        eq((is_estimate, "valve_cycling" in codes), (is_estimate, not is_estimate))


def test_swings_until_the_direction_of_the_valve_is_found_are_no_limit_cycle():
    eq("valve_cycling" in watch_swings(reversals=(5, 10, 15)), False)
    eq("valve_cycling" in watch_swings(reversals=(5, 10)), True)
