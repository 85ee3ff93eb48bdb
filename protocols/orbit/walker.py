# SPDX-License-Identifier: Apache-2.0
"""A constellation of evenly spread circular orbits in seven numbers (a Walker pattern).

Does not use SGP4. The orbits are circular; node and phase drift by the secular effect of the
Earth's flattening (J2). 66 element sets need 20 KiB of heap on a board and updates over the
satellite link itself. Seven numbers give the position of each satellite of a maintained
constellation within a degree. Received contacts correct the rest. A "star" (polar) pattern spreads
its planes over 180 degrees, a "delta" pattern over 360 degrees.

    w(u) = u0 + 2 pi k / per_plane + 2 pi phasing plane / total + (n + du) t
    n = sqrt(mu / a^3);  dnode = -3/2 n J2 (R/a)^2 cos i;
    du = 3/2 n J2 (R/a)^2 (4 cos^2 i - 1)        (circular orbit: perigee and anomaly together)

Source: Vallado, Fundamentals of Astrodynamics, "secular effects of J2".
"""

from math import cos, pi, sqrt

from protocols.orbit.sgp4 import EARTH_KM, orbit_to_teme

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.orbit.sgp4 import Vector

_MU = 398600.8  # km3/s2, WGS 72
_J2 = 0.001082616
_RAD = pi / 180.0


class Walker:
    """`planes` x `per_plane` satellites; `spread_deg` 180 for a star, 360 for a delta pattern.

    `first`: node and phase of the first satellite in degrees (node from the vernal equinox), and
    the UTC microseconds of this state. `phasing_half` is the phase lead of a plane over the plane
    before it, in half slots of the whole pattern (twice Walker's F).
    """

    def __init__(
        self,
        planes: int,
        per_plane: int,
        altitude_km: int,
        inclination_deg: float,
        *,
        spread_deg: int = 180,
        phasing_half: int = 0,
        first: "tuple[float, float, int]" = (0.0, 0.0, 0),
    ) -> None:
        self.count = planes * per_plane
        self.epoch_us = first[2]
        self._per_plane = per_plane
        self._a = EARTH_KM + altitude_km
        self._inc = inclination_deg * _RAD
        n = sqrt(_MU / self._a) / self._a
        k = 1.5 * n * _J2 * (EARTH_KM / self._a) ** 2
        cosi = cos(self._inc)
        self.rate = n
        self._node_rate = -k * cosi
        self._phase_rate = n + k * (4.0 * cosi * cosi - 1.0)
        self._node = first[0] * _RAD
        self._phase = first[1] * _RAD
        self._plane_step = spread_deg * _RAD / planes
        self._phase_step = 2.0 * pi / per_plane
        self._plane_phase_step = pi * phasing_half / self.count
        self._period_us = int(2.0 * pi / self._phase_rate * 1e6)

    @property
    def radius_km(self) -> float:
        """The radius of the orbits."""
        return self._a

    def position_at(self, index: int, utc_us: int) -> "Vector":
        """Return the position of satellite `index` at `utc_us` in TEME km."""
        plane, slot = divmod(index, self._per_plane)
        elapsed_us = utc_us - self.epoch_us
        u = self._phase + slot * self._phase_step + plane * self._plane_phase_step
        # integers remove whole revolutions, so that a 32-bit float keeps its digits
        u += self._phase_rate * ((elapsed_us % self._period_us) / 1e6)
        u += (self._phase_rate * self._period_us / 1e6 - 2.0 * pi) * (elapsed_us // self._period_us)
        node = self._node + plane * self._plane_step + self._node_rate * (elapsed_us / 1e6)
        return orbit_to_teme(self._a, u, node, self._inc)
