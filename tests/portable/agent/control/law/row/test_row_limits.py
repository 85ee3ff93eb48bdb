# SPDX-License-Identifier: Apache-2.0
"""Flow, pressure and pump speed of the row at each limit, and what a restart takes over."""

from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.hydraulics import FlowFactors
from agent.control.law.row.readings import RowReadings
from tests.portable.agent.control.law.row.row_rig import run, steady_row, step, suspects
from tests.portable.support.check import eq, near


def test_a_branch_is_shut_between_the_speed_and_the_shut_off_pressure():
    for flow, by_pump, by_dp, is_shut in (
        (92.4, 100.0, 125.9, True),
        (92.5, 100.0, 125.9, False),
        (92.4, 100.0, 126.0, False),  # the shut-off pressure
        (90.0, 100.0, 107.6, True),
        (90.0, 100.0, 107.5, False),
        (90.0, None, 120.0, False),
        (90.0, 100.0, None, False),
    ):
        factors = FlowFactors()
        factors.by_pump, factors.by_dp = by_pump, by_dp
        eq((flow, by_dp, factors.is_shut(flow, 15.0)), (flow, by_dp, is_shut))


def test_small_factors_are_learned_slowly_too():
    r = RowReadings()
    r.dp_kpa, r.pump_pct = 100.0, 10.0
    factors = FlowFactors(0.4, 0.4)
    factors.learn(5.0, r, 59.0, 1.0)
    near(factors.dp_factor, 0.4 + 0.1 / 60.0, 1e-6)
    near(factors.pump_factor, 0.4 + 0.1 / 60.0, 1e-6)
    factors = FlowFactors()
    factors.learn(5.0, r, 59.0, 1.0)
    near(factors.dp_factor, 0.5, 1e-6)
    near(factors.pump_factor, 0.5, 1e-6)


def test_the_usual_row_is_back_after_ten_seconds():
    row, r = steady_row()
    run(row, r, 120)
    r.is_row_usual = False
    run(row, r, 5)
    r.is_row_usual = True
    run(row, r, 9)
    eq(row.hydraulics.is_usual, False)
    step(row, r)
    eq(row.hydraulics.is_usual, True)
    r.is_row_usual = False
    run(row, r, 5)
    r.is_row_usual = True
    row.step(r, 9.5)
    eq(row.hydraulics.is_usual, True)


def test_factors_of_the_heat_are_kept_once_they_are_learned():
    row, r = steady_row()
    eq(row.learned()[0][2:], [0.0, 0.0])
    run(row, r, 600)
    assert min(row.learned()[0][2:]) > 0.5
    eq(RowPlausibility(None, 150.0).learned()[0][2:], [1.0, 1.0])  # there is nothing to learn


def test_the_mean_of_a_first_minute_with_a_suspect_sensor_is_discarded():
    for name in ("supply", "return_signal"):
        row, r = steady_row()
        run(row, r, 34)
        right_c = r.supply_c, r.return_c
        offset_k = 2.3 if name == "supply" else -2.3
        for k in (offset_k, 8.0 * offset_k):  # learned at first, then faster than it can move
            r.supply_c, r.return_c = right_c
            if name == "supply":
                r.supply_c += k
            else:
                r.return_c += k
            run(row, r, 6)
        eq(getattr(row, name).suspect, "rate")
        eq((row.factors.heat, row.factors.model), (1.0, 1.0))
        r.supply_c, r.return_c = right_c
        run(row, r, 70)
        eq(suspects(row), ("", "", "", ""))


def test_a_later_suspicion_keeps_the_learned_factors():
    row, r = steady_row()
    r.return_c += 0.2
    run(row, r, 120)
    learned = row.factors.heat
    assert learned > 1.0
    r.supply_c += 12.0
    run(row, r, 5)
    eq((row.supply.suspect, row.factors.heat), ("rate", learned))
