# SPDX-License-Identifier: Apache-2.0
"""Coolers of the facility water in steady state: dry, adiabatic or evaporative tower.

Plain functions of water flow, fan speed and air. Does not store temperatures; see
`hil.plant.facility`. The method is effectiveness-NTU in counter-flow; UA falls with the air flow.
The tower uses the same method with the enthalpy model of Braun, Klein and Mitchell (ASHRAE Trans.
95, 1989): wet-bulb air temperature and the heat capacity of saturated air. The pad of the adiabatic
cooler moves the air temperature 80 % of the way to the wet bulb.

Two numbers of the dry cooler are fitted (`air_kw_k`, `ua_kw_k`). With them the annual cost in Dubai
and in Johannesburg is within 0.2 % of IT of the project's reference. The reference holds 30 or
40 degC with the fans and design flow with the pumps. The numbers are not manufacturer data.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.plant.air.psychrometrics import saturation_pa
from hil.plant.fluid.exchanger import counterflow_effectiveness
from hil.plant.power.part_load import electric_fraction

KINDS = ("dry", "adiabatic", "tower")

EVAPORATION_J_KG = 2.45e6
"""Heat of evaporation at 30 to 35 degC, J/kg."""


@dataclass(frozen=True, slots=True)
class CoolerParameters:
    """Sizes for 1 MW of heat; all sizes except the water fractions scale with the load."""

    fan_kw: float = 30.0  # reference: 3 % of duty at full speed, power with the cube of speed
    air_kw_k: float = 180.0  # fitted: heat capacity rate of the air at full speed, sea level
    ua_kw_k: float = 220.0  # fitted
    ua_exponent: float = 0.6  # usual: air-side films and fins, exponent of the air flow
    natural_draught: float = 0.02  # assumed: natural draught with the fans off
    pad_effectiveness: float = 0.8  # reference
    tower_fan_kw: float = 10.0  # assumed
    tower_air_kw_k: float = 45.0  # assumed, dry air's heat capacity rate
    tower_ntu: float = 2.5  # assumed
    cycles: float = 4.0  # assumed: cycles of concentration; 1/(n-1) of the evaporated water is bled
    drift_fraction: float = 0.05  # assumed: additional water loss of pads or fill
    recirculation_k: float = 0.0  # warm exhaust air at the inlet: the intake is warmer by this


@dataclass(slots=True)
class Air:
    """The outdoor air: dry and wet bulb in degC, density relative to dry air at 15 degC."""

    dry_c: float = 30.0
    wet_c: float = 20.0
    density: float = 1.0


def intake_c(p: CoolerParameters, kind: str, air: Air, wet: bool) -> float:
    """Return the air temperature at the inlet of the cooler, degC."""
    warmer_k = p.recirculation_k
    if kind == "tower":
        return (air.wet_c if wet else air.dry_c) + warmer_k
    if kind == "adiabatic" and wet:
        return air.dry_c - p.pad_effectiveness * (air.dry_c - air.wet_c) + warmer_k
    return air.dry_c + warmer_k


def cooler_conductance_w_k(
    p: CoolerParameters, kind: str, air: Air, wet: bool, water_capacity_w_k: float, fan: float
) -> float:
    """Return the thermal conductance between hot water and intake, W/K.

    `water_capacity_w_k` is the heat capacity rate of the water, `fan` the speed, 0 to 1.
    """
    if water_capacity_w_k <= 0.0:
        return 0.0
    n = max(fan, p.natural_draught) * air.density
    if kind == "tower" and wet:
        c_air = 1000.0 * p.tower_air_kw_k * n * saturated_ratio(air.wet_c + 6.0)
        ua = p.tower_ntu * 1000.0 * p.tower_air_kw_k * saturated_ratio(30.0) * n**p.ua_exponent
    else:
        c_air = 1000.0 * p.air_kw_k * n
        ua = 1000.0 * p.ua_kw_k * n**p.ua_exponent
    low, high = (
        (c_air, water_capacity_w_k) if c_air < water_capacity_w_k else (water_capacity_w_k, c_air)
    )
    return counterflow_effectiveness(ua / low, low / high) * low


def saturated_ratio(celsius: float) -> float:
    """Return the enthalpy of saturated air per kelvin over dry air's heat capacity."""
    slope = 0.622 / 101_325.0 * (saturation_pa(celsius + 0.5) - saturation_pa(celsius - 0.5))
    return 1.0 + 2.5e6 / 1006.0 * slope


def fan_w(p: CoolerParameters, kind: str, fan: float, density: float = 1.0) -> float:
    """Return the electric power of the fans at a speed of 0 to 1 and an air density, W.

    The shaft power follows the fan laws: cube of the speed, proportional to the density. Motor and
    converter lose more at part load (`hil.plant.power.part_load`).
    """
    full = p.tower_fan_kw if kind == "tower" else p.fan_kw
    load = density * fan**3
    return 1000.0 * full * electric_fraction(load)


def water_kg_s(
    p: CoolerParameters, kind: str, air: Air, wet: bool, fan: float, heat_w: float
) -> float:
    """Return the water consumption (evaporated, bled and lost), kg/s."""
    if not wet or kind == "dry":
        return 0.0
    if kind == "tower":
        evaporated = max(heat_w, 0.0) * 0.9 / EVAPORATION_J_KG  # 90 %: the rest leaves as warm air
    else:
        n = max(fan, p.natural_draught) * air.density
        kelvin = air.dry_c + p.recirculation_k - intake_c(p, kind, air, wet)
        evaporated = 1000.0 * p.air_kw_k * n * kelvin / EVAPORATION_J_KG
    return evaporated * (1.0 + 1.0 / (p.cycles - 1.0) + p.drift_fraction)


def scaled(p: CoolerParameters, megawatts: float) -> CoolerParameters:
    """Return the same cooler for `megawatts` megawatts."""
    return CoolerParameters(
        fan_kw=p.fan_kw * megawatts,
        air_kw_k=p.air_kw_k * megawatts,
        ua_kw_k=p.ua_kw_k * megawatts,
        ua_exponent=p.ua_exponent,
        natural_draught=p.natural_draught,
        pad_effectiveness=p.pad_effectiveness,
        tower_fan_kw=p.tower_fan_kw * megawatts,
        tower_air_kw_k=p.tower_air_kw_k * megawatts,
        tower_ntu=p.tower_ntu,
        cycles=p.cycles,
        drift_fraction=p.drift_fraction,
        recirculation_k=p.recirculation_k,
    )
