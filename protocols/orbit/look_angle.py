# SPDX-License-Identifier: Apache-2.0
"""Elevation and azimuth of a satellite at a site on the rotating Earth.

Does not propagate an orbit; see `protocols.orbit.sgp4`. The site is on the WGS 84 ellipsoid.
Greenwich mean sidereal time (IAU 1982) rotates TEME, without polar motion. The error is about 10
arcseconds; it is negligible for a contact window.
"""

from math import asin, atan2, cos, pi, sin, sqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.orbit.sgp4 import Vector

_RAD = pi / 180.0
_A_KM, _E2 = 6378.137, 6.69437999014e-3  # WGS 84
_J2000_US = 946_728_000_000_000
"""2000-01-01T12:00:00Z in UTC microseconds."""
_DAY_US = 86_400_000_000


def sidereal_time(utc_us: int) -> float:
    """Return the Greenwich mean sidereal time in radians.

    IAU 1982: 280.46061837 + 360.98564736629 d degrees, d in days since J2000.
    """
    elapsed_us = utc_us - _J2000_US
    days, rest = divmod(elapsed_us, _DAY_US)
    # whole days add only the sidereal excess; both terms stay small for a 32-bit float
    degrees = 280.46061837 + 0.98564736629 * days % 360.0 + 360.98564736629 * (rest / 864e8)
    return degrees % 360.0 * _RAD


class GroundSite:
    """A place on the ground, in 1e-7 degrees and metres."""

    def __init__(self, lat_e7: int, lon_e7: int, height_m: int = 0) -> None:
        lat, lon = lat_e7 / 1e7 * _RAD, lon_e7 / 1e7 * _RAD
        self._lon = lon
        self._sin, self._cos = sin(lat), cos(lat)
        n = _A_KM / sqrt(1.0 - _E2 * self._sin * self._sin)
        self._rho = (n + height_m / 1000.0) * self._cos
        self._z = (n * (1.0 - _E2) + height_m / 1000.0) * self._sin

    def look_angles(self, position: "Vector", utc_us: int) -> "tuple[float, float]":
        """Return elevation and azimuth (clockwise from north) of a TEME position, in degrees."""
        theta = sidereal_time(utc_us) + self._lon
        sint, cost = sin(theta), cos(theta)
        x, y, z = (
            position[0] - self._rho * cost,
            position[1] - self._rho * sint,
            position[2] - self._z,
        )
        outward = x * cost + y * sint
        east = y * cost - x * sint
        up = outward * self._cos + z * self._sin
        north = z * self._cos - outward * self._sin
        distance = sqrt(east * east + north * north + up * up)
        return asin(up / distance) / _RAD, atan2(east, north) / _RAD % 360.0

    def zenith(self, utc_us: int) -> "Vector":
        """Return the unit vector from the centre of the Earth to the site, in TEME."""
        theta = sidereal_time(utc_us) + self._lon
        radius = sqrt(self._rho * self._rho + self._z * self._z)
        return self._rho * cos(theta) / radius, self._rho * sin(theta) / radius, self._z / radius
