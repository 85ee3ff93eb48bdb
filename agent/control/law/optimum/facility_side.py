# SPDX-License-Identifier: Apache-2.0
"""Model of the facility side for the optimiser: water flow, pump power, conductance of the cooler.

Does not search and does not learn; see `agent.control.law.optimum.optimizer`. G is the heat over
the difference of facility return and inlet air, at each of `FAN_POINTS` fan speeds.

    G(n) = heat / (fws_return - air), from a table of an air-side effectiveness-NTU model;
    if UA of the cooler is configured, G(n, water) of a counter-flow cooler (Kays and London)
    facility pump = facility_w V (0.3 + 0.7 V^2), V: flow over its design flow
"""

from agent.control.law.deterministic_math import exp, pow_det

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.law.exchanger import Exchanger

FAN_POINTS = 21
"""Fan speeds of a table, from 0 to full speed."""
_UA_EXPONENT = 6 / 10
"""Exponent of UA over air flow for a finned cooler (usual for air-side films and fins)."""


class FacilitySide:
    """The facility side at one valve position: flow, pump power, and G at each fan speed."""

    def __init__(self, model: "dict[str, Any]", exchanger: "Exchanger", valve_pct: float) -> None:
        self.valve_pct, self.valve_flow_factor = valve_pct, exchanger.valve_flow_factor
        self.lpm = exchanger.flow_at(valve_pct)
        self.capacity = exchanger.fws_capacity(self.lpm)
        v = self.lpm / exchanger.fws_design_lpm
        self.watts: float = model.get("facility_w", 0.0) * v * (0.3 + 0.7 * v * v)
        if "cooler_ua_kw_k" in model:
            self.fan_conductance = _counterflow_table(model, self.capacity)
        else:
            self.fan_conductance = _cooler_table(model)


def _cooler_table(model: "dict[str, Any]") -> "list[float]":
    """Return G of the cooler at each fan speed n, W/K: n (1 - exp(-NTU n^-0.4)), scaled."""
    ntu = model["cooler_ntu"]
    full = 1.0 - exp(-ntu)
    table = [0.0]
    for i in range(1, FAN_POINTS):
        n = i / (FAN_POINTS - 1)
        effectiveness = 1.0 - exp(-ntu * pow_det(n, -4 / 10))
        table.append(1000.0 * model["cooler_kw_k"] * n * effectiveness / full)
    return table


def _counterflow_table(model: "dict[str, Any]", water: float) -> "list[float]":
    """Return G of a counter-flow cooler at each fan speed, W/K, for `water` in W/K."""
    table = [0.0]
    for i in range(1, FAN_POINTS):
        n = i / (FAN_POINTS - 1)
        air = 1000.0 * model["cooler_air_kw_k"] * n
        ua = 1000.0 * model["cooler_ua_kw_k"] * pow_det(n, _UA_EXPONENT)
        low, high = (air, water) if air < water else (water, air)
        approach_k = 1.0 - low / high
        if approach_k < 1 / 1000:
            table.append(low * ua / (low + ua))
        else:
            e = exp(-ua / low * approach_k)
            table.append(low * (1.0 - e) / (1.0 - low / high * e))
    return table
