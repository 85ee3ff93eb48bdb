# SPDX-License-Identifier: Apache-2.0
"""Limits of a platform: coolant flow, supply and case temperature, by named classes.

A class names the facility water class of ASHRAE TC 9.9 (W32, W40, W45: highest supply of the
facility water, degC; "Water-Cooled Servers", 2019, and the Liquid Cooling Guidelines). The coolant
supply of a class here is not warmer than its facility water. The flow of cold plates with 25 %
propylene glycol is 1.0 to 2.0 L/min for each kW in the guidelines of the Open Compute Project:
15 K of rise at 1.0, 10 K at 1.5. A floor below 1.0 needs the permission of a platform, so no class
has it. The case limit is assumed, 10 K below the limit at which devices throttle themselves
(`hil.plant.power.server`).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class PlatformLimits(NamedTuple):
    """Limits of one class; the flow is for each kW of design power."""

    name: str
    supply_max_c: float
    min_lpm_kw: float
    max_rise_k: float
    case_max_c: float

    def record(self) -> dict[str, Any]:
        """Return the limits for the record of a run."""
        return self._asdict()


PLATFORMS = {
    limits.name: limits
    for limits in (
        PlatformLimits("W45", supply_max_c=45.0, min_lpm_kw=1.0, max_rise_k=15.0, case_max_c=75.0),
        PlatformLimits("W40", supply_max_c=40.0, min_lpm_kw=1.2, max_rise_k=12.5, case_max_c=75.0),
        PlatformLimits("W32", supply_max_c=32.0, min_lpm_kw=1.5, max_rise_k=10.0, case_max_c=75.0),
    )
}
