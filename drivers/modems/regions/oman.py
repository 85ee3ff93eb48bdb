# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Oman (authority: TRA). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "TRA"
VERIFIED = False

POLYGONS = (
    (
        "2387 5554 9 -8 12 54 14 -7 1 -17 66 4 7 20 -9 -4 -14 16 29 42 -108 114 -28 119 "
        "-114 112 -197 -88 -52 -38 14 -73 -121 -1 -117 -163 -8 -80 -83 -46 -36 -192 18 6 -6 -15 "
        "66 -37 170 -74 100 300 198 66 72 -45 32 0"
    ),
    "2634 5606 16 49 -32 9 -49 -17 7 -17 -14 -9 20 -7 40 3 -12 -25",
    "2531 5623 -1 8 0 4 -3 0 -6 -12",
)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
