# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Nigeria (authority: NCC). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "NCC"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask NCC"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (630, 270), (900, 270), (1170, 360), (1300, 410), (1390, 540), (1310, 780),
        (1290, 960), (1340, 1070), (1320, 1260), (1370, 1360), (1260, 1420), (1000, 1320),
        (730, 1170), (650, 1010), (470, 860), (420, 700), (430, 590), (620, 430),
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
