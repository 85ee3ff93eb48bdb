# SPDX-License-Identifier: Apache-2.0
"""The site of a year: the reference plant at some power, a weather, a kind of heat rejection.

Has no policy and no loop over the hours (see `policy` and `run`). The controlled year and the
search for the optimum use the same site, so that they compare the same plant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hil.plant.air.cooler import CoolerParameters, scaled
from hil.plant.air.weather import Weather
from hil.plant.facility import Facility, FacilityParameters
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from hil.plant.power.electrical_chain import ElectricalChain
from hil.plant.room import Room
from hil.plant.scale import reference_parameters

OTHER_FRACTION = 0.01
"""Power of lighting, controls and similar over IT power, from the reference."""

CASE_MAX_C = 75.0
SUPPLY_MAX_C = 45.0
DEW_MARGIN_K = 2.0
MIN_PUMP_PCT = 59.0
"""Half of the design flow, 0.75 L/min for each kW: the usual minimum of cold plates."""

WET_ABOVE_C = 30.0
"""Outdoor temperature from which the adiabatic cooler is wet, as in the reference."""

_START_C = 30.0


@dataclass(frozen=True)
class AnnualSite:
    """The conditions of a year; `seed` is for noise and errors of the sensors."""

    weather: Weather
    kind: str
    it_kw: float = 1000.0
    seed: int = 1
    row: PlantParameters = field(init=False)
    cooler: CoolerParameters = field(init=False)
    water: FacilityParameters = field(init=False)

    def __post_init__(self) -> None:
        megawatts = self.it_kw / 1000.0
        set_field = object.__setattr__
        set_field(
            self,
            "row",
            reference_parameters(self.it_kw, start_supply_c=_START_C + 8.0, fws_c=_START_C),
        )
        set_field(self, "cooler", scaled(CoolerParameters(), megawatts))
        set_field(
            self, "water", FacilityParameters(hot_l=1000.0 * megawatts, cold_l=1000.0 * megawatts)
        )

    def build_plant(self) -> Plant:
        """Build the plant with its facility, in the steady state of a medium operating point."""
        plant = Plant(Random(f"{self.seed}/year"), self.row, quantum_us=1_000_000)
        facility = Facility(self.row, self.cooler, self.kind, self.water, _START_C)
        facility.start_fans(30.0)
        facility.set_air(self.weather.at(0.0).air())
        plant.attach_facility(facility)
        return plant

    def is_wet(self, dry_c: float) -> bool:
        """Return whether the cooler is wet by the rule of the site."""
        if self.kind == "tower":
            return True
        return self.kind == "adiabatic" and dry_c > WET_ABOVE_C

    def fixed_losses_kw(self, it_kw: float, loop_kw: float) -> dict[str, float]:
        """Return the losses outside the loop, kW: electrical stages, room air cooling, the rest."""
        air = Room().electric_kw(it_kw)
        other = OTHER_FRACTION * self.it_kw
        losses = ElectricalChain(self.it_kw).losses_kw(it_kw, loop_kw + air + other)
        return {"electrical": sum(losses.values()), "air": air, "other": other}
