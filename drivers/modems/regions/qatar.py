# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Qatar (authority: CRA). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "CRA"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask CRA"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (2450, 5080), (2540, 5060), (2620, 5100), (2620, 5150), (2530, 5180), (2450, 5140),
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
