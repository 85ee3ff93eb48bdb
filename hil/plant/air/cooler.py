"""Coolers of the facility water in a steady state: dry, adiabatic, or an evaporative tower.

Plain functions of flows, fan speed and air; temperatures enter only through the air. Effectiveness-
NTU in counter-flow; UA falls with the air's flow. The tower is the same with the enthalpy method of
Braun, Klein and Mitchell (ASHRAE Trans. 95, 1989): air at its wet bulb, and a heat capacity of
saturated air. The pad of the adiabatic cooler brings air 80 % of the way to its wet bulb.

The two numbers of the dry cooler were found so that a year of Dubai and one of Johannesburg with
fans that hold 30 or 40 degC and pumps at design flow cost what the project's reference states
(within 0.2 % of IT); they are not a maker's data.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.plant.air.psychrometrics import saturation_pa
from hil.plant.fluid.exchanger import counterflow_effectiveness

KINDS = ("dry", "adiabatic", "tower")

EVAPORATION_J_KG = 2.45e6
"""Heat of evaporation at 30 to 35 degC."""


@dataclass(frozen=True, slots=True)
class CoolerParameters:
    """Sizes for 1 MW of heat; all but the water's figures scale with the load."""

    fan_kw: float = 30.0  # reference: 3 % of duty at full speed, power with the cube of speed
    air_kw_k: float = 180.0  # fitted: heat capacity rate of the air at full speed, sea level
    ua_kw_k: float = 220.0  # fitted
    ua_exponent: float = 0.6  # usual: air-side films and fins, of the air's flow
    natural_draught: float = 0.02  # assumed: natural draught with the fans off
    pad_effectiveness: float = 0.8  # reference
    tower_fan_kw: float = 10.0  # assumed
    tower_air_kw_k: float = 45.0  # assumed, dry air's heat capacity rate
    tower_ntu: float = 2.5  # assumed
    cycles: float = 4.0  # assumed: cycles of concentration, of what evaporates 1/(n-1) is bled
    drift_fraction: float = 0.05  # assumed: water that pads or fill lose besides


@dataclass(slots=True)
class Air:
    """The outdoor air: dry bulb and wet bulb in degC, density over that of dry air at 15 degC."""

    dry_c: float = 30.0
    wet_c: float = 20.0
    density: float = 1.0


def intake_c(p: CoolerParameters, kind: str, air: Air, wet: bool) -> float:
    """Temperature that the cooler works against, degC."""
    if kind == "tower":
        return air.wet_c if wet else air.dry_c
    if kind == "adiabatic" and wet:
        return air.dry_c - p.pad_effectiveness * (air.dry_c - air.wet_c)
    return air.dry_c


def heat_w_k(
    p: CoolerParameters, kind: str, air: Air, wet: bool, water_w_k: float, fan: float
) -> float:
    """Heat per kelvin between hot water and intake, W/K; `fan` is the speed, 0 to 1."""
    if water_w_k <= 0.0:
        return 0.0
    n = max(fan, p.natural_draught) * air.density
    if kind == "tower" and wet:
        c_air = 1000.0 * p.tower_air_kw_k * n * saturated_ratio(air.wet_c + 6.0)
        ua = p.tower_ntu * 1000.0 * p.tower_air_kw_k * saturated_ratio(30.0) * n**p.ua_exponent
    else:
        c_air = 1000.0 * p.air_kw_k * n
        ua = 1000.0 * p.ua_kw_k * n**p.ua_exponent
    low, high = (c_air, water_w_k) if c_air < water_w_k else (water_w_k, c_air)
    return counterflow_effectiveness(ua / low, low / high) * low


def saturated_ratio(celsius: float) -> float:
    """Enthalpy of saturated air per kelvin over dry air's heat capacity, at sea level."""
    slope = 0.622 / 101_325.0 * (saturation_pa(celsius + 0.5) - saturation_pa(celsius - 0.5))
    return 1.0 + 2.5e6 / 1006.0 * slope


def fan_w(p: CoolerParameters, kind: str, fan: float) -> float:
    """Electric power of the fans at a speed of 0 to 1, W."""
    full = p.tower_fan_kw if kind == "tower" else p.fan_kw
    return 1000.0 * full * fan**3


def water_kg_s(
    p: CoolerParameters, kind: str, air: Air, wet: bool, fan: float, heat_w: float
) -> float:
    """Water used: evaporated, bled and lost, kg/s."""
    if not wet or kind == "dry":
        return 0.0
    if kind == "tower":
        evaporated = max(heat_w, 0.0) * 0.9 / EVAPORATION_J_KG  # 90 %: some leaves as warm air
    else:
        n = max(fan, p.natural_draught) * air.density
        kelvin = air.dry_c - intake_c(p, kind, air, wet)
        evaporated = 1000.0 * p.air_kw_k * n * kelvin / EVAPORATION_J_KG
    return evaporated * (1.0 + 1.0 / (p.cycles - 1.0) + p.drift_fraction)


def scaled(p: CoolerParameters, megawatts: float) -> CoolerParameters:
    """The same cooler for `megawatts` megawatts."""
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
    )
