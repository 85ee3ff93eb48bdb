# SPDX-License-Identifier: Apache-2.0
"""Budget of the travel of the valve: debt, band, and pauses of the load that wait."""

from agent.control.watch.travel_budget import TravelBudget
from tests.portable.agent.control.test_component import make_rig
from tests.portable.support.check import eq, near


def make_indebted():
    """Return a budget whose share is 1: the valve moved by 100 % five times within 5 s."""
    budget = TravelBudget()
    for i in range(6):
        budget.add(100.0 * (i % 2), 1.0)
    return budget


def test_single_steps_and_short_waves_are_free():
    budget = TravelBudget()
    for i in range(41):
        budget.add(40.0 + 5.0 * (i % 2), 60.0)
    near(budget.debt_pct, 200.0 - 2460.0 / 252.0, 0.5)
    eq(budget.share, 0.0)
    eq(budget.integral_share, 1.0)


def test_debt_has_a_limit_and_is_paid_with_time():
    budget = make_indebted()
    eq(budget.share, 1.0)
    near(budget.integral_share, 0.05, 1e-9)
    eq(budget.debt_pct, 400.0)
    budget.add(None, 100.0 * 252.0)  # an unknown position is no travel
    near(budget.share, 0.5, 1e-6)
    budget.add(100.0, 300.0 * 252.0)
    eq(budget.debt_pct, 0.0)
    eq(budget.share, 0.0)


def test_usual_travel_makes_no_debt():
    """2,300 % in a week, to and fro."""
    budget, position, step = TravelBudget(), 50.0, 2300.0 / 5040.0
    for i in range(5040):
        budget.add(position, 120.0)
        position += step if i % 80 < 40 else -step
    assert budget.debt_pct < 1.0, budget.debt_pct


def test_the_effect_stays_within_the_band_with_the_least_moves():
    budget = make_indebted()
    eq(budget.limit_effect(10.2, 10.0, False, 1.0), 10.0)
    eq(budget.limit_effect(9.4, 10.0, False, 1.0), 10.0)
    near(budget.limit_effect(12.0, 10.0, False, 1.0), 11.7, 1e-9)  # to the edge, not beyond
    near(budget.limit_effect(8.0, 10.0, False, 1.0), 8.7, 1e-9)


def test_a_short_pause_moves_nothing_and_a_long_one_does():
    budget = make_indebted()
    for _ in range(300):
        eq(budget.limit_effect(10.0, 10.0, True, 1.0), 10.0)
    for _ in range(60):
        eq(budget.limit_effect(5.0, 10.0, True, 1.0), 10.0)
    near(budget.limit_effect(12.0, 10.0, True, 1.0), 11.7, 1e-9)  # more never waits
    waited_s = 0
    while budget.limit_effect(5.0, 11.7, True, 1.0) == 11.7:
        waited_s += 1
    assert 90 <= waited_s <= 180, waited_s
    near(budget.limit_effect(5.0, 11.7, True, 1.0), 5.7, 1e-9)


def test_near_the_dew_point_nothing_waits():
    budget = make_indebted()
    for _ in range(100):
        budget.limit_effect(10.0, 10.0, True, 1.0)
    near(budget.limit_effect(5.0, 10.0, False, 1.0), 5.7, 1e-9)


def test_below_the_dew_point_limit_no_travel_is_saved():
    rig = make_rig(dew=True)
    rig.run(20)
    loop = rig.agent.supply_loop
    floor_c = loop.cooling.min_setpoint_c
    for below_k, share in ((-1.0, 0.05), (0.69, 0.05), (0.71, 1.0)):
        loop.travel_budget = make_indebted()
        loop.readings.supply_c = floor_c - below_k
        loop.step(0, 0.001)
        near(loop.cooling.feedforward._integral_share, share, 1e-6)
        eq((below_k, loop.travel_budget.share), (below_k, 1.0))
    loop.cooling.min_setpoint_c = None  # no dew point is known
    loop.step(0, 0.001)
    near(loop.cooling.feedforward._integral_share, 0.05, 1e-6)


def run_without_flow(rig, tenths_c):
    """Step the loop without a flow reading; return the change of the output of its PI."""
    loop = rig.agent.supply_loop
    loop.readings.flow_lpm = None
    loop.cooling.setpoint_c = 32.0
    loop.readings.supply_c = tenths_c / 10.0
    loop.sensor = SupplyOfReadings(loop.readings)
    loop.step(0, 1.0)
    before = loop._pi.output
    for _ in range(60):
        loop.step(0, 1.0)
    return loop._pi.output - before


class SupplyOfReadings:
    def __init__(self, readings):
        self.readings = readings

    def value(self, _now):
        return self.readings.supply_c


def test_without_a_model_the_valve_rests_while_the_supply_is_near_the_set_point():
    for tenths_c, moves in ((320, 0), (322, 0), (318, 0), (323, 1), (317, -1)):
        rig = make_rig()
        rig.run(20)
        change = run_without_flow(rig, tenths_c)
        eq((tenths_c, (change > 0.0) - (change < 0.0)), (tenths_c, moves))


def test_without_a_model_a_debt_of_travel_makes_the_dead_zone_wider():
    for tenths_c, moves in ((325, 0), (312, 0), (326, 1), (310, -1)):
        rig = make_rig()
        rig.run(20)
        rig.agent.supply_loop.travel_budget = make_indebted()
        change = run_without_flow(rig, tenths_c)
        eq((tenths_c, (change > 0.0) - (change < 0.0)), (tenths_c, moves))


def test_without_a_model_a_supply_below_the_dew_point_limit_closes_the_valve():
    rig = make_rig(dew=True)
    rig.run(20)
    loop = rig.agent.supply_loop
    loop.travel_budget = make_indebted()
    loop.cooling.min_setpoint_c = 32.0
    assert run_without_flow(rig, 312) < -1.0
