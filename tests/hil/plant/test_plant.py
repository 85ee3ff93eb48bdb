# SPDX-License-Identifier: Apache-2.0
"""The plant: its parts against their formulas, its energy balance, and control by a PI."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from hil.plant.fluid.exchanger import (
    counterflow_effectiveness,
    exchanger_conductance_w_k,
    plate_conductance_w_k,
)
from hil.plant.fluid.hydraulics import PlantPump, operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.pipe import Pipe
from hil.plant.fluid.valve import Actuator, inherent_flow_fraction, valve_flow_lpm
from hil.plant.plant import Plant
from hil.plant.power.load_schedule import LoadSchedule
from hil.plant.steady_state import steady_supply_c, steady_valve_pct
from hil.plant.variables import VARIABLES, Causality

SECOND = 1_000_000
P = PlantParameters()
QUIET = replace(P, temperature_noise_k=0.0, fws_swing_k=0.0)


def plant(**changes: object) -> Plant:
    """Make a plant without noise and swing, with some parameters changed."""
    return Plant(Random(1), replace(QUIET, **changes))  # type: ignore[arg-type]


# Parts.


def test_pump_affinity_laws() -> None:
    free = replace(P, static_kpa=0.0)
    full, half = operating_point(free, [100.0, 0.0]), operating_point(free, [50.0, 0.0])
    assert half.flow_lpm == pytest.approx(full.flow_lpm / 2)
    assert half.head_kpa == pytest.approx(full.head_kpa / 4)


def test_design_point_is_one_pump_at_seventy_percent() -> None:
    one = plant()
    assert one.dp_kpa == pytest.approx(80.0, abs=1.0)
    assert one.flow_true_lpm == pytest.approx(150.0, abs=1.0)


def test_one_pump_supplies_the_row_with_margin() -> None:
    assert operating_point(P, [100.0, 0.0]).flow_lpm > 1.3 * P.tcs_design_lpm


def test_operating_point_lies_on_every_curve() -> None:
    for speeds in ([70.0, 0.0], [70.0, 70.0], [80.0, 75.0], [100.0, 40.0], [30.0, 100.0]):
        point = operating_point(P, speeds)
        r = (P.row_kpa + P.cdu_internal_kpa) / P.tcs_design_lpm**2
        system = P.static_kpa + r * point.flow_lpm**2
        assert system == pytest.approx(point.head_kpa, rel=1e-6), speeds
        for speed, flow in zip(speeds, point.pump_lpm, strict=True):
            curve = P.pump_shutoff_kpa * (speed / 100) ** 2 - P.pump_slope_kpa_lpm2 * flow**2
            assert flow == 0.0 or curve == pytest.approx(point.head_kpa, rel=1e-6), speeds


def test_non_return_valve_shuts_off_a_slow_pump() -> None:
    assert operating_point(P, [70.0, 40.0]).pump_lpm[1] == 0.0
    assert operating_point(P, [5.0, 0.0]).flow_lpm == 0.0


def test_pump_ramp_is_limited() -> None:
    pump = PlantPump(100.0, 0.0, 0.0)
    pump.command(50.0, 20.0)
    assert pump.step(1.0)
    assert pump.speed_pct == 20.0
    pump.step(1.0)
    pump.step(1.0)
    assert pump.speed_pct == 50.0
    assert not pump.step(1.0)
    pump.set_seized(True)
    assert pump.step(0.25)
    assert pump.speed_pct == 0.0


def test_counterflow_effectiveness_against_known_values() -> None:
    # Kays and London, table of counter-flow exchangers.
    assert counterflow_effectiveness(2.0, 0.0) == pytest.approx(0.8647, abs=1e-4)
    assert counterflow_effectiveness(2.0, 1.0) == pytest.approx(0.6667, abs=1e-4)
    assert counterflow_effectiveness(3.0, 0.5) == pytest.approx(0.8744, abs=1e-3)
    near = counterflow_effectiveness(2.0, 1.0 - 1e-5)
    assert near == pytest.approx(counterflow_effectiveness(2.0, 1.0), abs=1e-4)


def test_exchanger_design_is_three_kelvin_of_approach() -> None:
    # Equal capacity rates: effectiveness = NTU / (1 + NTU); 10 K rise leaves 3 K.
    ec = exchanger_conductance_w_k(P, 150.0, 144.0)
    inlet_difference = 100_000.0 / ec
    assert inlet_difference - 10.0 == pytest.approx(3.0, abs=0.2)
    assert exchanger_conductance_w_k(P, 150.0, 0.0) == 0.0
    assert exchanger_conductance_w_k(P, 150.0, 144.0, 0.7) < 0.95 * ec


def test_cold_plate_is_physical_at_every_flow() -> None:
    c_design = 37.5 / 60_000 * P.tcs_rho_kg_m3 * P.tcs_cp_j_kgk
    assert plate_conductance_w_k(P, 0.0, 37.5) == 0.0
    assert 700.0 < plate_conductance_w_k(P, 37.5, 37.5) < 800.0
    for share in (1e-4, 0.01, 0.1, 1.0, 2.0):
        # The coolant is never hotter than the wall: conductance is below its capacity.
        assert 0.0 < plate_conductance_w_k(P, 37.5 * share, 37.5) <= c_design * share


def test_valve_is_equal_percentage_and_shuts() -> None:
    ratio = inherent_flow_fraction(P, 60.0) / inherent_flow_fraction(P, 50.0)
    assert ratio == pytest.approx(P.valve_rangeability**0.1)
    assert inherent_flow_fraction(P, 100.0) == pytest.approx(1.0)
    assert inherent_flow_fraction(P, 0.0) == pytest.approx(P.valve_leak_fraction)
    assert valve_flow_lpm(P, 100.0) == pytest.approx(P.fws_open_lpm)
    flows = [valve_flow_lpm(P, x) for x in range(101)]
    assert flows == sorted(flows)


def test_actuator_stroke_and_deadband() -> None:
    actuator = Actuator(60.0, 0.25, 50.0, 50.0)
    actuator.command(50.2)
    assert not actuator.step(0.25)
    assert actuator.position_pct == 50.0
    actuator.command(80.0)
    for _ in range(4):
        actuator.step(0.25)
    assert actuator.position_pct == pytest.approx(50.0 + 100.0 / 60.0)
    for _ in range(200):
        actuator.step(0.25)
    assert actuator.position_pct == 80.0
    assert actuator.travel_pct == pytest.approx(30.0)
    actuator.set_stuck(True)
    actuator.command(0.0)
    assert not actuator.step(0.25)
    assert actuator.position_pct == 80.0


def test_pipe_delays_by_volume() -> None:
    pipe = Pipe(25.0, 30.0, 0.4)
    out = []
    for _ in range(60):
        out.append(pipe.draw(0.625))
        pipe.fill(0.625, 40.0)
    # 25 L at 0.625 L a step: the front arrives after 40 steps.
    assert out[38] == pytest.approx(30.0)
    assert out[41] == pytest.approx(40.0)


def test_pipe_conserves_volume_and_heat() -> None:
    rng = Random(3)
    pipe = Pipe(25.0, 30.0, 0.4)
    start, moved = pipe.litre_degrees(), 0.0
    for _ in range(5000):
        litres = rng.choice((0.0, 0.001, 0.2, 0.625, 1.7, 8.0, 25.0))
        celsius = rng.uniform(20.0, 60.0)
        moved -= litres * pipe.draw(litres)
        pipe.fill(litres, celsius)
        moved += litres * celsius
        assert pipe.parcels < 70
    assert pipe.stored_l() == pytest.approx(25.0, abs=1e-6)
    assert pipe.litre_degrees() - start == pytest.approx(moved, abs=1e-5)


def test_load_schedule() -> None:
    load = LoadSchedule(50.0)
    load.plan_step(20, 80.0)
    load.plan_step(10, 100.0)
    assert [load.power_kw(t) for t in (9, 10, 19, 20)] == [50.0, 100.0, 100.0, 80.0]
    load.set_limit(60.0)
    assert load.power_kw(21) == 60.0
    with pytest.raises(ValueError, match="below 0"):
        load.set_power(-1.0)


# The whole plant.


def test_variable_table_matches_attributes() -> None:
    row = plant()
    assert len({v.name for v in VARIABLES}) == len(VARIABLES)
    for variable in VARIABLES:
        value = getattr(row, variable.name)
        assert variable.minimum <= value <= variable.maximum, variable.name
    assert {v.causality for v in VARIABLES} == set(Causality)


def test_starts_in_steady_state() -> None:
    row = plant()
    row.advance(600 * SECOND)
    assert row.supply_true_c == pytest.approx(32.0, abs=1e-6)
    assert row.return_true_c == pytest.approx(36.97, abs=0.05)
    assert row.supply_c == pytest.approx(32.0, abs=1e-6)


def test_valve_starts_at_mid_stroke() -> None:
    at_full = steady_valve_pct(P, 100.0, 32.0, (70.0, 0.0))
    at_half = steady_valve_pct(P, 50.0, 32.0, (70.0, 0.0))
    assert 30.0 < at_half < at_full - 5.0 < 55.0
    assert at_full < 60.0


@pytest.mark.parametrize(("kw", "gain"), [(100.0, -0.435), (50.0, -0.393)])
def test_long_run_gain_of_the_valve(kw: float, gain: float) -> None:
    point = operating_point(P, [70.0, 0.0])
    valve = steady_valve_pct(P, kw, 32.0, (70.0, 0.0))
    rise = steady_supply_c(P, kw, point, valve + 0.5) - steady_supply_c(P, kw, point, valve - 0.5)
    assert rise == pytest.approx(gain, abs=0.01)


def test_simulation_ends_at_the_steady_state() -> None:
    row = plant()
    row.set_load(100.0)
    row.valve.command(54.0)
    row.advance(1500 * SECOND)
    expected = steady_supply_c(QUIET, 100.0, row.point, row.valve_position_pct)
    assert row.supply_true_c == pytest.approx(expected, abs=1e-3)
    assert row.return_true_c - row.supply_true_c == pytest.approx(10.0, abs=0.1)
    assert row.hx_w == pytest.approx(100_000.0 + row.shaft_w, rel=1e-4)


@pytest.mark.parametrize("step_us", [50_000, 250_000, 1_000_000, 2_000_000])
def test_energy_balance_closes(step_us: int) -> None:
    row = Plant(Random(2), P, step_us=step_us)
    rng = Random(4)
    for second in range(0, 900, 30):
        row.advance(second * SECOND)
        row.set_load(rng.uniform(0.0, 120.0))
        row.valve.command(rng.uniform(0.0, 100.0))
        row.pumps[0].command(rng.choice((0.0, 30.0, 70.0, 100.0)), 20.0)
        row.pumps[1].command(rng.choice((0.0, 68.0)), 20.0)
    energy = row.energy()
    assert energy.in_j > 1e6
    assert energy.out_j > 1e6
    assert abs(energy.residual_j) < 1e-3 * energy.in_j  # the requirement
    assert abs(energy.residual_j) < 1.0  # the accuracy of the method


def test_longer_step_gives_same_run() -> None:
    runs = []
    for step_us in (50_000, 1_000_000):
        row = Plant(Random(1), QUIET, step_us=step_us)
        row.advance(10 * SECOND)
        row.set_load(100.0)
        row.advance(70 * SECOND)
        runs.append((row.supply_true_c, row.return_true_c, row.case_c))
    for fine, coarse in zip(*runs, strict=True):
        assert coarse == pytest.approx(fine, abs=0.25)


def test_load_step_delay_round_the_loop() -> None:
    row = plant()
    row.load.plan_step(SECOND, 100.0)
    row.advance(9 * SECOND)
    assert row.case_c > 52.0, "cases warm immediately"
    assert row.return_c < 37.1, "the return pipe still holds cold coolant"
    row.advance(41 * SECOND)
    assert row.return_c > 40.0
    assert row.supply_c > 33.0, "with a constant valve, the supply follows"


def test_no_flow_heats_only_the_cases() -> None:
    row = plant()
    row.pumps[0].set_seized(True)
    row.advance(30 * SECOND)
    assert row.flow_true_lpm == 0.0
    assert row.hx_w == 0.0
    # 12.5 kW into 10 kJ/K in each rack: 1.25 K/s.
    assert row.case_c == pytest.approx(48.6 + 30 * 1.25, abs=1.5)
    row.pumps[0].set_seized(False)
    row.advance(400 * SECOND)
    assert row.case_c == pytest.approx(48.6, abs=1.0)


def test_second_pump_replaces_first() -> None:
    row = plant()
    row.pumps[0].set_seized(True)
    row.pumps[1].command(70.0, 20.0)
    row.advance(10 * SECOND)
    assert row.dp_kpa == pytest.approx(80.2, abs=0.1)


def test_facility_water_ramps_and_swings() -> None:
    row = plant()
    row.set_fws(27.0, rate_k_min=1.0)
    row.advance(60 * SECOND)
    assert row.fws_c == pytest.approx(25.0, abs=0.05)
    row.advance(300 * SECOND)
    assert row.fws_c == pytest.approx(27.0)
    swinging = Plant(Random(1), P)
    swinging.advance(450 * SECOND)
    assert swinging.fws_c == pytest.approx(24.2, abs=0.01)


def test_fouling_and_mains_pressure_warm_the_supply() -> None:
    for set_fraction in (Plant.set_fouling, Plant.set_fws_pressure):
        row = plant()
        set_fraction(row, 0.5)
        row.advance(300 * SECOND)
        assert row.supply_true_c > 32.5, set_fraction


def test_sensors_lag_and_are_noisy_but_seeded() -> None:
    runs = []
    for _ in range(2):
        row = Plant(Random(7), P)
        shown = []
        for second in range(1, 200):
            row.advance(second * SECOND)
            shown.append(row.supply_c - row.supply_true_c)
        runs.append(shown)
    assert runs[0] == runs[1]
    sigma = math.sqrt(sum(x * x for x in runs[0]) / len(runs[0]))
    assert 0.01 < sigma < 0.04
    row = plant()
    row.valve.command(100.0)
    row.advance(20 * SECOND)
    assert row.supply_c > row.supply_true_c + 0.1


def test_advance_steps_whole_quanta_and_never_back() -> None:
    row = plant()
    row.advance(249_999)
    assert row.steps == 0
    row.advance(250_000)
    row.advance(100)
    assert row.steps == 1


def test_invalid_parameters_are_rejected() -> None:
    for bad in (
        replace(P, rack_fraction=(0.5, 0.5)),
        replace(P, start_pump_pct=(70.0,)),
        replace(P, start_pump_pct=(0.0, 0.0)),
        replace(P, supply_pipe_l=1.0),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            Plant(Random(1), bad)
    with pytest.raises(ValueError, match="step_us"):
        Plant(Random(1), P, step_us=0)


def pi_run(kp: float, ti_s: float) -> tuple[float, float]:
    """Step 50 to 100 kW with a PI at 1 Hz; return the largest deviations, K: all, last minute."""
    row = Plant(Random(5), P)
    setpoint, integral = 32.0, row.valve_position_pct
    worst = late = 0.0
    for second in range(1, 601):
        row.advance(second * SECOND)
        if second == 60:
            row.set_load(100.0)
        error = round(row.supply_c, 1) - setpoint
        integral = min(max(integral + kp * error / ti_s, 0.0), 100.0)
        row.valve.command(integral + kp * error)
        worst = max(worst, abs(row.supply_true_c - setpoint))
        if second > 540:
            late = max(late, abs(row.supply_true_c - setpoint))
    return worst, late


def test_pi_holds_supply_during_load_step() -> None:
    worst, late = pi_run(kp=4.0, ti_s=40.0)
    assert worst < 2.0
    assert late < 0.3


def test_pi_with_excessive_gain_oscillates() -> None:
    assert pi_run(kp=60.0, ti_s=10.0)[1] > 1.0
