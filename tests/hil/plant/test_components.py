# SPDX-License-Identifier: Apache-2.0
"""Parts of the plant outside the row: air, coolant, coolers, facility, weather, servers, losses."""

from __future__ import annotations

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hil.plant.air.cooler import (
    Air,
    CoolerParameters,
    cooler_conductance_w_k,
    fan_w,
    intake_c,
    scaled,
    water_kg_s,
)
from hil.plant.air.psychrometrics import (
    STANDARD_PA,
    density_kg_m3,
    dew_point_c,
    humidity_pct,
    moisture_ratio,
    saturation_pa,
    wet_bulb_c,
)
from hil.plant.air.synthetic_climate import CLIMATES
from hil.plant.air.weather import WeatherError, load_weather, read_epw
from hil.plant.facility import Facility, FacilityParameters, facility_pump_w
from hil.plant.facility_variables import FACILITY_VARIABLES
from hil.plant.fluid import coolant
from hil.plant.plant import Plant
from hil.plant.power.electrical_chain import ElectricalChain
from hil.plant.power.grid import Grid
from hil.plant.power.optics import ALARM_C, OpticalModule
from hil.plant.power.part_load import electric_fraction, parabola, pump_fraction
from hil.plant.power.server import ServerModel
from hil.plant.reference_plant import reference_parameters
from hil.plant.room import Room
from hil.plant.steady_state import shaft_w

SECOND = 1_000_000


