# SPDX-License-Identifier: Apache-2.0
"""Scale the plant of the row to a multiple of 100 kW.

Does not give the plant of the annual figures; see `hil.annual`. Flows, volumes, masses and the
exchanger grow with the factor. Heads and temperatures do not change. Therefore a larger row has the
same temperatures, delays and loops.
"""

from dataclasses import replace

from hil.plant.fluid.parameters import PlantParameters

_LINEAR_FIELDS = (
    "rack_design_kw",
    "tcs_design_lpm",
    "supply_pipe_l",
    "return_pipe_l",
    "cdu_volume_l",
    "reservoir_volume_l",
    "fws_volume_l",
    "plate_capacity_j_k",
    "hx_ua_kw_k",
    "hx_fws_design_lpm",
    "hx_capacity_j_k",
    "fws_open_lpm",
    "flow_noise_lpm",
    "start_it_kw",
)


def scale_parameters(parameters: PlantParameters, factor: int) -> PlantParameters:
    """Return the parameters of a plant that is `factor` times as large; 1: unchanged."""
    if factor == 1:
        return parameters
    changes = {name: getattr(parameters, name) * factor for name in _LINEAR_FIELDS}
    changes["pump_slope_kpa_lpm2"] = parameters.pump_slope_kpa_lpm2 / factor**2
    return replace(parameters, **changes)
