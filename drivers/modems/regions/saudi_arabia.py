# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Saudi Arabia (authority: CST). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "CST"
VERIFIED = False

POLYGONS = (
    "1713 4176 -23 46 -47 -5 29 -52",
    (
        "2813 4888 -140 143 -84 -2 -115 47 -17 22 1 52 -16 -18 -146 122 -26 265 -72 45 -198 -66 "
        "-100 -300 -42 -295 -43 -87 -102 -70 -18 -48 32 -27 16 -171 -13 -108 22 -48 -19 -27 "
        "-65 2 -31 -57 283 -174 164 -172 285 -85 58 -101 329 -196 53 -77 126 38 -16 110 66 68 "
        "14 74 34 18 17 33 99 -102 63 220 -18 121 -86 171 -188 261 -20 275 -47 23 11 88"
    ),
)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
