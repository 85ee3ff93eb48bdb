# SPDX-License-Identifier: Apache-2.0
"""Which unit of a header has a false pressure, by the reports of some seconds."""

from collections.abc import Sequence

import pytest

from agent.control.group.header_pressure import APART_S, HeaderPressure
from agent.control.group.report import HEALTHY, LOAD_KNOWN, PRESSURE_KNOWN, RUNNING, GroupReport

SETPOINT_PA = 80_000


def reports_of(
    pressures: Sequence[int | None], pump_milli: int = 70_000, stopped: int = 0
) -> dict[int, GroupReport]:
    """Return the reports of units with these pressures, Pa; None: a unit knows none."""
    found = {}
    for unit, pressure in enumerate(pressures, 1):
        flags = HEALTHY | LOAD_KNOWN
        flags |= 0 if unit == stopped else RUNNING
        flags |= 0 if pressure is None else PRESSURE_KNOWN
        milli = 0 if unit == stopped else pump_milli
        found[unit] = GroupReport(flags, 3, 3, 100_000, 0, pressure or 0, milli, 1, 0)
    return found


def views_of(steps: list[dict[int, GroupReport]]) -> list[HeaderPressure]:
    """Return the view of each unit after the steps."""
    views = [HeaderPressure(unit, SETPOINT_PA) for unit in steps[0]]
    for view in views:
        for reports in steps:
            view.step(reports)
    return views


def suspects_of(steps: list[dict[int, GroupReport]]) -> list[int]:
    return [unit for unit, view in enumerate(views_of(steps), 1) if view.is_suspect]


@pytest.mark.parametrize("false_pa", [0, 30_000, 69_000, 91_000, 10_000_000])
@pytest.mark.parametrize("unit", [1, 2, 3])
def test_the_median_of_three_finds_the_false_one(unit: int, false_pa: int) -> None:
    pressures: list[int | None] = [80_000, 80_400, 79_600]
    pressures[unit - 1] = false_pa
    steps = [reports_of(pressures)] * APART_S
    assert suspects_of(steps[1:]) == []
    assert suspects_of(steps) == [unit]
    views = views_of(steps)
    assert all(79_000 <= (view.pressure_pa or 0) <= 81_000 for view in views)
    assert [view.differs for view in views] == [number == unit for number in (1, 2, 3)]


def test_it_is_trusted_again_after_it_has_agreed_as_long() -> None:
    apart, equal = reports_of([40_000, 80_000, 80_000]), reports_of([80_000] * 3)
    assert suspects_of([apart] * APART_S + [equal] * (APART_S - 1)) == [1]
    assert suspects_of([apart] * APART_S + [equal] * APART_S) == []


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize("error_pa", [-40_000, 40_000])
def test_of_two_the_one_that_jumps_is_false(unit: int, error_pa: int) -> None:
    pressures: list[int | None] = [80_000, 80_000]
    equal = reports_of(pressures)
    pressures[unit - 1] = 80_000 + error_pa
    views = views_of([equal] * 10 + [reports_of(pressures)] * APART_S)
    assert [view.is_suspect for view in views] == [unit == 1, unit == 2]
    assert all(view.differs for view in views)


@pytest.mark.parametrize("unit", [1, 2])
def test_of_two_the_one_that_drifts_is_false_though_the_lead_follows_it(unit: int) -> None:
    """The lead keeps its own reading; the speed shows that the other pressure is true."""
    steps = []
    for second in range(30):
        true_pa = 80_000 + 1000 * second if unit == 1 else 80_000
        pressures = [true_pa, true_pa]
        pressures[unit - 1] -= 1000 * second
        pump_milli = int(70_000 * (true_pa / 80_000) ** 0.5)
        steps.append(reports_of(pressures, pump_milli))
    assert suspects_of(steps) == [unit]


def test_of_two_that_never_agreed_the_lower_one_controls() -> None:
    views = views_of([reports_of([80_000, 40_000])] * APART_S)
    assert [view.is_suspect for view in views] == [True, False]
    assert all(view.differs for view in views)


def test_a_unit_that_does_not_run_or_has_no_reading_tells_nothing() -> None:
    for reports in (
        reports_of([80_000, 20_000], stopped=2),
        reports_of([80_000, None]),
        reports_of([None, None]),
    ):
        views = views_of([reports] * 10)
        assert not any(view.is_suspect or view.differs for view in views)


def test_a_ratio_of_other_units_is_not_used() -> None:
    """With a third unit the same speed gives another pressure."""
    three, two = reports_of([80_000] * 3, 70_000), reports_of([95_000, 60_000], 70_000)
    assert suspects_of([three] * 10 + [{1: two[1], 2: two[2], 3: three[3]}] * 2) == []
    views = [HeaderPressure(unit, SETPOINT_PA) for unit in (1, 2)]
    for view in views:
        for reports in [three] * 10 + [two] * APART_S:
            view.step(reports)
    assert [view.is_suspect for view in views] == [True, False]
