# SPDX-License-Identifier: Apache-2.0
"""The dry cooler of one row, with fans that each have their own speed.

It is a `Facility`. Its air flow follows the mean of the fan speeds, as for equal fans side by side.
A damper on each fan prevents backflow through a stopped fan. The fan power is the mean of the cubes
of the speeds. The shafts ramp at the rate of their drives.
"""

from __future__ import annotations

from hil.plant.air.cooler import CoolerParameters, fan_w, scaled
from hil.plant.facility import Facility, FacilityParameters
from hil.plant.fluid.hydraulics import PlantPump
from hil.plant.fluid.parameters import PlantParameters

_SHAFT_PCT_S = 20.0
_START_PCT = 40.0
_TANK_L = 120.0  # assumed: volume of each tank for 100 kW


class FanBank(Facility):
    """A dry cooler for the row of `p`, at the row's inlet temperature; one shaft for each fan."""

    def __init__(self, p: PlantParameters, fans: int) -> None:
        megawatts = p.racks * p.rack_design_kw / 1000.0
        tanks = 10.0 * megawatts * _TANK_L
        water = FacilityParameters(hot_l=tanks, cold_l=tanks)
        super().__init__(p, scaled(CoolerParameters(), megawatts), "dry", water, p.fws_c)
        self.shafts = [PlantPump(_SHAFT_PCT_S, _START_PCT, _START_PCT) for _ in range(fans)]
        self.fan_pct = self.fan_command_pct = _START_PCT

    def step(self, dt_s: float, lpm: float, heat_w: float) -> float:
        """Step the shafts, then the facility; return `cold_c`."""
        changes = [shaft.step(dt_s) for shaft in self.shafts]
        if any(changes):
            speeds = [shaft.speed_pct for shaft in self.shafts]
            self.fan_pct = self.fan_command_pct = sum(speeds) / len(speeds)
        cold = super().step(dt_s, lpm, heat_w)
        density = self.air.density
        fan_powers_w = [
            fan_w(self.cooler, self.kind, s.speed_pct / 100.0, density) for s in self.shafts
        ]
        self.fan_w = sum(fan_powers_w) / len(fan_powers_w)
        return cold
