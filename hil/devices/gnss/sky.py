# SPDX-License-Identifier: Apache-2.0
"""The navigation satellites over a site: direction and signal strength.

Geometry: SGP4 propagates the mean elements of `elements`. The strength is a model, not a
measurement. C/N0 rises with elevation as with a patch antenna, and each signal has its own level.
Multipath is a slow variation for each satellite (minutes, larger near the horizon) with a small
noise. Does not model a loss of all signals (heat, jamming, a transmitter); see `receiver`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, atan2, cos, degrees, pi, radians, sin, sqrt
from random import Random

from sgp4.api import WGS72, Satrec

from hil.devices.gnss.elements import ALL_SATELLITES, GnssElements

_JD_1970 = 2_440_587.5
_JD_1949_12_31 = 2_433_281.5  # sgp4init counts days from this date
_JD_2026 = 2_461_041.5  # 2026-01-01T00:00:00
_DAY_S = 86_400
_EARTH_KM = 6378.137  # WGS 84
_FLATTENING = 1 / 298.257_223_563
_MINUTES_A_DAY = 1440.0
_MIN_SWING_S, _MAX_SWING_S = 180.0, 900.0
_SWING_DB, _SWING_LOW_DB = 0.6, 2.4  # overhead, and additional near the horizon
_NOISE_DB = 0.5


@dataclass(slots=True)
class SkySatellite:
    """One satellite above the horizon; degrees, and C/N0 of L1 in dBHz without losses."""

    system: str
    number: int
    elevation: float
    azimuth: float
    cn0: float = 0.0


def _propagator(elements: GnssElements) -> Satrec:
    satellite = Satrec()
    satellite.sgp4init(
        WGS72,
        "i",
        elements.number,
        _JD_2026 - _JD_1949_12_31 + elements.day - 1.0,
        0.0,
        0.0,
        0.0,
        elements.eccentricity,
        radians(elements.perigee),
        radians(elements.inclination),
        radians(elements.anomaly),
        elements.mean_motion * 2.0 * pi / _MINUTES_A_DAY,
        radians(elements.node),
    )
    return satellite


def sidereal_angle(jd: float) -> float:
    """Return Greenwich mean sidereal time, radians (Vallado 2013, eq. 3-47, linear terms)."""
    return radians(280.460_618_37 + 360.985_647_366_29 * (jd - 2_451_545.0)) % (2.0 * pi)


class SkyModel:
    """The satellites over a site; latitude and longitude in degrees, height above the ellipsoid."""

    def __init__(
        self, latitude: float, longitude: float, rng: Random, height_m: float = 0.0
    ) -> None:
        """`rng` gives the multipath of each satellite and the noise."""
        lat, lon = radians(latitude), radians(longitude)
        self._up = (cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat))
        self._east = (-sin(lon), cos(lon), 0.0)
        self._north = (-sin(lat) * cos(lon), -sin(lat) * sin(lon), cos(lat))
        flat = _FLATTENING * (2.0 - _FLATTENING)
        n = _EARTH_KM / sqrt(1.0 - flat * sin(lat) ** 2)
        h = height_m / 1000.0
        self._site = (
            (n + h) * cos(lat) * cos(lon),
            (n + h) * cos(lat) * sin(lon),
            (n * (1.0 - flat) + h) * sin(lat),
        )
        self._rng = rng
        self._satellites = [(e, _propagator(e)) for e in ALL_SATELLITES]
        self._swings = {
            (e.system, e.number): (
                2.0 * pi / rng.uniform(_MIN_SWING_S, _MAX_SWING_S),
                rng.uniform(0.0, 2.0 * pi),
            )
            for e in ALL_SATELLITES
        }

    def satellites_in_view(self, unix_s: int, mask_deg: float = 3.0) -> list[SkySatellite]:
        """Return satellites above `mask_deg`, highest first, without C/N0."""
        day, part = divmod(unix_s, _DAY_S)
        jd, fraction = _JD_1970 + day, part / _DAY_S
        angle = sidereal_angle(jd + fraction)
        c, s = cos(angle), sin(angle)
        satellites = []
        for elements, propagator in self._satellites:
            error, (x, y, z), _ = propagator.sgp4(jd, fraction)
            if error:
                continue
            elevation, azimuth = self._look_angle((x * c + y * s, y * c - x * s, z))
            if elevation >= mask_deg:
                satellites.append(
                    SkySatellite(elements.system, elements.number, elevation, azimuth)
                )
        satellites.sort(key=lambda one: -one.elevation)
        return satellites

    def _look_angle(self, position: tuple[float, float, float]) -> tuple[float, float]:
        """Return elevation and azimuth, degrees, of an Earth-fixed position in kilometres."""
        x, y, z = (p - q for p, q in zip(position, self._site, strict=True))
        up = x * self._up[0] + y * self._up[1] + z * self._up[2]
        east = x * self._east[0] + y * self._east[1]
        north = x * self._north[0] + y * self._north[1] + z * self._north[2]
        distance = sqrt(x * x + y * y + z * z)
        return degrees(asin(up / distance)), degrees(atan2(east, north)) % 360.0

    def update_cn0(self, satellites: list[SkySatellite], unix_s: float) -> None:
        """Set the C/N0 of each satellite for this second."""
        gauss = self._rng.gauss
        for satellite in satellites:
            rate, phase = self._swings[satellite.system, satellite.number]
            high = sin(radians(satellite.elevation))
            swing = (_SWING_DB + _SWING_LOW_DB * (1.0 - high)) * sin(rate * unix_s + phase)
            # 37 dBHz at the horizon, 49 overhead: usual for a patch antenna in the open
            satellite.cn0 = 37.0 + 12.0 * high + swing + gauss(0.0, _NOISE_DB)
