# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Saudi Arabia (authority: CST). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "CST"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask CST"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (2940, 3490), (3220, 3910), (3130, 4060), (3100, 4210), (2910, 4480), (2910, 4660),
        (2860, 4760), (2850, 4860), (2750, 4940), (2670, 5040), (2550, 5030), (2470, 5090),
        (2410, 5150), (2290, 5170), (2250, 5510), (2000, 5500), (1900, 5200), (1810, 4820),
        (1690, 4700), (1730, 4540), (1740, 4350), (1630, 4270), (1800, 4140), (2100, 3880),
        (2400, 3700), (2650, 3600), (2800, 3440),
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
