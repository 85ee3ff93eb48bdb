# SPDX-License-Identifier: Apache-2.0
"""The pressure of one header while units start, stop, leave and return: its bounds.

The set-point is 80 kPa. It rises by at most 10 %. It falls by at most 17 % when a unit stops by
selection; the loss of a unit without warning is not bounded by a rule.
"""

import pytest

from hil.run.several.group_run import GroupRun

MOST_KPA, LEAST_KPA = 88.0, 66.0


def pressures(run: GroupRun, first_s: int, last_s: int) -> list[float]:
    """Run, and return the pressure of the header of each second."""
    found = []
    for second in range(first_s, last_s):
        run.run(second)
        found.append(run.testbeds[0].plant.dp_kpa)
    return found


@pytest.mark.parametrize(
    ("kind", "unit", "units", "lasts_s"),
    [
        ("power", 1, 3, 30),
        ("power", 3, 3, 30),
        ("pumps", 2, 2, 12),
        ("pumps", 3, 3, 8),
        ("rpu", 1, 3, 5),
        ("rpu", 2, 3, 30),
    ],
    ids=["lead", "follower", "pumps of one of two", "pumps", "sensors, short", "sensors"],
)
def test_the_return_of_a_unit_keeps_the_pressure(
    kind: str, unit: int, units: int, lasts_s: int
) -> None:
    run = GroupRun(units, 40.0 * units, shared="header")
    run.start()
    run.run(40)
    run.begin_fault(kind, unit)
    run.run(40 + lasts_s)
    run.end_fault(kind, unit)
    found = pressures(run, 41 + lasts_s, 200 + lasts_s)
    assert max(found) <= MOST_KPA
    assert min(found[-20:]) >= 78.0
    assert run.running() == list(range(1, units + 1))
    assert run.speed_spread_pct() <= 2.0


def test_a_unit_that_stops_and_starts_again_keeps_the_pressure() -> None:
    run = GroupRun(3, 50.0, shared="header")
    run.start()
    run.run(20)
    for number in (1, 2, 3):
        run.group(number).staging._under_s = 890  # 15 minutes are long for a test
    found = pressures(run, 21, 120)
    assert run.running() == [1, 2]
    assert min(found) >= LEAST_KPA
    for number in (1, 2, 3):
        run.group(number).staging.selected = [1, 2, 3]
    found = pressures(run, 120, 230)
    assert run.running() == [1, 2, 3]
    assert max(found) <= MOST_KPA


def test_units_that_hand_over_the_lead_keep_the_pressure() -> None:
    run = GroupRun(4, 160.0, shared="header")
    run.start()
    run.run(30)
    run.lan.separate({1, 2}, {1, 2, 3, 4})
    found = pressures(run, 31, 80)
    run.lan.cut.clear()
    found += pressures(run, 80, 140)
    assert max(found) <= MOST_KPA
    assert min(found) >= 72.0, "droop"


def test_two_units_that_start_together_keep_the_pressure() -> None:
    run = GroupRun(3, 90.0, shared="header")
    run.start()
    run.run(40)
    run.begin_fault("pumps", 3)
    run.begin_fault("power", 1)
    run.run(52)
    run.end_fault("power", 1)
    run.run(105)
    run.end_fault("pumps", 3)
    assert max(pressures(run, 106, 190)) <= MOST_KPA + 1.0


def test_a_lead_that_received_nothing_stops_no_unit_after_its_return() -> None:
    run = GroupRun(5, 150.0, shared="header")
    run.start()
    run.run(40)
    run.begin_fault("deaf", 1)
    run.run(110)
    run.end_fault("deaf", 1)
    found = pressures(run, 111, 180)
    assert min(found) >= 74.0
    assert max(found) <= MOST_KPA
