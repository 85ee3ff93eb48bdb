# SPDX-License-Identifier: Apache-2.0
"""The facility behind the row's inlet: pump, hot and cold water, cooler, outdoor air; dynamic.

    exchanger --hot tank--> cooler (fans, pads) --cold tank--> exchanger

Both tanks are the water of pipes and basins, well mixed. The water that leaves a tank during a step
has the temperature at the beginning of the step. So energy balances to rounding, if no tank is
emptied in one step (`residual_j`). The pump follows a proportional-pressure curve: 0.3 + 0.7 V^2 of
its design head at the fraction V of its design flow. The row's valve authority is derived from this
curve. The pump power heats the water.

A `Plant` with a `facility` steps it; then the facility supply temperature is not an input of the
plant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from hil.plant.air.cooler import (
    Air,
    CoolerParameters,
    cooler_conductance_w_k,
    fan_w,
    intake_c,
    water_kg_s,
)
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.power.part_load import electric_fraction, parabola

_FAN_PCT_S = 3.0
"""Rate of the fan speed, %/s (assumed: ramp of the drives)."""


@dataclass(frozen=True, slots=True)
class FacilityParameters:
    """Pump and water for 1 MW. Volumes scale with the load; `pump_kpa` does not."""

    pump_kpa: float = 232.0  # design head; with 0.70 x 0.93 x 0.97: 0.87 % of IT at design flow
    pump_efficiency: float = 0.70 * 0.93 * 0.97  # reference
    hot_l: float = 1000.0  # assumed
    cold_l: float = 1000.0  # assumed


class Facility:
    """Cooler and facility water of a row. Inputs: `set_air`, `command`, `set_stopped`.

    `cold_c` is the temperature to the exchanger, `hot_c` the temperature of the hot tank, in degC.
    `fan_pct` is the fan speed.
    """

    def __init__(
        self,
        row: PlantParameters,
        cooler: CoolerParameters,
        kind: str,
        parameters: FacilityParameters | None = None,
        start_c: float = 27.0,
    ) -> None:
        """Start at `start_c` with the fans off."""
        self.parameters = parameters or FacilityParameters()
        self.cooler = cooler
        self.kind = kind
        self.air = Air()
        self.fan_pct = self.fan_command_pct = 0.0
        self.wet = False
        self.stopped = False
        self.cold_c = self.hot_c = start_c
        self.rejected_w = self.pump_w = self.fan_w = self.water_kg = 0.0
        self._row = row
        self._w_lpm = row.fws_rho_kg_m3 * row.fws_cp_j_kgk / 60_000.0  # W/K for each L/min
        per_l = 0.001 * row.fws_rho_kg_m3 * row.fws_cp_j_kgk
        self._hot_j_k, self._cold_j_k = (
            self.parameters.hot_l * per_l,
            self.parameters.cold_l * per_l,
        )
        self._in_j = self._out_j = 0.0
        self._stored0_j = self._stored_j()
        self._key: tuple[float, ...] = ()
        self._rejection_w_k = self._intake_c = self._hot_refill = self._cold_refill = (
            self._water_kg_s
        ) = 0.0

    def start_fans(self, percent: float) -> None:
        """Set fan speed and command to `percent` without a ramp, for the start of a run."""
        self.fan_pct = self.fan_command_pct = percent

    def command(self, fan_pct: float, wet: bool) -> None:
        """Ramp the fans to `fan_pct` and switch the sprays or pads on (`wet`) or off."""
        self.fan_command_pct = fan_pct
        self.wet = wet

    def set_stopped(self, is_stopped: bool) -> None:
        """Stop fans and heat rejection (a fault), or start them again."""
        self.stopped = is_stopped

    def set_air(self, air: Air) -> None:
        """Set the outdoor air."""
        self.air = air
        self._key = ()

    def step(self, dt_s: float, lpm: float, heat_w: float) -> float:
        """Step by `dt_s` with a flow of `lpm` and the exchanger heat `heat_w`; return `cold_c`."""
        fan = 0.0 if self.stopped else self.fan_command_pct
        difference = fan - self.fan_pct
        if difference != 0.0:
            max_step = _FAN_PCT_S * dt_s
            self.fan_pct += (
                max_step
                if difference > max_step
                else -max_step
                if difference < -max_step
                else difference
            )
        key = (lpm, self.fan_pct, self.wet, dt_s, self.stopped)
        if key != self._key:
            self._update_rates(key, lpm, dt_s)
        water = lpm * self._w_lpm
        if water <= 0.0:
            self.rejected_w = 0.0
            return self.cold_c
        cold, hot = self.cold_c, self.hot_c
        return_c = cold + (heat_w + self.pump_w) / water
        rejected = self.rejected_w = self._rejection_w_k * (hot - self._intake_c)
        if self.kind == "tower":  # its water follows the heat, that of pads only the air
            self._water_kg_s = self._consumption_kg_s()
        self.hot_c = hot + (return_c - hot) * self._hot_refill
        self.cold_c = cold + (hot - rejected / water - cold) * self._cold_refill
        self._in_j += (heat_w + self.pump_w) * dt_s
        self._out_j += rejected * dt_s
        self.water_kg += self._water_kg_s * dt_s
        return self.cold_c

    def _update_rates(self, key: tuple[float, ...], lpm: float, dt_s: float) -> None:
        """Update the values that depend only on flow, fans and air."""
        self._key = key
        p, cooler, kind, air = self.parameters, self.cooler, self.kind, self.air
        water, fan = lpm * self._w_lpm, self.fan_pct / 100.0
        self._intake_c = intake_c(cooler, kind, air, self.wet)
        self._rejection_w_k = (
            0.0 if self.stopped else cooler_conductance_w_k(cooler, kind, air, self.wet, water, fan)
        )
        self._hot_refill = min(water * dt_s / self._hot_j_k, 1.0)
        self._cold_refill = min(water * dt_s / self._cold_j_k, 1.0)
        self.fan_w = fan_w(cooler, kind, fan, air.density)
        self.pump_w = facility_pump_w(
            p, lpm / self._row.hx_fws_design_lpm, self._row.hx_fws_design_lpm
        )
        self._water_kg_s = self._consumption_kg_s()

    def _consumption_kg_s(self) -> float:
        """Return the water consumption at the present heat, kg/s."""
        fan, heat_w = self.fan_pct / 100.0, self.rejected_w
        return water_kg_s(self.cooler, self.kind, self.air, self.wet, fan, heat_w)

    @property
    def residual_j(self) -> float:
        """Return stored + out - in since the start, J: 0 for a facility that loses no energy."""
        return self._stored_j() - self._stored0_j + self._out_j - self._in_j

    @property
    def input_j(self) -> float:
        """Return the heat input since the start, J."""
        return self._in_j

    def _stored_j(self) -> float:
        return self._hot_j_k * self.hot_c + self._cold_j_k * self.cold_c


def facility_pump_w(p: FacilityParameters, flow_fraction: float, design_lpm: float) -> float:
    """Return the electric power of the facility pump at a fraction of its design flow, W.

    Design flow times head over the efficiency at the rated load. The hydraulic power falls with
    V (0.3 + 0.7 V^2), the electric power less (`hil.plant.power.part_load`).
    """
    if flow_fraction <= 0.0:
        return 0.0
    full = design_lpm / 60.0 * p.pump_kpa / p.pump_efficiency
    head = 0.3 + 0.7 * flow_fraction * flow_fraction
    best = parabola(flow_fraction / sqrt(head))
    return full * electric_fraction(flow_fraction * head / best)
