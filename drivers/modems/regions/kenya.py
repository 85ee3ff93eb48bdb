# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Kenya (authority: CA). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "CA"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask CA"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (460, 3400), (460, 3600), (360, 3690), (350, 3950), (420, 4080), (400, 4190),
        (280, 4100), (-100, 4100), (-170, 4160), (-480, 3930), (-300, 3760), (-100, 3400),
        (100, 3400), (250, 3500), (420, 3400),
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
