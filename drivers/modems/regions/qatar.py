# SPDX-License-Identifier: Apache-2.0
"""Radio rules of Qatar (authority: CRA). To be verified by the operator."""

from drivers.modems.regions.rule import NO_RDSS, make_rules

AUTHORITY = "CRA"
VERIFIED = False

POLYGONS = ("2489 5085 65 -26 61 33 9 52 -30 29 -42 -7 -54 11 -41 -43 9 -6 -10 -18 3 -17 16 -12",)

RULES = make_rules("general knowledge and ITU-R allocations; ask " + AUTHORITY, "2026-11", NO_RDSS)
