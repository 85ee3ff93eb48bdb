# SPDX-License-Identifier: Apache-2.0
"""Larger plants from the row's parameters: the same plant for any IT power.

This is the reference plant of the annual figures: 1.5 L/min and 3 K of approach for each kW, 600 L
of coolant for each MW. The cases are a wall along the coolant, as on the bench. At their best
points pumps have an efficiency of 70 %, motors 93 %, drives 97 %; they fall at part load. The chips
leak 4 % of the power at 60 degC. The head is 0.3 + 0.7 V^2 of the design head, with V the fraction
of the design flow.
"""

from __future__ import annotations

from dataclasses import replace

from hil.plant.fluid.parameters import PlantParameters

_DESIGN_HEAD_KPA = 260.0  # with 25 L/s and 0.70 x 0.93 x 0.97: 10.3 kW at the design flow of 1 MW
_STATIC_HEAD_FRACTION = 0.3
_RACK_HEAD_FRACTION = 0.66  # of the quadratic part: across the racks
_SHUTOFF_KPA = 400.0
_MAX_FLOW_RATIO = 1.15  # flow at full speed over the design flow
_BEST_FLOW_RATIO = 1.10  # flow of the best efficiency at full speed over the design flow, assumed
_MOTOR_RATING_RATIO = 1.1  # rated power of the motor over the shaft power at full speed, assumed
_LEAK_FRACTION = 0.04  # 40 W of 1 kW at 60 degC, as in `hil.plant.power.server`


def reference_parameters(it_kw: float, **changes: object) -> PlantParameters:
    """Return the parameters of a reference row of `it_kw`; raises `ValueError` below 50 kW."""
    if it_kw < 50.0:
        raise ValueError("it_kw: the reference plant starts at 50 kW")
    base = PlantParameters()
    power_ratio = it_kw / 100.0
    design_lpm = base.tcs_design_lpm * power_ratio
    quadratic_head_kpa = (1.0 - _STATIC_HEAD_FRACTION) * _DESIGN_HEAD_KPA
    full_speed_head_kpa = _DESIGN_HEAD_KPA * (
        _STATIC_HEAD_FRACTION + (1.0 - _STATIC_HEAD_FRACTION) * _MAX_FLOW_RATIO**2
    )
    parameters = replace(
        base,
        rack_design_kw=it_kw / base.racks,
        tcs_design_lpm=design_lpm,
        supply_pipe_l=25.0 * power_ratio,
        return_pipe_l=25.0 * power_ratio,
        cdu_volume_l=10.0 * power_ratio,
        reservoir_volume_l=12.0 * power_ratio,
        fws_volume_l=200.0 * power_ratio,
        plate_capacity_j_k=base.plate_capacity_j_k * power_ratio,
        hx_ua_kw_k=33.3 * power_ratio,
        hx_fws_design_lpm=141.0 * power_ratio,
        fws_open_lpm=141.0 * power_ratio,
        valve_authority=0.65,
        hx_capacity_j_k=base.hx_capacity_j_k * power_ratio,
        static_kpa=_STATIC_HEAD_FRACTION * _DESIGN_HEAD_KPA,
        row_kpa=_RACK_HEAD_FRACTION * quadratic_head_kpa,
        cdu_internal_kpa=(1.0 - _RACK_HEAD_FRACTION) * quadratic_head_kpa,
        pump_shutoff_kpa=_SHUTOFF_KPA,
        pump_slope_kpa_lpm2=(_SHUTOFF_KPA - full_speed_head_kpa)
        / (_MAX_FLOW_RATIO * design_lpm) ** 2,
        pump_bep_lpm=_BEST_FLOW_RATIO * design_lpm,
        pump_rated_w=_MOTOR_RATING_RATIO
        * full_speed_head_kpa
        * _MAX_FLOW_RATIO
        * design_lpm
        / 60.0
        / base.pump_efficiency,
        leak_fraction=_LEAK_FRACTION,
        flow_noise_lpm=0.2 * power_ratio,
        start_it_kw=it_kw,
        start_pump_pct=(90.0, 0.0),
        fws_swing_k=0.0,
    )
    return replace(parameters, **changes)  # type: ignore[arg-type]
