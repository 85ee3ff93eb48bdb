# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Nigeria (authority: NCC). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "NCC"
VERIFIED = False

POLYGONS = (
    (
        "662 273 244 4 4 31 36 5 34 19 15 27 32 -2 33 27 51 -12 33 -25 32 20 8 -6 68 3 48 45 "
        "47 4 22 38 5 72 14 29 -20 71 -68 71 35 88 -5 29 -38 57 -12 91 35 34 23 75 -2 76 "
        "-30 103 18 9 25 28 21 77 -62 45 -69 12 -15 37 -7 12 -66 -6 -27 -45 4 -18 -26 -23 "
        "-87 -32 -10 -20 -51 -3 -16 -35 -62 -8 -37 -54 -41 -3 -72 -46 -16 14 -22 -32 -27 -5 "
        "-17 -16 -1 -23 31 -8 39 -46 -10 -4 -16 -4 1 -29 13 -7 -21 -35 -27 -10 -70 -85 -67 -4 "
        "-73 -41 -31 -227 43 -65 149 -84 18 -192"
    ),
)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