def load_psychrolib() -> Any:
    """Import it without numba, which compiles its functions: 2 s for few calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        return importlib.import_module("psychrolib")


psychrolib = load_psychrolib()
psychrolib.SetUnitSystem(psychrolib.SI)


# Moist air, against psychrolib.


@pytest.mark.parametrize("dry_c", [-10.0, 0.5, 12.0, 25.0, 33.0, 45.0])
@pytest.mark.parametrize("humidity", [10.0, 40.0, 70.0, 95.0])
@pytest.mark.parametrize("pressure", [STANDARD_PA, 83_500.0])
def test_moist_air_agrees_with_psychrolib(dry_c: float, humidity: float, pressure: float) -> None:
    rh = humidity / 100.0
    assert saturation_pa(dry_c) == pytest.approx(psychrolib.GetSatVapPres(dry_c), rel=1e-4)
    dew = dew_point_c(dry_c, humidity)
    assert dew == pytest.approx(psychrolib.GetTDewPointFromRelHum(dry_c, rh), abs=0.01)
    assert humidity_pct(dry_c, dew) == pytest.approx(humidity, abs=0.01)
    wet = psychrolib.GetTWetBulbFromRelHum(dry_c, rh, pressure)
    assert wet_bulb_c(dry_c, dew, pressure) == pytest.approx(wet, abs=0.02)
    ratio = psychrolib.GetHumRatioFromRelHum(dry_c, rh, pressure)
    assert moisture_ratio(dew, pressure) == pytest.approx(ratio, rel=2e-3)
    density = 1.0 / psychrolib.GetMoistAirVolume(dry_c, ratio, pressure)
    assert density_kg_m3(dry_c, dew, pressure) == pytest.approx(density, rel=2e-3)


def test_saturated_air_has_its_dew_point() -> None:
    assert dew_point_c(20.0, 100.0) == 20.0
    assert wet_bulb_c(20.0, 20.0) == pytest.approx(20.0, abs=0.01)


def test_the_dew_point_is_that_of_a_plain_bisection() -> None:
    """Records have its bits, so the quick way must end at the same number."""
    rng = Random(5)
    for number in range(3000):
        dry_c = rng.uniform(-40.0, 90.0) if number % 3 else rng.uniform(0.0, 30.0)
        humidity = rng.uniform(0.0, 100.0)
        if number % 3 == 0:  # beside the step of the saturation pressure at 0 degC
            humidity = 100 * saturation_pa(rng.uniform(-0.02, 0.02)) / saturation_pa(dry_c)
        low, high = -60.0, dry_c + 1e-9
        vapour = saturation_pa(dry_c) * max(humidity, 0.1) / 100.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if saturation_pa(middle) < vapour else (low, middle)
        expected = dry_c if humidity >= 100.0 else 0.5 * (low + high)
        assert dew_point_c(dry_c, humidity) == expected, (dry_c, humidity)


# Coolant, against CoolProp.


@pytest.mark.parametrize("celsius", [-5, 5, 20, 32, 40, 55, 70, 90])
def test_pg25_agrees_with_coolprop(celsius: float) -> None:
    from CoolProp import CoolProp  # noqa: PLC0415 - slow; only one process needs it

    def coolprop_value(what: str) -> float:
        name = "INCOMP::MPG[0.25]"
        return float(CoolProp.PropsSI(what, "T", celsius + 273.15, "P", 3e5, name))

    assert coolant.density_kg_m3(celsius) == pytest.approx(coolprop_value("D"), rel=1e-3)
    assert coolant.heat_j_kgk(celsius) == pytest.approx(coolprop_value("C"), rel=1e-3)
    assert coolant.conductivity_w_mk(celsius) == pytest.approx(coolprop_value("L"), rel=1e-3)
    assert coolant.viscosity_pa_s(celsius) == pytest.approx(coolprop_value("V"), rel=1e-3)


def test_pg25_outside_its_range_is_rejected() -> None:
    with pytest.raises(ValueError, match="outside"):
        coolant.density_kg_m3(95.0)


# Coolers.

COOLER = CoolerParameters()
WATER = 98_000.0


def test_cooling_rises_with_fan_speed_and_power_with_its_cube() -> None:
    air = Air(35.0, 25.0, 1.0)
    cools = [cooler_conductance_w_k(COOLER, "dry", air, False, WATER, n / 10) for n in range(11)]
    assert cools == sorted(cools)
    assert cools[0] > 0.0
    assert cools[-1] < WATER
    assert fan_w(COOLER, "dry", 1.0) == 30_000.0
    assert fan_w(COOLER, "dry", 0.5) == pytest.approx(30_000.0 * electric_fraction(1 / 8))
    assert fan_w(COOLER, "dry", 0.0) == 0.0
    thin = fan_w(COOLER, "dry", 1.0, 0.8)
    assert thin == pytest.approx(30_000.0 * electric_fraction(0.8))
    assert cooler_conductance_w_k(COOLER, "dry", air, False, 0.0, 1.0) == 0.0


def test_pad_and_tower_bring_the_air_towards_its_wet_bulb() -> None:
    air = Air(40.0, 24.0, 1.0)
    assert intake_c(COOLER, "dry", air, True) == 40.0
    assert intake_c(COOLER, "adiabatic", air, True) == pytest.approx(40.0 - 0.8 * 16.0)
    assert intake_c(COOLER, "adiabatic", air, False) == 40.0
    assert intake_c(COOLER, "tower", air, True) == 24.0


def test_water_use_is_near_evaporation_bound() -> None:
    air = Air(40.0, 24.0, 1.0)
    assert water_kg_s(COOLER, "dry", air, True, 1.0, 1e6) == 0.0
    tower = water_kg_s(COOLER, "tower", air, True, 0.5, 1e6) * 3600.0 / 1000.0  # L/kWh
    assert 1.47 < tower < 2.2  # evaporation alone is 1.47 L/kWh; bleed and drift are additional
    pad = water_kg_s(COOLER, "adiabatic", air, True, 0.3, 1e6)
    assert 0.0 < pad < water_kg_s(COOLER, "adiabatic", air, True, 0.6, 1e6)


def test_scaled_cooler_has_same_figures_per_megawatt() -> None:
    air = Air(30.0, 22.0, 1.0)
    two = scaled(COOLER, 2.0)
    for kind in ("dry", "adiabatic", "tower"):
        one = cooler_conductance_w_k(COOLER, kind, air, True, WATER, 0.6)
        assert cooler_conductance_w_k(two, kind, air, True, 2 * WATER, 0.6) == pytest.approx(
            2 * one
        )


# The facility and the reference plant.


def reference_plant(kind: str = "dry") -> Plant:
    p = reference_parameters(1000.0, start_supply_c=38.0, fws_c=30.0)
    plant = Plant(Random(1), p, step_us=SECOND)
    plant.attach_facility(Facility(p, COOLER, kind, FacilityParameters(), 30.0))
    plant.facility.start_fans(40.0)
    plant.facility.set_air(Air(28.0, 20.0, 0.95))
    return plant


def test_reference_plant_matches_reference_figures() -> None:
    p = reference_parameters(1000.0)
    plant = Plant(Random(1), p, step_us=SECOND)
    assert plant.flow_true_lpm == pytest.approx(1500.0, rel=0.01)
    share = plant.pump_electric_w / 1e6
    assert share == pytest.approx(0.0103, rel=0.02)  # 260 kPa, 0.70 x 0.93 x 0.97 at this point
    assert shaft_w(p, plant.point) == pytest.approx(25e-3 * 260e3 / 0.7, rel=0.02)
    facility = FacilityParameters()
    assert facility_pump_w(facility, 1.0, 1410.0) / 1e6 == pytest.approx(0.0086, rel=0.02)
    half = facility_pump_w(facility, 0.5, 1410.0) / facility_pump_w(facility, 1.0, 1410.0)
    assert half == pytest.approx(electric_fraction(0.5 * 0.475 / parabola(0.5 / 0.475**0.5)))
    assert half > 0.5 * 0.475  # more than the hydraulic power: part load
    assert reference_parameters(500.0).tcs_design_lpm == 750.0
    with pytest.raises(ValueError, match="50 kW"):
        reference_parameters(10.0)


def test_part_load_efficiency_falls_towards_no_load() -> None:
    """The example of EnergyPlus: 92.5 % of the motor's best at a quarter of its load."""
    assert electric_fraction(1.0) == 1.0
    fractions = [n / 20 / electric_fraction(n / 20) for n in range(1, 8)]
    assert fractions == sorted(fractions)
    assert 0.7 < fractions[0] < fractions[-1] < 1.02
    assert electric_fraction(0.0) == 0.0
    p = reference_parameters(1000.0)
    assert pump_fraction(p, p.pump_bep_lpm / 2, 50.0) == 1.0  # affinity: the same point
    assert pump_fraction(p, p.pump_bep_lpm / 2, 100.0) == 0.75
    assert pump_fraction(p, 100.0, 0.0) == parabola(5.0) == 0.2


