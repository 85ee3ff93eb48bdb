# SPDX-License-Identifier: Apache-2.0
"""Heat exchange: cold plates and the counter-flow plate heat exchanger.

Plain functions of the flows; temperatures are not an input. The plant calls them only when a flow
changed. Formulas: effectiveness-NTU method (Kays and London, Compact Heat Exchangers).
"""

from __future__ import annotations

from math import exp

from hil.plant.fluid.parameters import PlantParameters

_BALANCED = 1e-6  # for capacity ratios this close to 1 the limit is used


def capacity_w_k(lpm: float, rho: float, cp: float) -> float:
    """Return the heat capacity rate of a flow in L/min, W/K."""
    return lpm / 60_000.0 * rho * cp


def counterflow_effectiveness(ntu: float, ratio: float) -> float:
    """Return the effectiveness (0 to 1) of a counter-flow exchanger; ratio = Cmin / Cmax."""
    if 1.0 - ratio < _BALANCED:
        return ntu / (1.0 + ntu)
    e = exp(-ntu * (1.0 - ratio))
    return (1.0 - e) / (1.0 - ratio * e)


def exchanger_conductance_w_k(
    p: PlantParameters, tcs_lpm: float, fws_lpm: float, fouling: float = 1.0
) -> float:
    """Return the thermal conductance between the two inlets, W/K: effectiveness times Cmin.

    UA = UAd [0.5 (V1^-0.8 + V2^-0.8)]^-1, V over its design flow; without flow there is no heat.
    `fouling` is the remaining fraction of UA, above 0 to 1.
    """
    c1 = capacity_w_k(tcs_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
    c2 = capacity_w_k(fws_lpm, p.fws_rho_kg_m3, p.fws_cp_j_kgk)
    low, high = (c1, c2) if c1 < c2 else (c2, c1)
    if low <= 0.0:
        return 0.0
    films = (tcs_lpm / p.tcs_design_lpm) ** p.hx_exponent
    films += (fws_lpm / p.hx_fws_design_lpm) ** p.hx_exponent
    ua = fouling * 1000.0 * p.hx_ua_kw_k / (0.5 * films)
    return counterflow_effectiveness(ua / low, low / high) * low


def plate_conductance_w_k(p: PlantParameters, rack_lpm: float, rack_design_lpm: float) -> float:
    """Return the thermal conductance between a rack's cases and its coolant inlet, W/K.

    The cases are one wall at one temperature: effectiveness = 1 - exp(-1 / (R C)). R is the
    resistance of one device over the number of devices in the rack.
    """
    if rack_lpm <= 0.0:
        return 0.0
    devices = p.rack_design_kw / p.plate_device_kw
    r = p.plate_r0_k_w + p.plate_r1_k_w * (rack_lpm / rack_design_lpm) ** p.plate_exponent
    c = capacity_w_k(rack_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
    return c * (1.0 - exp(-devices / (r * c)))
