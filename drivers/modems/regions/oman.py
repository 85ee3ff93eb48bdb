# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Oman (authority: TRA). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "TRA"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask TRA"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (1660, 5280), (1710, 5480), (1780, 5640), (1920, 5780), (2060, 5880), (2250, 6000),
        (2370, 5890), (2400, 5720), (2480, 5650), (2410, 5590), (2270, 5530), (2250, 5510),
        (2000, 5500), (1900, 5200),
    ),
    (
        (2560, 5610), (2650, 5610), (2650, 5660), (2560, 5640),
    ),
)  # fmt: skip

RULES = {
    "sbd": Rule(L_SBD, 1_600, True, "", _SOURCE, _DATE),
    "imt": Rule(L_SBD, 1_600, True, "", _SOURCE, _DATE),
    "certus": Rule(L_SBD, 9_000, True, "", _SOURCE, _DATE),
    "ntn_l": Rule(L_NTN, 200, True, "", _SOURCE, _DATE),
    "ntn_s": Rule(S_NTN, 200, True, "", _SOURCE, _DATE),
    "rdss": Rule(L_RDSS, 10_000, True, _NO_RDSS, _SOURCE, _DATE),
    "ku": Rule(KU, 6_000_000, True, "", _SOURCE, _DATE),
    "ka": Rule(KA, 20_000_000, True, "", _SOURCE, _DATE),
}
