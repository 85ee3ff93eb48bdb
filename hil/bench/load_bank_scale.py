"""The row's plant at another size: the same machine so many times over.

Flows, volumes, masses and the exchanger grow with the factor, heads and temperatures stay; so a row
of ten times the power has the same temperatures, delays and loops. Not the reference plant of the
annual figures, which has proportions of its own.
"""

from dataclasses import replace

from hil.plant.fluid.parameters import PlantParameters

_LINEAR_FIELDS = (
    "rack_design_kw",
    "tcs_design_lpm",
    "supply_pipe_l",
    "return_pipe_l",
    "inside_l",
    "reservoir_l",
    "fws_volume_l",
    "plate_j_k",
    "hx_ua_kw_k",
    "hx_fws_design_lpm",
    "hx_j_k",
    "fws_open_lpm",
    "flow_noise_lpm",
    "start_it_kw",
)


def scale_parameters(p: PlantParameters, factor: int) -> PlantParameters:
    """Give `p` `factor` times as large; 1 changes nothing."""
    if factor == 1:
        return p
    changes = {name: getattr(p, name) * factor for name in _LINEAR_FIELDS}
    changes["pump_slope_kpa_lpm2"] = p.pump_slope_kpa_lpm2 / factor**2
    return replace(p, **changes)