def test_leakage_follows_the_cases_and_heats_the_coolant() -> None:
    plant = reference_plant()
    plant.advance(3600 * SECOND)
    expected_kw = 40.0 * math.exp(0.012 * (plant.case_c - 60.0))
    assert plant.leak_kw == pytest.approx(expected_kw, rel=1e-3)
    assert plant.it_kw == pytest.approx(1000.0 - 40.0 + plant.leak_kw, rel=1e-4)
    energy = plant.energy()
    assert abs(energy.residual_j) < 1e-6 * energy.in_j
    assert Plant(Random(1)).leak_kw == 0.0  # a row of the bench: its load is given with leakage


def test_hottest_case_has_the_rise_of_the_coolant() -> None:
    """Wall along the coolant: effectiveness 1 - exp(-1/(R C)) of each device."""
    p = reference_parameters(1000.0)
    plant = Plant(Random(1), p, step_us=SECOND)
    c = plant.flow_true_lpm / 60_000.0 * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk
    r = (0.018 + 0.010 * (plant.flow_true_lpm / 1500.0) ** -0.7) / 1000.0
    rise_k = 1e6 / (c * (1.0 - math.exp(-1.0 / (r * c))))
    assert plant.case_c - plant.rack_in_c == pytest.approx(rise_k, abs=0.01)


@pytest.mark.parametrize("kind", ["dry", "adiabatic", "tower"])
@pytest.mark.parametrize("step_s", [0.25, 1, 5])
def test_energy_and_mass_close_in_every_step(kind: str, step_s: float) -> None:
    """The balances close to 0.1 % of the flow of each step, with all inputs changing and a leak."""
    plant, rng = reference_plant(kind), Random(3)
    plant.set_step(int(step_s * SECOND))
    plant.resume_at(0)
    facility = plant.facility
    assert facility is not None
    before, residual_before = plant.energy(), facility.residual_j
    for i in range(1, 400):
        if i % 7 == 0:
            plant.valve.command(rng.uniform(20.0, 100.0))
            plant.pumps[0].command(rng.uniform(60.0, 100.0), 10.0)
            facility.command(rng.uniform(0.0, 100.0), rng.random() < 0.5)
        if i % 50 == 0:
            plant.set_load(rng.uniform(200.0, 1000.0))
            plant.inventory.set_leak(rng.uniform(0.0, 20.0))
            facility.set_air(Air(rng.uniform(10.0, 45.0), 10.0, rng.uniform(0.8, 1.0)))
        plant.advance(int(i * step_s * SECOND))
        energy = plant.energy()
        step_j = 1000.0 * plant.it_kw * step_s
        assert abs(energy.residual_j - before.residual_j) <= 1e-3 * step_j, i
        assert abs(facility.residual_j - residual_before) <= 1e-3 * step_j, i
        assert abs(plant.missing_l) <= 1e-6, i
        before, residual_before = energy, facility.residual_j
    assert plant.steps == 399


