# SPDX-License-Identifier: Apache-2.0
"""Radio rules of South Africa (authority: ICASA). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "ICASA"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask ICASA"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (-2210, 2940), (-2230, 3130), (-2550, 3200), (-2590, 3130), (-2730, 3190),
        (-2680, 3290), (-2880, 3260), (-3080, 3060), (-3320, 2820), (-3410, 2570),
        (-3430, 2300), (-3490, 2000), (-3440, 1820), (-3160, 1800), (-2860, 1630),
        (-2810, 1740), (-2900, 1900), (-2840, 2000), (-2480, 2000), (-2680, 2070),
        (-2570, 2300), (-2560, 2570), (-2460, 2660),
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
