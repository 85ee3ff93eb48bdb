# SPDX-License-Identifier: Apache-2.0
"""The site of a year: the reference plant at some power, a weather, a kind of heat rejection.

Has no policy and no loop over the hours (see `policy` and `run`). The controlled year and the
search for the optimum use the same site, so that they compare the same plant.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hil.annual.limits import PLATFORMS, PlatformLimits
from hil.annual.load_profile import YearLoad
from hil.annual.words import WET_ABOVE_C
from hil.plant.air.cooler import CoolerParameters, scaled
from hil.plant.air.weather import Weather
from hil.plant.facility import Facility, FacilityParameters
from hil.plant.fluid.hydraulics import operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from hil.plant.power.electrical_chain import ElectricalChain
from hil.plant.reference_plant import reference_parameters
from hil.plant.room import Room

OTHER_FRACTION = 0.01
"""Power of lighting, controls and similar over IT power, from the reference."""

DEW_MARGIN_K = 2.0
WET_HYSTERESIS_K = 1.0

WATER_KWH_M3 = 10.0
"""Price of a cubic metre of water as electrical energy of the same price, kWh (assumed: 1.0 for
water over 0.10 for a kilowatt hour)."""

_START_C = 30.0


@dataclass(frozen=True)
class Deviations:
    """What the policy does not know: fractions of the UA, warm air at the cooler in K."""

    exchanger_ua: float = 1.0
    cooler_ua: float = 1.0
    recirculation_k: float = 0.0


@dataclass(frozen=True)
class AnnualSite:
    """The conditions of a year; `seed` is for noise and errors of the sensors.

    `it_kw` is the IT power at cases of 60 degC. `wet_above_c`: thermostat of an adiabatic cooler.
    """

    weather: Weather
    kind: str
    it_kw: float = 1000.0
    seed: int = 1
    limits: PlatformLimits = PLATFORMS["W45"]
    load: YearLoad = field(default_factory=YearLoad)
    deviations: Deviations = Deviations()
    wet_above_c: float = WET_ABOVE_C
    water_kwh_m3: float = WATER_KWH_M3
    row: PlantParameters = field(init=False)
    cooler: CoolerParameters = field(init=False)
    water: FacilityParameters = field(init=False)
    min_pump_pct: float = field(init=False)

    def __post_init__(self) -> None:
        megawatts = self.it_kw / 1000.0
        set_field = object.__setattr__
        row = reference_parameters(self.it_kw, start_supply_c=_START_C + 8.0, fws_c=_START_C)
        set_field(self, "row", row)
        cooler = scaled(CoolerParameters(), megawatts)
        deviations = self.deviations
        cooler = replace(
            cooler,
            ua_kw_k=cooler.ua_kw_k * deviations.cooler_ua,
            tower_ntu=cooler.tower_ntu * deviations.cooler_ua,
            recirculation_k=deviations.recirculation_k,
        )
        set_field(self, "cooler", cooler)
        water = FacilityParameters(hot_l=1000.0 * megawatts, cold_l=1000.0 * megawatts)
        set_field(self, "water", water)
        set_field(self, "min_pump_pct", _speed_for(row, self.limits.min_lpm_kw * self.it_kw))

    def build_plant(self) -> Plant:
        """Build the plant with its facility, in the steady state of a medium operating point."""
        plant = Plant(Random(f"{self.seed}/year"), self.row, step_us=1_000_000)
        facility = Facility(self.row, self.cooler, self.kind, self.water, _START_C)
        facility.start_fans(30.0)
        facility.set_air(self.weather.at(0.0).air())
        plant.attach_facility(facility)
        plant.set_fouling(self.deviations.exchanger_ua)
        return plant

    def is_wet(self, dry_c: float, was_wet: bool = False) -> bool:
        """Return whether the thermostat of the cooler wets it. It is in the cooler's own intake."""
        if self.kind == "tower":
            return True
        threshold_c = self.wet_above_c - (WET_HYSTERESIS_K if was_wet else 0.0)
        intake_c = dry_c + self.deviations.recirculation_k
        return self.kind == "adiabatic" and intake_c > threshold_c

    def record(self) -> dict[str, Any]:
        """Return the conditions for the record of a run."""
        return {
            "platform": self.limits.record(),
            "load": self.load.name,
            "exchanger_ua": self.deviations.exchanger_ua,
            "cooler_ua": self.deviations.cooler_ua,
            "recirculation_k": self.deviations.recirculation_k,
            "wet_above_c": self.wet_above_c if self.kind == "adiabatic" else None,
            "water_kwh_m3": self.water_kwh_m3,
        }

    def water_j(self, kg: float) -> float:
        """Return the price of water as energy, J."""
        return kg * 0.001 * self.water_kwh_m3 * 3.6e6

    def fixed_losses_kw(self, it_kw: float, loop_kw: float) -> dict[str, float]:
        """Return the losses outside the loop, kW: electrical stages, room air cooling, the rest."""
        air = Room().electric_kw(it_kw)
        other = OTHER_FRACTION * self.it_kw
        losses = ElectricalChain(self.it_kw).losses_kw(it_kw, loop_kw + air + other)
        return {"electrical": sum(losses.values()), "air": air, "other": other}


def _speed_for(p: PlantParameters, lpm: float) -> float:
    """Return the speed of one pump for a flow, %, by bisection."""
    low, high = 10.0, 100.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if operating_point(p, [middle, 0.0]).flow_lpm < lpm:
            low = middle
        else:
            high = middle
    return high