def test_higher_fan_speed_cools_the_plant() -> None:
    plant = reference_plant()
    facility = plant.facility
    assert facility is not None
    plant.advance(3600 * SECOND)
    warm = plant.supply_true_c
    facility.command(90.0, facility.wet)
    plant.advance(7200 * SECOND)
    assert plant.supply_true_c < warm - 2.0
    heat_w = 1000.0 * plant.it_kw + plant.shaft_w + facility.pump_w
    assert facility.rejected_w == pytest.approx(heat_w, rel=0.001)
    facility.set_stopped(True)
    plant.advance(7500 * SECOND)
    assert plant.supply_true_c > warm


def test_facility_without_flow_rejects_no_heat() -> None:
    plant = reference_plant()
    plant.set_fws_pressure(0.0)
    plant.advance(60 * SECOND)
    assert plant.facility is not None
    assert plant.facility.rejected_w == 0.0


# Weather.


def test_synthetic_climates_match_their_normals() -> None:
    for name, climate in CLIMATES.items():
        weather = load_weather(name)
        assert len(weather.hours) == 8760
        mean = sum(h.dry_c for h in weather.hours) / 8760
        normal = sum(climate.high_c + climate.low_c) / 24
        assert mean == pytest.approx(normal, abs=1.2), name
        assert all(h.dew_c <= h.dry_c for h in weather.hours)
    assert [h.dry_c for h in load_weather("dubai").hours] == [
        h.dry_c for h in load_weather("dubai").hours
    ]


def test_weather_is_interpolated_linearly() -> None:
    weather = load_weather("dubai")
    a, b = weather.at(4000.0), weather.at(4001.0)
    middle = weather.at(4000.5)
    assert middle.dry_c == pytest.approx((a.dry_c + b.dry_c) / 2)
    assert middle.dew_c <= middle.wet_c <= middle.dry_c
    assert weather.at(8760.0 + 5.0).dry_c == weather.at(5.0).dry_c


def epw(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "x.epw"
    head = ["LOCATION,Somewhere,X,Y,Z,1,25.0,55.0,4.0,10.0", *["HEADER"] * 7]
    timed = [
        row.replace("2005,1,1,1,", f"2005,1,{1 + i // 24},{1 + i % 24},", 1)
        for i, row in enumerate(rows)
    ]
    path.write_text("\n".join([*head, *timed]), encoding="latin-1")
    return path


def epw_line(dry: object = 30.0, dew: object = 20.0, rh: object = 55, pa: object = 101_000) -> str:
    return f"2005,1,1,1,30,?9?9,{dry},{dew},{rh},{pa},0,0,0"


def test_epw_missing_values_repeat_previous_hour(tmp_path: Path) -> None:
    rows = [epw_line()] * 24 + [epw_line(dry=99.9, pa=999_999), epw_line(dew=35.0, rh=50)]
    weather = read_epw(epw(tmp_path, *rows))
    assert weather.name == "Somewhere"
    assert weather.hours[24].dry_c == 30.0
    assert weather.hours[24].pressure_pa == 101_000.0
    # 35 degC is impossible: computed from 50 %
    assert weather.hours[25].dew_c == pytest.approx(18.4, abs=0.1)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([epw_line()] * 5, "at least 24"),
        ([epw_line()] * 24 + [epw_line(dry="hot")], ":33: columns 7 to 10"),
        ([epw_line()] * 24 + [epw_line(dry=80.0)], ":33: .*out of range"),
        ([epw_line()] * 24 + ["2005,1"], ":33: columns"),
        ([epw_line()] * 24 + [epw_line(pa="inf")], ":33: columns 7 to 10"),
        ([epw_line(dry="nan")] * 24, ":9: columns 7 to 10"),
        ([epw_line()] * 24 + ["2005,13,1,1,0,x,1,1,1,1"], ":33: columns 2 to 4"),
        ([epw_line()] * 24 + ["2005,1,2,2,0,x,30,20,55,101000"], "hour 2 follows .* hour 24"),
        ([epw_line()] * 24 + ["2005,1,1,24,0,x,30,20,55,101000"], "hour 24 follows"),
        ([epw_line(dry=99.9)] * 24, "no hour has a dry bulb"),
        ([epw_line(dew=99.9, rh=999)] * 24, "no hour has a dew point"),
    ],
)
def test_epw_error_names_file_and_line(tmp_path: Path, rows: list[str], what: str) -> None:
    with pytest.raises(WeatherError, match=what):
        read_epw(epw(tmp_path, *rows))


