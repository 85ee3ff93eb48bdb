# SPDX-License-Identifier: Apache-2.0
"""Moist air: saturation pressure, dew point, humidity, wet bulb, density. Plain functions.

Saturation over water from 0 degC, over ice below 0 degC: Hyland and Wexler (ASHRAE Handbook -
Fundamentals, chapter 1, equations 5 and 6), valid from -100 to 200 degC. The wet bulb follows from
the energy balance of the same chapter (equations 33 to 35), by bisection to 0.001 K. Temperatures
are in degC, pressures in Pa, relative humidity in % (0 to 100).
"""

from __future__ import annotations

from math import exp, inf, log

STANDARD_PA = 101_325.0
_RATIO = 0.621945  # molar mass of water over that of dry air
_R_AIR = 287.055  # J/(kg K)
_KELVIN = 273.15
_MAGNUS, _MAGNUS_C, _MAGNUS_LOG = 17.625, 243.04, log(610.94)
_MAX_STEPS = 12
_SOLVED_K, _MARGIN_K = 4e-9, 1e-9
"""The last step is below `_SOLVED_K`; the slope is right within 14 %, so the rest is below the
margin."""


def saturation_pa(celsius: float) -> float:
    """Return the pressure of saturated water vapour, Pa."""
    t = celsius + _KELVIN
    if celsius >= 0.0:
        ln = -5.8002206e3 / t + 1.3914993 - 4.8640239e-2 * t + 4.1764768e-5 * t * t
        return exp(ln - 1.4452093e-8 * t**3 + 6.5459673 * log(t))
    ln = -5.6745359e3 / t + 6.3925247 - 9.677843e-3 * t + 6.2215701e-7 * t * t
    return exp(ln + 2.0747825e-9 * t**3 - 9.484024e-13 * t**4 + 4.1635019 * log(t))


def dew_point_c(celsius: float, humidity_pct: float) -> float:
    """Return the temperature at which this air is saturated, degC; humidity above 0 %.

    It is the result of a bisection, to the last bit. `_estimate_dew` decides the steps that are far
    from it; only the last ones need the saturation pressure.
    """
    if humidity_pct >= 100.0:
        return celsius
    vapour = saturation_pa(celsius) * max(humidity_pct, 0.1) / 100.0
    low, high = -60.0, celsius + 1e-9
    below, above = _estimate_dew(vapour)
    for _ in range(40):
        middle = 0.5 * (low + high)
        if middle < below or (middle < above and saturation_pa(middle) < vapour):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _estimate_dew(vapour: float) -> tuple[float, float]:
    """Return two temperatures, degC, with the dew point between them.

    Newton's method with the slope of the Magnus formula (Alduchov and Eskridge 1996). It begins
    with the dew point of that formula. Without a solution, at the step of `saturation_pa` at 0 degC
    for one, all temperatures are between them.
    """
    pressure_log = log(vapour)
    excess = pressure_log - _MAGNUS_LOG
    dew = _MAGNUS_C * excess / (_MAGNUS - excess)
    for _ in range(_MAX_STEPS):
        slope = _MAGNUS * _MAGNUS_C / (dew + _MAGNUS_C) ** 2
        step = (pressure_log - log(saturation_pa(dew))) / slope
        dew += step
        if -_SOLVED_K < step < _SOLVED_K:
            return dew - _MARGIN_K, dew + _MARGIN_K
    return -inf, inf


def humidity_pct(celsius: float, dew_c: float) -> float:
    """Return the relative humidity of air with this temperature and dew point, %, at most 100."""
    return min(100.0, 100.0 * saturation_pa(dew_c) / saturation_pa(celsius))


def moisture_ratio(dew_c: float, pressure_pa: float = STANDARD_PA) -> float:
    """Return the mass of water in 1 kg of dry air, kg."""
    vapour = saturation_pa(dew_c)
    return _RATIO * vapour / (pressure_pa - vapour)


def wet_bulb_c(celsius: float, dew_c: float, pressure_pa: float = STANDARD_PA) -> float:
    """Return the thermodynamic wet-bulb temperature, between dew point and dry bulb, degC."""
    ratio = moisture_ratio(dew_c, pressure_pa)
    low, high = min(dew_c, celsius), celsius
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        if _ratio_at(celsius, middle, pressure_pa) < ratio:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _ratio_at(celsius: float, wet_c: float, pressure_pa: float) -> float:
    """Return the moisture ratio of air with this dry and this wet bulb."""
    full = moisture_ratio(wet_c, pressure_pa)
    if wet_c >= 0.0:
        above = (2501.0 - 2.326 * wet_c) * full - 1.006 * (celsius - wet_c)
        return above / (2501.0 + 1.86 * celsius - 4.186 * wet_c)
    above = (2830.0 - 0.24 * wet_c) * full - 1.006 * (celsius - wet_c)
    return above / (2830.0 + 1.86 * celsius - 2.1 * wet_c)


def density_kg_m3(celsius: float, dew_c: float, pressure_pa: float = STANDARD_PA) -> float:
    """Return the mass of dry air in 1 m3 of this air, kg."""
    dry = pressure_pa - saturation_pa(dew_c)
    return dry / (_R_AIR * (celsius + _KELVIN))
