# SPDX-License-Identifier: Apache-2.0
"""Small synthetic climates from published monthly normals; not measured weather.

Each month has the mean daily maximum and minimum temperature and the mean relative humidity. A day
is a skewed wave with its minimum at dawn and its maximum in the afternoon. The deviation of the
days from the normals is a first-order process, seeded by the name. So the year has heat waves and
humid spells. The dew point follows the daily mean and changes little within a day. The extremes are
milder than those of a typical-year file: use an EPW file for a design (see `weather`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from random import Random

from hil.plant.air.psychrometrics import dew_point_c

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAWN_H, _PEAK_H = 6.0, 14.5
_DAY_CORRELATION = 0.7  # correlation with the anomaly of the day before


@dataclass(frozen=True, slots=True)
class Climate:
    """Normals of twelve months: degC, degC, %; pressure at the station in Pa; spreads in K."""

    source: str
    high_c: tuple[float, ...]
    low_c: tuple[float, ...]
    humidity_pct: tuple[float, ...]
    pressure_pa: float = 101_000.0
    spread_k: float = 2.0
    dew_spread_k: float = 2.5


CLIMATES: dict[str, Climate] = {
    "dubai": Climate(
        "monthly normals of Dubai International Airport, Dubai Meteorological Office",
        (24.0, 25.4, 28.2, 32.9, 37.6, 39.5, 40.8, 41.3, 38.9, 35.4, 30.5, 26.2),
        (14.3, 15.4, 17.6, 20.8, 24.6, 27.2, 29.9, 30.2, 27.5, 23.9, 19.9, 16.3),
        (65, 65, 63, 55, 53, 58, 56, 57, 60, 60, 61, 64),
    ),
    "abu-dhabi": Climate(
        "monthly normals of Abu Dhabi International Airport, after the World Meteorological "
        "Organization",
        (24.1, 26.0, 29.5, 34.5, 39.3, 40.8, 42.1, 42.7, 40.4, 36.5, 31.1, 26.3),
        (13.2, 14.6, 17.1, 20.4, 23.8, 26.2, 28.8, 29.5, 26.6, 23.2, 18.7, 15.1),
        (68, 67, 63, 58, 55, 60, 61, 63, 64, 65, 65, 68),
    ),
    "johannesburg": Climate(
        "monthly normals of Johannesburg 1961 to 1990, World Meteorological Organization",
        (25.6, 25.1, 24.0, 21.1, 18.9, 16.0, 16.7, 19.4, 22.8, 23.8, 24.2, 25.2),
        (14.7, 14.1, 13.1, 10.3, 7.2, 4.1, 4.1, 6.2, 9.3, 11.2, 12.7, 13.9),
        (69, 70, 68, 65, 56, 53, 49, 46, 47, 56, 65, 66),
        pressure_pa=83_500.0,
        spread_k=2.5,
        dew_spread_k=3.0,
    ),
    "cape-town": Climate(
        "monthly normals of Cape Town 1961 to 1990, World Meteorological Organization",
        (26.1, 26.5, 25.4, 23.0, 20.3, 18.1, 17.5, 17.8, 19.2, 21.3, 23.5, 24.9),
        (15.7, 15.6, 14.2, 11.9, 9.4, 7.8, 7.0, 7.5, 8.7, 10.6, 13.2, 14.9),
        (71, 72, 74, 78, 81, 81, 81, 80, 77, 74, 71, 71),
        spread_k=2.5,
        dew_spread_k=2.0,
    ),
}


def synthesize_hours(name: str) -> list[tuple[float, float]]:
    """Return dry bulb and dew point, degC, of the 8760 hours of a climate; always the same."""
    climate, rng = CLIMATES[name], Random(name)
    hours: list[tuple[float, float]] = []
    dry_anomaly = dew_anomaly = 0.0
    innovation = (1.0 - _DAY_CORRELATION**2) ** 0.5
    for day in range(365):
        dry_anomaly = _DAY_CORRELATION * dry_anomaly + innovation * rng.gauss(0.0, 1.0)
        dew_anomaly = _DAY_CORRELATION * dew_anomaly + innovation * rng.gauss(0.0, 1.0)
        shift = climate.spread_k * min(max(dry_anomaly, -2.5), 2.5)
        high, low = (
            _normal_on_day(climate.high_c, day) + shift,
            _normal_on_day(climate.low_c, day) + shift,
        )
        mean = 0.5 * (high + low)
        dew = dew_point_c(mean - shift, _normal_on_day(climate.humidity_pct, day))
        dew += climate.dew_spread_k * min(max(dew_anomaly, -2.5), 2.0)
        for hour in range(24):
            dry = low + (high - low) * _diurnal_fraction(hour + 0.5)
            hours.append((round(dry, 2), round(min(dew, dry), 2)))
    return hours


def _normal_on_day(months: tuple[float, ...], day: int) -> float:
    """Return a normal on a day of the year, linear between the middles of the months."""
    start, month = 0, 0
    while day >= start + _DAYS[month]:
        start += _DAYS[month]
        month += 1
    x = (day - start) / _DAYS[month] - 0.5
    other = months[(month + 1) % 12] if x > 0.0 else months[month - 1]
    return months[month] + abs(x) * (other - months[month])


def _diurnal_fraction(hour: float) -> float:
    """Return the position between the minimum of the day (0) and its maximum (1)."""
    if _DAWN_H <= hour <= _PEAK_H:
        return 0.5 - 0.5 * cos(pi * (hour - _DAWN_H) / (_PEAK_H - _DAWN_H))
    fall = 24.0 - (_PEAK_H - _DAWN_H)
    return 0.5 + 0.5 * cos(pi * ((hour - _PEAK_H) % 24.0) / fall)
