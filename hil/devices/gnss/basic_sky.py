# SPDX-License-Identifier: Apache-2.0
"""A plausible sky: BeiDou and GPS satellites on circular orbits over a site.

It has mean elements only: correct shells, planes and spacing, but no real almanac. Geostationary
longitudes are the real ones; the other slots are evenly spread. Elevations, azimuths and signal
strengths move as in reality. Does not give positions for navigation; see `sky` for real elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, atan2, cos, degrees, pi, radians, sin, sqrt
from random import Random

_EARTH_KM = 6371.0
_MU_KM3_S2 = 398_600.4418  # WGS 84
_EARTH_RAD_S = 7.292_115e-5  # WGS 84
_SYNCHRONOUS_KM = 42_164.0

BEIDOU, GPS = "BDS", "GPS"


@dataclass(frozen=True, slots=True)
class CircularOrbit:
    """A circular orbit; angles in radians at Unix time 0, `node` relative to Greenwich."""

    system: str
    number: int
    radius_km: float
    inclination: float
    node: float
    phase: float

    @property
    def rate_rad_s(self) -> float:
        """Mean motion, rad/s; a synchronous orbit has exactly the rate of the Earth."""
        if self.radius_km == _SYNCHRONOUS_KM:
            return _EARTH_RAD_S
        return sqrt(_MU_KM3_S2 / self.radius_km**3)


@dataclass(frozen=True, slots=True)
class BasicSatellite:
    """One satellite in view; degrees, dBHz (`cn0` 0: in view but not tracked)."""

    system: str
    number: int
    elevation: int
    azimuth: int
    cn0: int


_GEO = ((1, 140.0), (2, 80.0), (3, 110.5), (4, 160.0), (5, 58.75))
_IGSO = tuple(
    (number, 118.0 if i < 6 else 95.0, 120.0 * i + 40.0 * (i // 3))
    for i, number in enumerate((6, 7, 8, 38, 39, 40, 9, 10, 13))
)
_MEO_NUMBERS = (*range(19, 31), *range(32, 38), *range(41, 47))


def _constellations() -> tuple[CircularOrbit, ...]:
    orbits = [CircularOrbit(BEIDOU, n, _SYNCHRONOUS_KM, 0.0, radians(lon), 0.0) for n, lon in _GEO]
    for number, lon, phase in _IGSO:
        # The ground track crosses the equator northward at `lon`: node and phase cancel.
        turn = radians(phase)
        orbits.append(
            CircularOrbit(BEIDOU, number, _SYNCHRONOUS_KM, radians(55.0), radians(lon), turn)
        )
    for i, number in enumerate(_MEO_NUMBERS):  # Walker 24/3/1
        plane, slot = divmod(i, 8)
        phase = slot * 45.0 + plane * 15.0
        orbits.append(
            CircularOrbit(
                BEIDOU, number, 27_906.0, radians(55.0), radians(plane * 120.0), radians(phase)
            )
        )
    for i in range(24):  # six planes of four
        plane, slot = divmod(i, 4)
        phase = slot * 90.0 + plane * 37.0
        orbits.append(
            CircularOrbit(
                GPS, i + 1, 26_560.0, radians(55.0), radians(plane * 60.0), radians(phase)
            )
        )
    return tuple(orbits)


ORBITS = _constellations()


_Constants = tuple[float, float, float, float, float, float, float]


def _constants(orbit: CircularOrbit) -> _Constants:
    """Return phase, rate, node, its offset, radius, cosine and sine of the inclination.

    They do not change with time. A run looks at each orbit every few seconds.
    """
    is_synchronous = orbit.radius_km == _SYNCHRONOUS_KM
    return (
        orbit.phase,
        orbit.rate_rad_s,
        orbit.node,
        orbit.phase if is_synchronous else 0.0,
        orbit.radius_km,
        cos(orbit.inclination),
        sin(orbit.inclination),
    )


_ORBIT_CONSTANTS = tuple((orbit, _constants(orbit)) for orbit in ORBITS)


class BasicSky:
    """The satellites over a site; latitude and longitude in degrees."""

    def __init__(self, latitude: float, longitude: float, rng: Random) -> None:
        """`rng` gives the noise of the signal strengths."""
        lat, lon = radians(latitude), radians(longitude)
        self._up = (cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat))
        self._east = (-sin(lon), cos(lon), 0.0)
        self._north = (-sin(lat) * cos(lon), -sin(lat) * sin(lon), cos(lat))
        self._rng = rng

    def visible(
        self, unix_s: int, mask_deg: float = 5.0, loss_db: float = 0.0
    ) -> list[BasicSatellite]:
        """Return satellites above `mask_deg`, highest first; `loss_db` weakens all signals."""
        satellites = []
        for orbit, constants in _ORBIT_CONSTANTS:
            up, x, y, z = self._direction(constants, unix_s)
            elevation = degrees(asin(up))
            if elevation >= mask_deg:
                azimuth = self._azimuth(x, y, z)
                # 38 dBHz at the horizon, 49 overhead: usual for a patch antenna in the open.
                cn0 = 38.0 + 11.0 * sin(radians(elevation)) + self._rng.gauss(0.0, 1.0) - loss_db
                strength = round(cn0) if cn0 >= 15.0 else 0
                satellites.append(
                    BasicSatellite(
                        orbit.system, orbit.number, round(elevation), round(azimuth) % 360, strength
                    )
                )
        satellites.sort(key=lambda s: (-s.elevation, s.system, s.number))
        return satellites

    def look_angle(self, orbit: CircularOrbit, unix_s: int) -> tuple[float, float]:
        """Return elevation and azimuth of an orbit's satellite at a time, degrees."""
        up, x, y, z = self._direction(_constants(orbit), unix_s)
        return degrees(asin(up)), self._azimuth(x, y, z)

    def _direction(self, constants: _Constants, unix_s: int) -> tuple[float, float, float, float]:
        """Return the sine of the elevation and the vector from the site to the satellite, km."""
        phase, rate, node_at_0, node_offset, r, ci, si = constants
        along = phase + rate * unix_s
        node = node_at_0 - _EARTH_RAD_S * unix_s - node_offset
        sin_along, cos_along = sin(along), cos(along)
        sin_node, cos_node = sin(node), cos(node)
        ux, uy, uz = self._up
        x = r * (cos_along * cos_node - sin_along * sin_node * ci) - _EARTH_KM * ux
        y = r * (cos_along * sin_node + sin_along * cos_node * ci) - _EARTH_KM * uy
        z = r * sin_along * si - _EARTH_KM * uz
        return (x * ux + y * uy + z * uz) / sqrt(x * x + y * y + z * z), x, y, z

    def _azimuth(self, x: float, y: float, z: float) -> float:
        """Return the azimuth of a vector from the site, degrees."""
        east = x * self._east[0] + y * self._east[1]
        north = x * self._north[0] + y * self._north[1] + z * self._north[2]
        return degrees(atan2(east, north) % (2.0 * pi))