def test_epw_missing_values_are_computed_and_noted(tmp_path: Path) -> None:
    weather = read_epw(epw(tmp_path, *[epw_line(dew=99.9, rh=50, pa=999_999)] * 24))
    assert weather.hours[0].dew_c == pytest.approx(18.4, abs=0.1)  # of 30 degC and 50 %
    assert weather.hours[0].pressure_pa == pytest.approx(101_205, abs=10)  # at 10 m
    assert weather.notes == (
        "x.epw: 24 of 24 hours have no dew point: replaced",
        "x.epw: 24 of 24 hours have no pressure: replaced",
    )
    weather = read_epw(epw(tmp_path, *[epw_line(dry=99.9)] * 5, *[epw_line(dry=21.0)] * 20))
    assert weather.hours[0].dry_c == 21.0
    assert read_epw(epw(tmp_path, *[epw_line(rh=999)] * 24)).notes == ()


def test_epw_of_a_leap_year_and_of_two_years_and_with_a_mark_of_an_editor(tmp_path: Path) -> None:
    for days, hours in (((28, 31), 49), ((28, 29), 49)):
        last = "3,1" if days[1] == 31 else "2,29"
        rows = [f"2004,2,28,{h},0,x,30,20,55,101000" for h in range(1, 25)]
        rows += [f"2004,{last},{h},0,x,30,20,55,101000" for h in range(1, 25)]
        next_day = "3,2" if days[1] == 31 else "3,1"
        rows.append(f"2007,{next_day},1,0,x,30,20,55,101000")
        path = epw(tmp_path, *rows)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert len(read_epw(path).hours) == hours
    rows = [f"2004,12,31,{h},0,x,30,20,55,101000" for h in range(1, 25)]
    assert len(read_epw(epw(tmp_path, *rows, "2006,1,1,1,0,x,30,20,55,101000")).hours) == 25


def test_epw_with_data_in_the_header_is_refused(tmp_path: Path) -> None:
    path = epw(tmp_path, *[epw_line()] * 30)
    lines = path.read_text(encoding="latin-1").splitlines()
    path.write_text("\n".join([*lines[:5], *lines[8:]]), encoding="latin-1")
    with pytest.raises(WeatherError, match="8 header lines"):
        read_epw(path)


def test_unknown_weather_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(WeatherError, match="give dubai"):
        load_weather("atlantis")
    with pytest.raises(WeatherError, match="No such file"):
        load_weather(str(tmp_path / "none.epw"))
    (tmp_path / "text.epw").write_text("hello\n", encoding="ascii")
    with pytest.raises(WeatherError, match="LOCATION"):
        load_weather(str(tmp_path / "text.epw"))


# Loads, room, power.


def run_server(server: ServerModel, seconds: float, plate: float = 30.0) -> None:
    for _ in range(int(seconds * 10)):
        server.step(0.1, 32.0, plate)


def test_server_heats_its_case_and_applies_limit_after_delay() -> None:
    server = ServerModel()
    server.demand_w = 900.0
    run_server(server, 200)
    hot = server.case_c
    assert server.power_w == pytest.approx(900.0 + server.leakage_w, rel=0.001)
    assert hot == pytest.approx(32.0 + server.power_w / 30.0, abs=0.2)
    server.set_limit(500.0)
    run_server(server, 0.3)
    assert server.power_w > 850.0  # the limit is delayed
    run_server(server, 5.0)
    assert server.power_w <= 501.0
    run_server(server, 200)
    assert server.case_c < hot - 10.0
    server.set_limit(50.0)
    run_server(server, 5.0)
    assert server.limit_w == 200.0  # the minimum limit of the device
    server.set_limit(None)
    run_server(server, 5.0)
    assert server.power_w > 850.0


