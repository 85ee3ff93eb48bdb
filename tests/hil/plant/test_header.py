# SPDX-License-Identifier: Apache-2.0
"""The header of several units: its pressure against the formulas, and a unit that is too weak."""

from random import Random

import pytest

from hil.plant.fluid.header import header_kpa
from hil.plant.fluid.hydraulics import header_point, operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant

P = PlantParameters()
SPEEDS = [70.0, 0.0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_units_have_the_pressure_of_a_unit_with_its_own_row(count: int) -> None:
    own = P.row_kpa * (operating_point(P, SPEEDS).flow_lpm / P.tcs_design_lpm) ** 2
    assert header_kpa([(P, SPEEDS)] * count) == pytest.approx(own, abs=0.001)


@pytest.mark.parametrize("others", [[70.0, 0.0], [80.0, 0.0], [60.0, 60.0], [0.0, 0.0]])
def test_the_flows_give_the_pressure(others: list[float]) -> None:
    kpa = header_kpa([(P, SPEEDS), (P, others)])
    flow_lpm = sum(header_point(P, speeds, kpa).flow_lpm for speeds in (SPEEDS, others))
    assert kpa == pytest.approx(P.row_kpa * (flow_lpm / P.tcs_design_lpm / 2) ** 2, rel=1e-4)


def test_a_unit_that_is_too_slow_pushes_nothing_and_measures_the_header() -> None:
    kpa = header_kpa([(P, [85.0, 0.0]), (P, [30.0, 0.0])])
    weak = Plant(Random(1), P)
    for pump, speed in zip(weak.pumps, (30.0, 0.0), strict=True):
        pump.command(speed, 100.0)
    weak.advance(10_000_000)
    weak.set_header(kpa)
    assert weak.flow_true_lpm == 0.0
    assert weak.dp_kpa == kpa


def test_a_unit_that_pushes_more_takes_flow_from_the_others() -> None:
    before = header_point(P, SPEEDS, header_kpa([(P, SPEEDS), (P, SPEEDS)]))
    after = header_point(P, SPEEDS, header_kpa([(P, SPEEDS), (P, [80.0, 0.0])]))
    assert after.flow_lpm < before.flow_lpm - 5


def test_no_pump_no_pressure() -> None:
    assert header_kpa([(P, [0.0, 0.0])] * 3) == pytest.approx(0.0, abs=0.001)
