# SPDX-License-Identifier: Apache-2.0
"""Radio rules of South Africa (authority: ICASA). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "ICASA"
VERIFIED = False

POLYGONS = (
    (
        "-2860 1646 57 62 -20 27 -47 5 -20 77 6 58 -12 37 44 46 10 40 367 0 -28 38 -86 44 -24 4 "
        "-36 -24 -40 9 9 22 -6 75 84 100 54 18 22 43 -2 0 0 18 -35 47 -19 75 11 79 9 13 60 25 "
        "13 4 14 -1 14 58 34 39 75 29 30 62 62 55 15 61 23 13 5 49 3 25 -20 52 -2 96 -110 27 "
        "-96 46 -154 -4 20 -64 -15 -19 -30 -15 -19 -17 -41 0 -40 36 -10 37 -1 35 0 2 1 0 -1 7 "
        "51 2 -7 107 -29 -6 -146 -48 -270 -233 -134 -152 -109 -174 -59 -208 20 -224 -82 -259 "
        "51 -167"
    ),
    (
        "-2888 2789 -15 -25 -45 -29 -15 -31 -68 33 -29 37 -6 34 36 12 16 18 1 32 22 45 22 -1 "
        "26 26 34 -9 52 -68"
    ),
)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
