# SPDX-License-Identifier: Apache-2.0
"""Position check: the site is fixed, so a fix far from it is rejected.

Does not keep evidence; see `agent.clock.evidence`.

How it works. The configuration gives the position of the site. Without it the mean of the first
`_LEARN` fixes is used. A fix farther away than the radius is rejected, with its time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.receiver import Fix

RADIUS_M = 100
"""Twice the 50 m of the Spectracom NetClock manual: multipath on an urban roof stays inside."""
_LEARN = 30
_E7_DEG_PER_M = 90
"""1e-7 degree of latitude in 1 m; exactly 89.8."""
_HUNDREDTHS_MM = 1_113
"""1e-7 degrees of latitude are 11.13 mm: 1113 hundredths of a millimetre."""
_COS_E4 = (10_000, 9_848, 9_397, 8_660, 7_660, 6_428, 5_000, 3_420, 1_736, 0)
"""Cosine of 0, 10, 20 … 90 degrees in 1e-4; linear interpolation is accurate to 0.4 %."""


class PositionCheck:
    """The site. `site_e7`: latitude and longitude in 1e-7 degrees; None: learn it."""

    def __init__(self, site_e7: "tuple[int, int] | None", radius_m: int = RADIUS_M) -> None:
        self.site = site_e7
        self.radius_m = radius_m
        self._cos = _cosine(site_e7[0]) if site_e7 is not None else 0
        self._first_fixes: list[tuple[int, int]] = []
        self.latest_e7: tuple[int, int] | None = None
        """Position of the last usable fix, also of one that is far from the site."""
        self.latest_at = 0

    def distance_m(self, fix: "Fix") -> int:
        """Return the distance of a fix from the site in m, 0 while either is unknown."""
        lat, lon = fix.lat_e7, fix.lon_e7
        if lat is None or lon is None:
            return 0
        self.latest_e7, self.latest_at = (lat, lon), fix.mono_us
        if self.site is None:
            self._learn_site(lat, lon)
            return 0
        north, east = abs(lat - self.site[0]), abs(lon - self.site[1])
        if east > 1_800_000_000:
            east = 3_600_000_000 - east  # across the date line
        north, east = north * _HUNDREDTHS_MM // 100_000, east * self._cos // 10_000
        east = east * _HUNDREDTHS_MM // 100_000
        # Octagon: the longer side plus half the shorter is at most 12 % too long, never too short.
        return max(north, east) + min(north, east) // 2

    def _learn_site(self, lat: int, lon: int) -> None:
        first = self._first_fixes
        if (
            first
            and max(abs(lat - first[0][0]), abs(lon - first[0][1])) > self.radius_m * _E7_DEG_PER_M
        ):
            first = []
        first.append((lat, lon))
        self._first_fixes = first
        if len(first) >= _LEARN:
            lat0, lon0 = first[0]
            north = sum([a - lat0 for a, _ in first]) // len(first)
            east = sum([b - lon0 for _, b in first]) // len(first)
            self.site = (lat0 + north, lon0 + east)
            self._cos = _cosine(lat0)
            self._first_fixes = []


def _cosine(lat_e7: int) -> int:
    """Cosine of a latitude in 1e-4."""
    tens, rest = divmod(min(abs(lat_e7), 899_999_999), 100_000_000)
    low, high = _COS_E4[tens], _COS_E4[tens + 1]
    return low + (high - low) * (rest // 10_000) // 10_000
