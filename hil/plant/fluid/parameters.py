# SPDX-License-Identifier: Apache-2.0
"""The parameters of the plant: one row of four racks, 100 kW of IT, cooled by one CDU.

This is a table, not a model. Each parameter has its unit in its name and its source in a comment.
`design` is a choice of this bench, `table` is a published property table, `usual` is common
practice. `assumed` is an engineering estimate without measurement.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlantParameters:
    """Sizes, properties and starting state of the row; all values can be replaced."""

    # The row.
    racks: int = 4  # design
    rack_fraction: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)  # of IT power and of flow, design
    rack_design_kw: float = 25.0  # design, 25 devices of 1 kW
    it_lag_s: float = 2.0  # assumed: load step to heat at the die, power supplies included
    # Leakage of the chips, as in `hil.plant.power.server`; 0: the load is given with its leakage
    leak_fraction: float = 0.0  # of the design power at 60 degC
    leak_per_k: float = 0.012  # assumed: e-fold in 83 K

    # Secondary coolant (TCS): 25 % propylene glycol at 40 degC, CoolProp 8 INCOMP::MPG[0.25].
    tcs_rho_kg_m3: float = 1009.9  # table
    tcs_cp_j_kgk: float = 3969.0  # table
    tcs_design_lpm: float = 150.0  # design, 1.5 L/min per kW: 10 K rise
    supply_pipe_l: float = 25.0  # design, 10 s of transit at the design flow
    return_pipe_l: float = 25.0  # design, the same

    # Cold plates: R = R0 + R1 (V/Vd)^-0.7 per 1 kW device, case to coolant.
    plate_r0_k_w: float = 0.018  # assumed, 1 kW device
    plate_r1_k_w: float = 0.010  # assumed, 1 kW device
    plate_exponent: float = -0.7  # usual for turbulent-transitional channels
    plate_device_kw: float = 1.0  # the device of the two resistances
    plate_capacity_j_k: float = 10_000.0  # assumed, case, lid and plate of one whole rack

    # Plate heat exchanger: 3 K approach at equal rates, NTU 3.4 (scaled from 333 kW/K per MW).
    hx_ua_kw_k: float = 33.3  # design
    hx_exponent: float = -0.8  # usual for plate exchangers
    hx_fws_design_lpm: float = 144.0  # design, the same capacity rate as the secondary
    hx_capacity_j_k: float = 80_000.0  # assumed, 15 L of coolant and 40 kg of steel

    # Facility water (FWS) and its control valve.
    fws_rho_kg_m3: float = 997.0  # table, water at 25 degC
    fws_cp_j_kgk: float = 4181.0  # table
    fws_c: float = 24.0  # design
    fws_swing_k: float = 0.2  # assumed, slow swing of the dry coolers around it
    fws_swing_period_s: float = 1800.0  # assumed
    fws_open_lpm: float = 240.0  # design, valve wide open
    valve_rangeability: float = 30.0  # usual for two-way control valves
    valve_authority: float = 0.3  # design, valve over total pressure drop when open
    valve_leak_fraction: float = 0.0005  # assumed, share of Kvs when shut
    valve_seat_pct: float = 5.0  # below this stroke the characteristic is linear down to the leak
    valve_stroke_s: float = 60.0  # usual for electric actuators (60 to 150 s)
    valve_deadband_pct: float = 0.25  # assumed, the drive does not start for a smaller error

    # Pumps: H = H0 n^2 - k Q^2 for each pump, so that the affinity laws hold exactly.
    pumps: int = 2  # design, one pump carries the row
    pump_shutoff_kpa: float = 297.0  # design, 80 kPa at the row with one pump at 70 %
    pump_slope_kpa_lpm2: float = 0.00125  # design
    pump_rpm: float = 4800.0  # at 100 %, design
    pump_slew_pct_s: float = 100.0  # assumed, rotor and fluid; the ramp of the drive is slower
    pump_efficiency: float = 0.70  # assumed
    motor_efficiency: float = 0.93 * 0.97  # assumed, motor and inverter at their rated power
    # Part load (`hil.plant.power.part_load`); 0: the efficiencies are constant
    pump_bep_lpm: float = 0.0  # flow of one pump at its best efficiency and full speed
    pump_rated_w: float = 0.0  # rated shaft power of the motor of one pump

    # Secondary hydraulics: static part (non-return valve, quick couplings) and quadratic parts.
    static_kpa: float = 2.0  # assumed, cracking pressure
    row_kpa: float = 80.0  # design, across the row at the design flow (dP)
    cdu_internal_kpa: float = 35.0  # design, exchanger, filter and pipes inside the CDU
    filter_kpa: float = 8.0  # assumed, of `cdu_internal_kpa`: the clean filter at the design flow
    suction_kpa: float = 150.0  # design, the expansion vessel holds the return side
    vessel_slope_kpa_l: float = 8.0  # assumed, fall of this pressure for each lost litre

    # Used only if a scenario needs them: coolant, air, the facility's own water.
    cdu_volume_l: float = 15.0  # assumed, coolant inside the CDU
    reservoir_volume_l: float = 12.0  # assumed
    reservoir_c: float = 28.0  # assumed, the reservoir stands in the room
    air_separator_s: float = 900.0  # assumed, time constant of the air separator
    # assumed: ratio of the backflow slope of a stopped pump to its pump slope
    nrv_slope_ratio: float = 4.0
    fws_volume_l: float = 400.0  # design, circulating facility water while the coolers are stopped

    # Sensors.
    temperature_lag_s: float = 4.0  # usual, sheathed PT1000 (3 to 5 s)
    pressure_lag_s: float = 0.5  # assumed
    flow_lag_s: float = 1.5  # assumed, damping of the meter
    temperature_noise_k: float = 0.02  # assumed, one sigma
    pressure_noise_kpa: float = 0.15  # assumed
    flow_noise_lpm: float = 0.2  # assumed

    # The start: steady state at this point.
    start_it_kw: float = 50.0
    start_supply_c: float = 32.0
    start_pump_pct: tuple[float, ...] = (70.0, 0.0)
