# SPDX-License-Identifier: Apache-2.0
"""The water of a cooler: that of a tower follows the heat, that of pads only the air."""

import pytest

from hil.plant.air.cooler import Air, CoolerParameters, water_kg_s
from hil.plant.facility import Facility, FacilityParameters
from hil.plant.reference_plant import reference_parameters

AIR = Air(30.0, 22.0, 0.95)


@pytest.mark.parametrize("kind", ["tower", "adiabatic"])
def test_water_is_that_of_the_present_heat(kind: str) -> None:
    """Flow, fans and air are constant, and only the heat changes."""
    cooler = CoolerParameters()
    facility = Facility(reference_parameters(1000.0), cooler, kind, FacilityParameters(), 30.0)
    facility.start_fans(40.0)
    facility.set_air(AIR)
    facility.command(40.0, True)
    expected_kg = 0.0
    for i in range(7200):
        facility.step(1.0, 1000.0, 1e6 if i < 3600 else 3e5)
        expected_kg += water_kg_s(cooler, kind, AIR, True, 0.4, facility.rejected_w)
    assert facility.water_kg == pytest.approx(expected_kg, rel=0.001)
    assert facility.water_kg > 500.0
