# SPDX-License-Identifier: Apache-2.0
"""Hydraulic resistance of the row: what is reported, and what is a transient."""

from agent.safety.row_resistance import RowResistance
from tests.portable.support.check import eq


def make():
    row = RowResistance()
    for _ in range(60):
        row.add(150.0, 80.0)
    return row


def test_shut_branch_is_reported_after_three_readings():
    row = make()
    seen = []
    for flow, kpa in ((139.7, 94.8), (131.8, 90.5), (126.7, 88.3), (124.7, 88.6)):
        row.add(flow, kpa)
        seen.append(row.is_changed)
    eq(seen, [False, False, True, True])
    for _ in range(5):
        row.add(150.0, 80.0)
    eq(row.is_changed, False)


def test_speed_does_not_matter():
    row = make()
    for percent in (90, 70, 50, 30, 60, 100, 20):
        for _ in range(3):
            row.add(1.5 * percent, 80.0 * percent * percent / 10_000)
            eq(row.is_changed, False)


def test_lag_of_the_flow_meter_is_a_transient():
    row = make()
    for flow in (60.0, 95.0, 118.0, 131.0, 139.0, 144.0, 147.0, 149.0):
        row.add(flow, 80.0)
        eq(row.is_changed, False)
    for flow in (120.0, 90.0, 70.0, 57.0, 49.0, 44.0, 42.0):
        row.add(flow, 5.0)
        eq(row.is_changed, False)


def test_false_gauge_is_reported_in_both_directions():
    for kpa in (140.0, 40.0):
        row = make()
        for _ in range(3):
            row.add(150.0, kpa)
        eq(row.is_changed, True)


def test_missing_or_small_readings_are_not_used():
    row = make()
    for flow, kpa in ((None, 80.0), (150.0, None), (5.0, 80.0), (150.0, 0.0), (0.0, 80.0)) * 3:
        row.add(flow, kpa)
        eq(row.is_changed, False)


def test_state_that_lasts_longer_after_a_start_is_the_usual_one():
    row = RowResistance()
    for _ in range(50):
        row.add(150.0, 230.0)  # the gauge is false at the start
    found = []
    for _ in range(60):
        row.add(150.0, 80.0)
        found.append(row.is_changed)
    eq((found[10], found[-1]), (True, False))