def test_leakage_rises_with_case_temperature_and_hot_server_throttles() -> None:
    cold, hot = ServerModel(case_c=40.0), ServerModel(case_c=80.0)
    assert hot.leakage_w > 1.5 * cold.leakage_w
    server = ServerModel(case_c=60.0)
    server.demand_w = 950.0
    run_server(server, 300, plate=12.0)
    assert server.self_throttled
    assert server.power_w < 800.0
    before = server.case_c
    assert server.step(0.1, 32.0, 0.0) == 0.0  # no flow: all heat remains in the case
    assert server.case_c > before


def test_server_energy_balance_closes() -> None:
    server = ServerModel()
    server.demand_w = 800.0
    for _ in range(100):
        before = server.case_c
        heat = server.step(0.25, 32.0, 30.0)
        stored = server.parameters.case_j_k * (server.case_c - before)
        assert heat * 0.25 + stored == pytest.approx(server.power_w * 0.25, rel=1e-9)


def test_optics_follow_room_temperature_and_lit_lanes() -> None:
    module = OpticalModule()
    for _ in range(600):
        module.step(1.0, 35.0)
    assert module.case_c == pytest.approx(35.0 + 25.0 * 1.2, abs=0.1)
    assert module.cmis_temperature == round(module.case_c * 256)
    assert not module.warning
    module.airflow = 0.4
    for _ in range(600):
        module.step(1.0, 35.0)
    assert module.warning
    assert module.alarm == (module.case_c >= ALARM_C)
    hot = module.case_c
    module.lanes = 0
    for _ in range(600):
        module.step(1.0, 35.0)
    assert module.case_c < hot - 15.0
    assert OpticalModule(case_c=-1.0).cmis_temperature == 0xFF00


def test_room_removes_residual_heat() -> None:
    room = Room(27.0, 50.0)
    assert room.dew_c == pytest.approx(15.7, abs=0.1)
    assert room.electric_kw(1000.0) == pytest.approx(50.0)  # 20 % at a COP of 4


def test_electrical_losses_are_within_the_budget() -> None:
    losses = ElectricalChain(1000.0).losses_kw(1000.0, 60.0)
    assert set(losses) == {"transformer", "ups", "distribution"}
    assert 40.0 < sum(losses.values()) < 60.0
    assert sum(ElectricalChain(1000.0).losses_kw(300.0, 60.0).values()) > 0.3 * sum(losses.values())


def test_generator_starts_only_after_outage() -> None:
    grid = Grid()
    grid.start_generator()
    assert not grid.generator_running
    grid.fail()
    assert grid.state() == (0.0, 0.0)
    grid.start_generator()
    assert grid.generator_running
    assert 49.0 < grid.hertz < 50.0
    grid.restore()
    assert grid == Grid()


def test_the_mains_return_when_the_last_cause_has_ended() -> None:
    grid = Grid()
    grid.set_voltage(0.5)
    grid.set_frequency(49.0)
    grid.fail("outage")
    grid.fail("generator")
    assert grid.state() == (0.0, 0.0)
    grid.start_generator()
    assert grid.state() == (1.0, pytest.approx(49.7))
    grid.restore("outage")
    assert grid.state() == (1.0, pytest.approx(49.7)), "the generator supplies the row"
    grid.restore("generator")
    assert grid.state() == (0.5, 49.0), "the dip has not ended"
    grid.set_voltage(1.0)
    grid.set_frequency(50.0)
    assert grid == Grid()


def test_reference_accepts_changed_parameters() -> None:
    assert reference_parameters(1000.0, plate_r0_k_w=0.02).plate_r0_k_w == 0.02
    assert replace(COOLER, fan_kw=1.0).fan_kw == 1.0


def test_facility_variable_table_matches_attributes() -> None:
    plant = reference_plant()
    owners = {
        "facility": plant.facility,
        "inventory": plant.inventory,
        "room": Room(),
        "grid": Grid(),
    }
    plant.advance(10 * SECOND)
    for variable in FACILITY_VARIABLES:
        owner, _, path = variable.name.partition(".")
        value: object = owners[owner]
        for name in path.split("."):
            value = getattr(value, name)
        assert isinstance(value, int | float)
        assert variable.minimum <= value <= variable.maximum, variable.name
