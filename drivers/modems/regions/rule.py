# SPDX-License-Identifier: Apache-2.0
"""A radio rule, and checks against it: bands, power, licence, position.

Not legal advice. No figure was verified with an authority: each rule has its source and date, and
`VERIFIED` of its module is False until the operator has checked it. A system without a rule is
barred. Until then all regions have the allocations of ITU-R (`make_rules`); a verified figure
replaces one rule: `RULES["sbd"] = Rule(...)`. Does not read the position; see
`drivers.modems.regions.permit`.

A region is a list of polygons. Each is a text in 1/100 degree: latitude and longitude of a corner,
then the steps to the next ones (shorter than positions; a board has little room). A position is
inside if it is in an odd number of them, so a polygon in another one is a hole, for example a state
that is enclosed. None crosses the date line. They are simplified from Natural Earth 1:10m, with a
strip of sea of 17 km and the islands in it. `docs/engineer/satcom.md` has their errors.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Polygon = tuple[int, ...]
    """Latitude and longitude of each corner, in 1/100 degree."""
    Bands = tuple[tuple[int, int], ...]

L_SBD = ((1_616_000, 1_626_500),)
L_NTN = ((1_626_500, 1_660_500),)
S_NTN = ((1_980_000, 2_010_000),)
L_RDSS = ((1_610_000, 1_626_500),)
KU = ((14_000_000, 14_500_000),)
KA = ((27_500_000, 30_000_000),)

_UPLINKS = {
    "sbd": (L_SBD, 1_600),
    "imt": (L_SBD, 1_600),
    "certus": (L_SBD, 9_000),
    "ntn_l": (L_NTN, 200),
    "ntn_s": (S_NTN, 200),
    "rdss": (L_RDSS, 10_000),
    "ku": (KU, 6_000_000),
    "ka": (KA, 20_000_000),
}
"""Bands and largest EIRP in mW of each system, without a figure of the authority."""
NO_RDSS = {"rdss": "BeiDou RDSS serves 80 to 140 degrees East"}

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
        """Return why the reported band and power are not allowed; empty if they are.

        Both ends are 0 for a band that the modem names and the program does not know.
        """
        if not high_khz:
            return "the modem reports an unknown band"
        for low, high in self.bands:
            if low <= low_khz <= high_khz <= high:
                break
        else:
            return "the modem reports %d to %d kHz" % (low_khz, high_khz)
        if power_mw is not None and power_mw > self.max_mw:
            return "the modem reports %d mW, %d are allowed" % (power_mw, self.max_mw)
        return ""


def make_rules(
    source: str, date: str, bars: "dict[str, str]", licence: bool = True
) -> "dict[str, Rule]":
    """Return the rules of a region: ITU-R's allocations. `bars`: systems that are not allowed."""
    return {
        name: Rule(bands, max_mw, licence, bars.get(name, ""), source, date)
        for name, (bands, max_mw) in _UPLINKS.items()
    }


def parse_polygon(text: str) -> "Polygon":
    """Return the corners of a text of steps."""
    corners = []
    at = [0, 0]
    for i, word in enumerate(text.split()):
        at[i & 1] += int(word)
        corners.append(at[i & 1])
    return tuple(corners)


def is_inside(polygons: "tuple[Polygon, ...]", lat_e7: int, lon_e7: int) -> bool:
    """Return whether a position, 1e-7 degrees, is in a region (even-odd rule)."""
    lat, lon = lat_e7 // 100_000, lon_e7 // 100_000
    inside = False
    for polygon in polygons:
        last_lat, last_lon = polygon[len(polygon) - 2 :]
        for i in range(0, len(polygon), 2):
            corner_lat, corner_lon = polygon[i : i + 2]
            if (corner_lat > lat) != (last_lat > lat):
                # the edge crosses this latitude east of the position
                part = (last_lon - corner_lon) * (lat - corner_lat)
                if lon < corner_lon + part // (last_lat - corner_lat):
                    inside = not inside
            last_lat, last_lon = corner_lat, corner_lon
    return inside
