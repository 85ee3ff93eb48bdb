# SPDX-License-Identifier: Apache-2.0
"""A radio rule, and checks against it: bands, power, licence, position.

Not legal advice. No figure was verified with an authority: each rule has its source and date, and
`VERIFIED` of its module is False until the operator has checked it. A system without a rule is
barred. A region is a list of coarse polygons in 1/100 degree; near a border they are wrong by up to
30 km, and islands count as land. Does not read the position; see `drivers.modems.regions.permit`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Polygon = tuple[tuple[int, int], ...]
    """Corners as latitude and longitude in 1/100 degree; no polygon crosses the date line."""
    Bands = tuple[tuple[int, int], ...]

L_SBD = ((1_616_000, 1_626_500),)
L_NTN = ((1_626_500, 1_660_500),)
S_NTN = ((1_980_000, 2_010_000),)
L_RDSS = ((1_610_000, 1_626_500),)
KU = ((14_000_000, 14_500_000),)
KA = ((27_500_000, 30_000_000),)

SYSTEMS = ("sbd", "imt", "certus", "ntn_l", "ntn_s", "rdss", "ku", "ka")
"""Short-burst data, Iridium messages, Certus, NTN in L and S band, BeiDou, Ku and Ka terminals."""


class Rule:
    """Bands of the uplink in kHz, largest EIRP in mW, licence required, reason of a bar or ""."""

    def __init__(
        self, bands: "Bands", max_mw: int, licence: bool, bar: str, source: str, date: str
    ) -> None:
        self.bands = bands
        self.max_mw = max_mw
        self.licence = licence
        self.bar = bar
        self.source = source
        self.date = date

    def barred(self, licence: str) -> str:
        """Return why no transmission is allowed at all; empty if it is."""
        if self.bar:
            return self.bar
        needed = self.licence and not licence
        return "a licence is required; name it as modem.licence" if needed else ""

    def barred_radio(self, low_khz: int, high_khz: int, power_mw: "int | None") -> str:
        """Return why the reported band and power are not allowed; empty if they are."""
        for low, high in self.bands:
            if low <= low_khz <= high_khz <= high:
                break
        else:
            return "the modem reports %d to %d kHz" % (low_khz, high_khz)
        if power_mw is not None and power_mw > self.max_mw:
            return "the modem reports %d mW, %d are allowed" % (power_mw, self.max_mw)
        return ""


def is_inside(polygons: "tuple[Polygon, ...]", lat_e7: int, lon_e7: int) -> bool:
    """Return whether a position, 1e-7 degrees, is in one of the polygons (even-odd rule)."""
    lat, lon = lat_e7 // 100_000, lon_e7 // 100_000
    for polygon in polygons:
        inside = False
        last = polygon[len(polygon) - 1]
        for corner in polygon:
            if (corner[0] > lat) != (last[0] > lat):
                # the edge crosses this latitude east of the position
                part = (last[1] - corner[1]) * (lat - corner[0])
                height = last[0] - corner[0]
                crossing = corner[1] + part // height
                if lon < crossing:
                    inside = not inside
            last = corner
        if inside:
            return True
    return False
