# SPDX-License-Identifier: Apache-2.0
"""The pressure of a header into which several units pump.

Does not step a plant. Each unit pushes its flow through its own exchanger and filter into one
header. The header has the pressure drop of the racks with the total flow: `row_kpa` at the design
flow of all units. So a unit that pushes more takes flow from the others. Each unit has non-return
valves: one that is too weak pushes nothing. Does not model the inertia of the fluid: the header
follows the speeds immediately.
"""

from __future__ import annotations

from collections.abc import Sequence

from hil.plant.fluid.hydraulics import header_point
from hil.plant.fluid.parameters import PlantParameters

_HALVINGS = 24  # of a bracket below 400 kPa: error below 1e-4 kPa

Branch = tuple[PlantParameters, list[float]]
"""The network of a unit, and the speeds of its pumps in %."""


def header_kpa(branches: Sequence[Branch]) -> float:
    """Return the pressure at which the flows of all `branches` are that of the racks, kPa."""
    design_lpm = sum(network.tcs_design_lpm for network, _ in branches)
    row_kpa = branches[0][0].row_kpa
    low, high = 0.0, max(network.pump_shutoff_kpa for network, _ in branches) * 1.21
    for _ in range(_HALVINGS):
        pressure = 0.5 * (low + high)
        flow_lpm = sum(
            header_point(network, speeds, pressure).flow_lpm for network, speeds in branches
        )
        if row_kpa * (flow_lpm / design_lpm) ** 2 > pressure:
            low = pressure
        else:
            high = pressure
    return 0.5 * (low + high)
