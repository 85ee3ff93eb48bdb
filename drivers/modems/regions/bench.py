# SPDX-License-Identifier: Apache-2.0
"""Radio rules of the bench: emulated radios only, everywhere, without a licence."""

from drivers.modems.regions.rule import make_rules

AUTHORITY = "none"
VERIFIED = True
POLYGONS = ()
RULES = make_rules("emulated radio", "2026-11", {}, licence=False)
