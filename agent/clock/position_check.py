# SPDX-License-Identifier: Apache-2.0
"""Position check: the antenna is fixed, so a fix far from it is rejected.

Does not keep evidence; see `agent.clock.evidence`.

How it works. The configuration gives the position of the antenna. Without it, a survey-in finds
it: the mean of the first `_SURVEY_FIXES` fixes. A fix farther away than the radius is rejected,
with its time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.receiver import Fix

RADIUS_M = 100
"""Twice the 50 m of the Spectracom NetClock manual: multipath on an urban roof stays inside."""
_SURVEY_FIXES = 30
_E7_DEG_PER_M = 90
"""1e-7 degree of latitude in 1 m; exactly 89.8."""
_HUNDREDTHS_MM = 1_113
"""1e-7 degrees of latitude are 11.13 mm: 1113 hundredths of a millimetre."""
_COS_E4 = (10_000, 9_848, 9_397, 8_660, 7_660, 6_428, 5_000, 3_420, 1_736, 0)
"""Cosine of 0, 10, 20 … 90 degrees in 1e-4; linear interpolation is accurate to 0.4 %."""


class PositionCheck:
    """The position of the antenna.

    `position_e7`: latitude and longitude in 1e-7 degrees; None: survey-in.
    """

    def __init__(self, position_e7: "tuple[int, int] | None", radius_m: int = RADIUS_M) -> None:
        self.antenna_e7 = position_e7
        self.radius_m = radius_m
        self._cosine_e4 = _cosine(position_e7[0]) if position_e7 is not None else 0
        self._survey: list[tuple[int, int]] = []
        self.latest_e7: tuple[int, int] | None = None
        """Position of the last usable fix, also of one that is far from the antenna."""
        self.latest_at = 0

    def distance_m(self, fix: "Fix") -> int:
        """Return the distance of a fix from the antenna in m, 0 while either is unknown."""
        lat, lon = fix.lat_e7, fix.lon_e7
        if lat is None or lon is None:
            return 0
        self.latest_e7, self.latest_at = (lat, lon), fix.mono_us
        if self.antenna_e7 is None:
            self._survey_in(lat, lon)
            return 0
        north, east = abs(lat - self.antenna_e7[0]), abs(lon - self.antenna_e7[1])
        if east > 1_800_000_000:
            east = 3_600_000_000 - east  # across the date line
        north, east = north * _HUNDREDTHS_MM // 100_000, east * self._cosine_e4 // 10_000
        east = east * _HUNDREDTHS_MM // 100_000
        # Octagon: the longer side plus half the shorter is at most 12 % too long, never too short.
        return max(north, east) + min(north, east) // 2

    def _survey_in(self, lat: int, lon: int) -> None:
        survey = self._survey
        if (
            survey
            and max(abs(lat - survey[0][0]), abs(lon - survey[0][1]))
            > self.radius_m * _E7_DEG_PER_M
        ):
            survey = []
        survey.append((lat, lon))
        self._survey = survey
        if len(survey) >= _SURVEY_FIXES:
            first_lat, first_lon = survey[0]
            north = sum([lat_e7 - first_lat for lat_e7, _ in survey]) // len(survey)
            east = sum([lon_e7 - first_lon for _, lon_e7 in survey]) // len(survey)
            self.antenna_e7 = (first_lat + north, first_lon + east)
            self._cosine_e4 = _cosine(first_lat)
            self._survey = []


def _cosine(lat_e7: int) -> int:
    """Cosine of a latitude in 1e-4."""
    tens, rest = divmod(min(abs(lat_e7), 899_999_999), 100_000_000)
    low, high = _COS_E4[tens], _COS_E4[tens + 1]
    return low + (high - low) * (rest // 10_000) // 10_000
