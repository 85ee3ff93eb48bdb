# SPDX-License-Identifier: Apache-2.0
"""Radio rules of the United Arab Emirates (authority: TDRA). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "TDRA"
VERIFIED = False

POLYGONS = (
    (
        "2385 5555 -73 -32 -42 -4 -8 -7 32 -256 116 -98 43 7 -31 75 25 -28 21 25 -30 159 "
        "172 196 -22 8 16 6 3 10 -41 0 -4 5 2 8 -14 8 16 12 -64 5 26 -16 -30 0 -25 -26 2 -9 "
        "10 -7 1 7 10 -3 1 -10 -8 -10 -25 2 -8 -6 -17 5 -16 -5 -1 17 -14 7 -12 -54"
    ),
    "2530 5631 1 -8 -8 -2 4 13 2 1",
    "2525 5275 0 25 -35 30 -15 -30 30 -35",
)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
