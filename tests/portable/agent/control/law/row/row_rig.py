# SPDX-License-Identifier: Apache-2.0
"""A row whose readings agree with its exchanger, for the tests of plausibility."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.row.readings import RowReadings
from tests.portable.support.cooling_settings import EXCHANGER


def steady_row(fws_lpm=90.0, fws_supply_c=24.0, supply_c=32.0):
    """Return a row and readings that agree with its exchanger."""
    exchanger = Exchanger(EXCHANGER)
    row = RowPlausibility(exchanger, 150.0)
    exchanger.update_table(150.0)
    e = exchanger.effectiveness_of(fws_lpm)
    r = RowReadings()
    r.flow_lpm, r.dp_kpa, r.pump_pct = 150.0, 80.0, 70.0
    r.fws_flow_lpm, r.fws_supply_c, r.supply_c = fws_lpm, fws_supply_c, supply_c
    r.return_c = (supply_c - e * fws_supply_c) / (1.0 - e)
    heat_w = exchanger.tcs_capacity(150.0) * (r.return_c - supply_c)
    r.fws_return_c = fws_supply_c + heat_w / exchanger.fws_capacity(fws_lpm)
    return row, r


def run(row, r, seconds):
    """Step the row with unchanged readings."""
    for _ in range(seconds):
        step(row, r)


def step(row, r):
    """Step the row by one second."""
    row.read_facility(r, 1.0)
    row.step(r, 1.0)


def suspects(row):
    """Return the reasons of supply, return, flow and dP."""
    return row.supply.suspect, row.return_signal.suspect, row.flow.suspect, row.dp.suspect
