# SPDX-License-Identifier: Apache-2.0
"""The emulated sky of satellite modems: the visible satellites and their signal.

It uses the package sgp4, independent of the agent's own prediction. There are two constellations,
with the same parameters as in the agent's configuration: `polar66` (6 planes of 11 at 780 km, like
Iridium) and `sso12` (2 planes of 6, sun-synchronous at 550 km). `always` is one satellite that
never sets. An obstruction hides the sky below `mask_deg`.

The model has circular orbits, and a fixed slope from elevation to bars. Does not model beams,
interference or antenna patterns. It was not compared with a real sky.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, asin, atan2, cos, degrees, pi, radians, sin, sqrt
from typing import Any, ClassVar

from sgp4.api import WGS72, Satrec
from sgp4.propagation import gstime

from hil.devices.base import FaultTarget

_EARTH_KM, _MU, _J2 = 6378.135, 398600.8, 0.001082616
_JD_1970 = 2440587.5
_DAY_US = 86_400_000_000
_EPOCH_1949_DAYS = 7306.0  # from 1949-12-31 to 1970-01-01
_EARTH_RAD_S = 7.292_115e-5
_BAR_DEG = 6.0
"""Degrees above the obstruction for one more bar."""


@dataclass(frozen=True)
class ConstellationShape:
    """The parameters of a constellation, as in the agent's section `constellation`."""

    planes: int
    per_plane: int
    altitude_km: int
    inclination_deg: float
    spread_deg: int
    phasing_half: int
    node_deg: float = 20.0
    phase_deg: float = 5.0
    epoch_s: int = 1_795_478_400

    def section(self) -> dict[str, Any]:
        """Return the section of the configuration."""
        return {
            "planes": self.planes,
            "per_plane": self.per_plane,
            "altitude_km": self.altitude_km,
            "inclination_mdeg": round(self.inclination_deg * 1000),
            "spread_deg": self.spread_deg,
            "phasing_half": self.phasing_half,
            "node_mdeg": round(self.node_deg * 1000),
            "phase_mdeg": round(self.phase_deg * 1000),
            "epoch_s": self.epoch_s,
        }


SHAPES = {
    "polar66": ConstellationShape(
        planes=6,
        per_plane=11,
        altitude_km=780,
        inclination_deg=86.4,
        spread_deg=180,
        phasing_half=6,
    ),
    "sso12": ConstellationShape(
        planes=2,
        per_plane=6,
        altitude_km=550,
        inclination_deg=97.6,
        spread_deg=180,
        phasing_half=2,
    ),
}
SKIES = ("always", *SHAPES)


def make_satellites(shape: ConstellationShape) -> list[Satrec]:
    """Make the satellites of a constellation."""
    a_km = _EARTH_KM + shape.altitude_km
    inclination = radians(shape.inclination_deg)
    k = 0.75 * _J2 * (_EARTH_KM / a_km) ** 2 * (3 * cos(inclination) ** 2 - 1)
    motion = sqrt(_MU / a_km**3) * 60.0 * (1 + k)
    epoch = shape.epoch_s / 86_400 + _EPOCH_1949_DAYS
    result: list[Any] = []
    for plane in range(shape.planes):
        node = radians(shape.node_deg + plane * shape.spread_deg / shape.planes)
        for slot in range(shape.per_plane):
            phase = radians(shape.phase_deg) + 2 * pi * slot / shape.per_plane
            phase += pi * shape.phasing_half * plane / (shape.planes * shape.per_plane)
            satellite = Satrec()
            satellite.sgp4init(
                WGS72, "i", len(result) + 1, epoch, 0.0, 0.0, 0.0, 1e-7, 0.0, inclination,
                phase % (2 * pi), motion, node % (2 * pi),
            )  # fmt: skip
            result.append(satellite)
    return result


class EmulatedSky(FaultTarget):
    """The sky over `site_e7` (1e-7 degrees). Faults: `blocked` (no signal), `mask_deg`."""

    FAULTS: ClassVar = frozenset(("blocked", "mask_deg"))

    def __init__(self, kind: str, site_e7: tuple[int, int], mask_deg: float) -> None:
        self.blocked = False
        self.mask_deg = mask_deg
        self.kind = kind
        shape = SHAPES.get(kind)
        self._satellites = make_satellites(shape) if shape else []
        self._lat, self._lon = radians(site_e7[0] / 1e7), radians(site_e7[1] / 1e7)
        self._below_until = [0] * len(self._satellites)
        radius = _EARTH_KM + (shape.altitude_km if shape else 0)
        self._rate = sqrt(_MU / radius**3) + _EARTH_RAD_S
        self._horizon_rad = acos(min(1.0, _EARTH_KM * 0.997 / radius)) + 0.02
        self._last: tuple[int, tuple[float, float]] | None = None

    def highest_satellite(self, utc_us: int) -> tuple[float, float]:
        """Return elevation and azimuth of the highest satellite, degrees."""
        if not self._satellites:
            return 60.0, 180.0
        second = utc_us // 1_000_000
        if self._last is not None and self._last[0] == second:
            return self._last[1]
        days, rest = divmod(utc_us, _DAY_US)
        jd, fraction = _JD_1970 + days, rest / _DAY_US
        theta = gstime(jd + fraction) + self._lon
        sint, cost, sinl, cosl = sin(theta), cos(theta), sin(self._lat), cos(self._lat)
        flat = 0.0066943799
        n = 6378.137 / sqrt(1 - flat * sinl * sinl)
        highest = (-90.0, 0.0)
        for i, satellite in enumerate(self._satellites):
            if self._below_until[i] > utc_us:
                continue
            _, (x, y, z), _ = satellite.sgp4(jd, fraction)
            dot = (x * cost + y * sint) * cosl + z * sinl
            below_rad = (
                acos(max(-1.0, min(1.0, dot / sqrt(x * x + y * y + z * z)))) - self._horizon_rad
            )
            if below_rad > 0:
                self._below_until[i] = utc_us + int(below_rad / self._rate * 1e6)
                continue
            dx, dy, dz = x - n * cosl * cost, y - n * cosl * sint, z - n * (1 - flat) * sinl
            out, east = dx * cost + dy * sint, dy * cost - dx * sint
            up, north = out * cosl + dz * sinl, dz * cosl - out * sinl
            elevation = degrees(asin(up / sqrt(dx * dx + dy * dy + dz * dz)))
            highest = max(highest, (elevation, degrees(atan2(east, north)) % 360))
        self._last = second, highest
        return highest

    def bars(self, utc_us: int) -> int:
        """Return the signal that a modem shows, 0 to 5 bars."""
        if self.blocked:
            return 0
        above = self.highest_satellite(utc_us)[0] - self.mask_deg
        return 0 if above < 0 else min(5, 1 + int(above / _BAR_DEG))
