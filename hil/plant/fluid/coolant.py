# SPDX-License-Identifier: Apache-2.0
"""PG25 (25 % propylene glycol by mass in water): fitted functions of its properties.

Polynomials in x = (t - 40 degC) / 50 K, fitted to CoolProp 8's INCOMP::MPG[0.25] from -5 to 90 degC
(freezing point -9.8 degC). The tests check them to 0.1 %. The plant uses constant density and heat
capacity at 40 degC. From 20 to 60 degC their product changes by less than 0.3 %. Temperatures
outside the range raise `ValueError`.
"""

from __future__ import annotations

from math import exp

LOW_C, HIGH_C = -5.0, 90.0
_DENSITY = (1009.8601, -25.40945, -6.430848)
_HEAT = (3968.7203, 118.05956, -3.895892)
_CONDUCTIVITY = (0.48586216, 0.043876233, -0.0020703591)
_LN_VISCOSITY = (-6.6054217, -1.2543733, 0.49814055, -0.16179682)


def _evaluate(coefficients: tuple[float, ...], celsius: float) -> float:
    if not LOW_C <= celsius <= HIGH_C:
        raise ValueError(f"{celsius} degC is outside {LOW_C:g} to {HIGH_C:g}")
    x, value = (celsius - 40.0) / 50.0, 0.0
    for c in reversed(coefficients):
        value = value * x + c
    return value


def density_kg_m3(celsius: float) -> float:
    """Return the density, kg/m3."""
    return _evaluate(_DENSITY, celsius)


def heat_j_kgk(celsius: float) -> float:
    """Return the specific heat capacity, J/(kg K)."""
    return _evaluate(_HEAT, celsius)


def conductivity_w_mk(celsius: float) -> float:
    """Return the thermal conductivity, W/(m K)."""
    return _evaluate(_CONDUCTIVITY, celsius)


def viscosity_pa_s(celsius: float) -> float:
    """Return the dynamic viscosity, Pa s."""
    return exp(_evaluate(_LN_VISCOSITY, celsius))
