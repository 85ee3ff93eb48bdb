# SPDX-License-Identifier: Apache-2.0
"""Radio rules of the United Arab Emirates (authority: TDRA). To be verified by the operator."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "TDRA"
VERIFIED = False
_SOURCE = "general knowledge and ITU-R allocations; ask TDRA"
_DATE = "2026-11"

_NO_RDSS = "BeiDou RDSS serves 80 to 140 degrees East"

POLYGONS = (
    (
        (2420, 5150), (2460, 5220), (2460, 5380), (2540, 5490), (2610, 5590), (2620, 5620),
        (2570, 5650), (2490, 5660), (2480, 5610), (2400, 5580), (2270, 5520), (2260, 5260),
        (2310, 5160),
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
