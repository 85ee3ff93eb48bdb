# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Kenya (authority: CA). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "CA"
VERIFIED = False

POLYGONS = (
    (
        "-228 4113 -250 -176 127 -177 20 10 32 -13 199 -367 111 -1 97 60 15 31 69 20 67 -12 "
        "57 -44 51 0 6 -13 49 -33 40 40 41 103 -41 20 6 17 -24 26 -1 80 -82 126 -6 96 -15 48 "
        "47 31 41 92 -34 39 4 72 -6 -1 -72 -53 -39 -37 -368 1 -93 66"
    ),
    "65 3425 -2 0 1 2 2 0",
    "-255 3680 1 -1 0 -2 -2 0 0 2",
    "-126 3448 1 0 0 -1 -1 0",
)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
