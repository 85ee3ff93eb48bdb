# SPDX-License-Identifier: Apache-2.0
"""Plausibility of two temperatures whose readings change places, at a small rise."""

from agent.control.law.row.checked_signal import RATE
from tests.portable.agent.control.law.row.row_rig import run, steady_row, step, suspects
from tests.portable.support.check import eq, near

COLD = {"fws_lpm": 18.0, "fws_supply_c": 6.0, "supply_c": 22.6}
"""A small load at a cold site: the rise is about 2 K."""


def cold_row():
    """Return a row with a rise of about 2 K, its readings, and its true return, °C."""
    row, r = steady_row(**COLD)
    run(row, r, 120)
    true_c = r.return_c
    assert 1.5 < true_c - r.supply_c < 3.0, true_c
    return row, r, true_c


def test_readings_that_change_places_make_both_suspect_immediately():
    """The swap is a jump that is too fast for the return only."""
    row, r, true_c = cold_row()
    r.supply_c, r.return_c = true_c, 22.6
    step(row, r)
    eq(suspects(row)[:2], (RATE, RATE))
    near(row.supply.value, 22.6, 0.2)


def test_the_same_jump_to_another_value_makes_one_suspect():
    """Each reading must be that of the other one within 0.3 K."""
    for supply_k, return_k in ((-0.35, 0.0), (0.0, -0.35)):
        row, r, true_c = cold_row()
        r.supply_c, r.return_c = true_c + supply_k, 22.6 + return_k
        step(row, r)
        eq((supply_k, suspects(row)[:2]), (supply_k, ("", RATE)))


def test_a_rise_of_less_than_1_k_cannot_show_that_readings_change_places():
    for lpm, reasons in ((4.0, ("", "")), (18.0, (RATE, RATE))):
        row, r = steady_row(fws_lpm=lpm, fws_supply_c=6.0, supply_c=22.6)
        run(row, r, 120)
        r.supply_c, r.return_c = r.return_c, 22.6
        step(row, r)
        eq((lpm, suspects(row)[:2]), (lpm, reasons))


def test_swapped_readings_are_no_evidence_when_the_rise_becomes_small():
    """Each reading is in the band of its estimate then, but the other reading is nearer."""
    row, r, _ = cold_row()
    small = steady_row(fws_lpm=7.5, fws_supply_c=6.0, supply_c=22.6)[1]
    rise_k = small.return_c - small.supply_c
    assert 0.3 < rise_k < 0.95, rise_k
    small.supply_c, small.return_c = small.return_c, small.supply_c
    r.supply_c, r.return_c = r.return_c, r.supply_c
    step(row, r)
    run(row, small, 300)
    eq(suspects(row)[:2], (RATE, RATE))
    small.supply_c, small.return_c = small.return_c, small.supply_c
    run(row, small, 61)
    eq(suspects(row)[:2], ("", ""))


def row_at_a_shut_valve(seconds):
    """Return a row whose readings changed places, and were equal at a shut valve."""
    row, r, _ = cold_row()
    r.supply_c, r.return_c = r.return_c, r.supply_c
    step(row, r)
    r.fws_flow_lpm, r.return_c = 0.0, r.supply_c
    run(row, r, seconds)
    return row


def test_after_a_shut_valve_the_facility_side_gives_no_estimate_for_30_s():
    """An estimate of each second cycle would open and shut the valve for ever."""
    row = row_at_a_shut_valve(5)
    eq(row.supply.value, None)
    r = steady_row(**COLD)[1]
    r.supply_c, r.return_c = r.return_c, r.supply_c
    run(row, r, 30)
    eq(row.supply.value, None)
    step(row, r)
    near(row.supply.value, 22.6, 0.2)


def test_equal_readings_do_not_make_the_next_fault_a_repeated_one():
    """They do not show whether the sensors are swapped: it is the fault that is found next."""
    row = row_at_a_shut_valve(62)
    eq(suspects(row)[:2], ("", ""))
    r = steady_row(**COLD)[1]
    right = r.supply_c, r.return_c
    r.supply_c, r.return_c = r.return_c + 3.0, r.supply_c - 3.0
    run(row, r, 40)
    assert "" not in suspects(row)[:2], suspects(row)
    r.supply_c, r.return_c = right
    run(row, r, 180)
    eq(suspects(row)[:2], ("", ""))
