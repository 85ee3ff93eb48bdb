# SPDX-License-Identifier: Apache-2.0
"""Steady states of the plant in closed form (and by bisection), without simulation.

In steady state the exchanger takes the IT power and the pumps' shaft power. So the temperatures
follow from the exchanger's heat per kelvin.
"""

from __future__ import annotations

from collections.abc import Sequence

from hil.plant.fluid.exchanger import capacity_w_k, exchanger_conductance_w_k
from hil.plant.fluid.hydraulics import OperatingPoint, operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.valve import valve_flow_lpm
from hil.plant.power.part_load import electric_fraction, pump_fraction


def steady_return_c(
    p: PlantParameters, it_kw: float, point: OperatingPoint, valve_pct: float
) -> float:
    """Return the steady temperature at the exchanger's secondary inlet for a valve stroke, degC."""
    heat_w = 1000.0 * it_kw + shaft_w(p, point)
    exchange_w_k = exchanger_conductance_w_k(p, point.flow_lpm, valve_flow_lpm(p, valve_pct))
    return p.fws_c + heat_w / exchange_w_k


def steady_supply_c(
    p: PlantParameters, it_kw: float, point: OperatingPoint, valve_pct: float
) -> float:
    """Return the steady supply temperature for a valve stroke, degC."""
    c = capacity_w_k(point.flow_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
    return steady_return_c(p, it_kw, point, valve_pct) - 1000.0 * it_kw / c


def steady_valve_pct(
    p: PlantParameters, it_kw: float, supply_c: float, pumps_pct: tuple[float, ...]
) -> float:
    """Return the valve stroke for `supply_c` at `it_kw`, %; 0 or 100 if unreachable."""
    point = operating_point(p, list(pumps_pct))
    low, high = 0.0, 100.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if steady_supply_c(p, it_kw, point, middle) > supply_c:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def shaft_w(
    p: PlantParameters, point: OperatingPoint, speeds_pct: Sequence[float] | None = None
) -> float:
    """Return the shaft power of all pumps, W: it heats the coolant.

    With `speeds_pct` and `pump_bep_lpm` the efficiency falls away from the best point.
    """
    if speeds_pct is not None and p.pump_bep_lpm > 0.0:
        return sum(
            point.head_kpa * lpm / 60.0 / (p.pump_efficiency * pump_fraction(p, lpm, speed))
            for lpm, speed in zip(point.pump_lpm, speeds_pct, strict=True)
            if lpm > 0.0
        )
    flow = point.flow_lpm
    if point.pump_lpm and min(point.pump_lpm) < 0.0:  # the pumps also pump the backflow
        flow = sum(lpm for lpm in point.pump_lpm if lpm > 0.0)
    return point.head_kpa * flow / 60.0 / p.pump_efficiency


def pump_electric_w(p: PlantParameters, shaft_power_w: float, running: int = 1) -> float:
    """Return the electric power of `running` equal pumps with this shaft power together, W."""
    if p.pump_rated_w <= 0.0:
        return shaft_power_w / p.motor_efficiency
    rated_w = p.pump_rated_w * max(running, 1)
    return rated_w / p.motor_efficiency * electric_fraction(shaft_power_w / rated_w)
