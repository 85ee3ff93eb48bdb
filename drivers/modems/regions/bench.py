# SPDX-License-Identifier: Apache-2.0
"""Radio rules of the bench: emulated radios only, everywhere, without a licence."""

from drivers.modems.regions.rule import KA, KU, L_NTN, L_RDSS, L_SBD, S_NTN, Rule

AUTHORITY = "none"
VERIFIED = True
POLYGONS = ()
_SOURCE, _DATE = "emulated radio", "2026-11"

RULES = {
    "sbd": Rule(L_SBD, 1_600, False, "", _SOURCE, _DATE),
    "imt": Rule(L_SBD, 1_600, False, "", _SOURCE, _DATE),
    "certus": Rule(L_SBD, 9_000, False, "", _SOURCE, _DATE),
    "ntn_l": Rule(L_NTN, 200, False, "", _SOURCE, _DATE),
    "ntn_s": Rule(S_NTN, 200, False, "", _SOURCE, _DATE),
    "rdss": Rule(L_RDSS, 10_000, False, "", _SOURCE, _DATE),
    "ku": Rule(KU, 6_000_000, False, "", _SOURCE, _DATE),
    "ka": Rule(KA, 20_000_000, False, "", _SOURCE, _DATE),
}
