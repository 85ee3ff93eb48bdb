# SPDX-License-Identifier: Apache-2.0
"""Readings that stand still, and coolant that does not flow."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.row.checked_signal import RELATION
from tests.portable.agent.control.law.row.row_rig import run, steady_row, suspects
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER


def warm_facility(row, r):
    """Raise the facility water and the return by 3 K."""
    for _ in range(3):
        r.fws_supply_c += 1.0
        r.return_c += 1.0
        run(row, r, 1)


def still_supply(flow_lpm=150.0):
    """Return a row whose supply stands still while its facility water has become warmer by 3 K.

    The facility return is not measured, so only the model knows that the supply must move.
    """
    row, r = steady_row()
    r.fws_return_c = None
    share = flow_lpm / 150.0
    r.flow_lpm, r.dp_kpa, r.pump_pct = flow_lpm, 80.0 * share * share, 70.0 * share
    run(row, r, 120)
    warm_facility(row, r)
    return row, r


def test_a_supply_that_stands_still_is_found_without_the_heat_of_the_facility_side():
    for flow_lpm, seconds in ((150.0, 25), (90.0, 50)):  # above two thirds, and below
        row, r = still_supply(flow_lpm)
        run(row, r, seconds)
        eq((flow_lpm, suspects(row)), (flow_lpm, ("", "", "", "")))
        run(row, r, seconds // 2 + 5)
        eq((flow_lpm, suspects(row)), (flow_lpm, (RELATION, "", "", "")))


def test_coolant_that_hardly_flows_may_stand_still():
    """Below a third of the design flow."""
    for flow_lpm, reason in ((48.0, ""), (54.0, RELATION)):
        row, r = still_supply(flow_lpm)
        run(row, r, 300)
        eq((flow_lpm, suspects(row)), (flow_lpm, (reason, "", "", "")))


def test_a_reading_may_stand_still_while_the_flow_moves():
    row, r = still_supply()
    for i in range(40):
        r.flow_lpm = 130.0 if i % 2 else 150.0
        run(row, r, 4)
    eq(suspects(row), ("", "", "", ""))
    r.flow_lpm = 150.0
    run(row, r, 90)
    eq(suspects(row)[0], "")  # it has not moved since then
    warm_facility(row, r)
    run(row, r, 90)
    eq(suspects(row)[0], RELATION)


def lost_row(heat_share=1.0):
    """Return a row after a restart, and its readings while the device of the row is silent."""
    row, r = steady_row(fws_lpm=35.0, fws_supply_c=10.0, supply_c=24.0)
    row.restore([150.0 / 80.0**0.5, 150.0 / 70.0, 1.0, 1.0], [])
    r.supply_c = r.return_c = r.flow_lpm = r.dp_kpa = None
    r.fws_return_c = 10.0 + heat_share * (r.fws_return_c - 10.0)
    return row, r


def test_after_a_restart_the_speed_alone_does_not_show_that_coolant_flows():
    """A filter may have clogged meanwhile: with 15 % of the flow the same heat needs a supply that
    is 8 K below the estimate, and never below the facility water.
    """
    row, r = lost_row()
    run(row, r, 10)
    near(row.supply.value, 24.0, 0.2)
    eq(row.supply.uncertainty, 2.0)
    clogged = Exchanger(EXCHANGER)
    rise_k = row.rise.by_heat_k / 0.15
    low_c = 10.0 + rise_k / clogged.effectiveness_at(22.5, 35.0) - rise_k
    near(row.low_flow_k, row.supply.value - low_c, 1e-6)
    assert 10.0 < low_c < 17.0, low_c
    for heat_share in (0.0, -0.5):
        row, r = lost_row(heat_share)
        run(row, r, 10)
        eq(row.low_flow_k, 0.0)


def test_a_reading_of_the_flow_shows_it_until_the_protection_says_otherwise():
    row, r = lost_row()
    r.dp_kpa = 80.0
    run(row, r, 10)
    eq(row.low_flow_k, 0.0)
    r.dp_kpa = None
    run(row, r, 10)
    eq(row.low_flow_k, 0.0)
    r.is_row_usual = False
    run(row, r, 1)
    assert row.low_flow_k > 5.0, row.low_flow_k
    r.is_row_usual, r.supply_c, r.return_c = True, 24.0, 30.0
    run(row, r, 1)
    eq(row.low_flow_k, 0.0)
