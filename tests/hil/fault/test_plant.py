# SPDX-License-Identifier: Apache-2.0
"""Each fault of the plant has its described effect, and its end removes the effect."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.cooling.vaisala_hmd65 import HumiditySensor
from hil.devices.drives.abb_acs580 import ACT1
from hil.devices.power.abb_meter import AbbMeter
from hil.fault.process.plant import PLANT_EVENTS
from hil.fault.process.power import POWER_EVENTS
from hil.fault.sensor import SENSOR_EVENTS
from hil.kernel.world import World
from hil.plant.fluid.hydraulics import operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.inventory import Inventory, head_fraction
from hil.plant.plant import Plant
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, parse, shipped_names

SECOND = 1_000_000
TESTED_EVENTS = {**PLANT_EVENTS, **POWER_EVENTS, **SENSOR_EVENTS}
P = PlantParameters()


def make_testbed() -> Testbed:
    """Make a row with both pumps running, a meter and two humidity sensors, at 60 s."""
    testbed = Testbed(
        World(1, 0), TestbedSettings(it_kw=80.0, meters=1, humidity_sensors=2, outdoor_sensors=1)
    )
    testbed.plant.valve.command(testbed.plant.valve.position_pct)
    advance(testbed, 60)
    return testbed


def advance(testbed: Testbed, seconds: float) -> None:
    """Advance the events of the world, the plant and the bus devices."""
    end = testbed.world.now + int(seconds * SECOND)
    heap = testbed.world.heap
    while heap and heap[0][0] <= end:
        event = heap.pop(0)
        testbed.world.now = event[0]
        event[3](*event[4])
    testbed.world.now = end
    testbed.plant.advance(end)
    for slave in testbed.surroundings.list_servers():
        slave.refresh(end)


def _shown_speed(testbed: Testbed) -> float:
    drive = testbed.drives[0]
    drive.refresh(testbed.world.now)
    return float(drive.registers[ACT1])


# fault, value, seconds, observed value, least change, largest remainder after the end
MOVES: list[tuple[str, float, float, Callable[[Testbed], float], float, float]] = [
    ("leak", 2.0, 60, lambda r: r.plant.inventory.reservoir_volume_l, -1.9, 99.0),
    ("leak", 2.0, 60, lambda r: r.rpu.leakage, 256.0, 0.0),
    ("leak_detector", 0.0, 1, lambda r: r.rpu.leakage, 256.0, 0.0),
    ("air_in_loop", 8.0, 1, lambda r: r.plant.flow_true_lpm, -20.0, 99.0),
    ("filter_clog", 80.0, 1, lambda r: r.plant.flow_true_lpm, -20.0, 0.01),
    ("filter_clog", 80.0, 1, lambda r: r.plant.filter_kpa, 30.0, 0.01),
    ("reservoir_low", 0.0, 1, lambda r: float(r.rpu.reservoir_low), 1.0, 0.0),
    ("emergency_stop", 0.0, 1, lambda r: r.rpu.status_alarm, 256.0, 0.0),
    ("valve_stuck", 0.0, 1, lambda r: float(r.plant.valve.stuck), 1.0, 0.0),
    ("valve_stiction", 3.0, 1, lambda r: r.plant.valve.deadband_pct, 2.0, 0.0),
    ("load_wave", 20.0, 10, lambda r: r.plant.it_kw, 19.0, 99.0),
    ("hx_fouling", 60.0, 300, lambda r: r.plant.supply_true_c, 2.0, 99.0),
    ("fws_pressure", 0.0, 20, lambda r: r.plant.fws_flow_lpm, -50.0, 0.01),
    ("heat_rejection_lost", 0.0, 120, lambda r: r.plant.fws_c, 5.0, 99.0),
    ("weather_step", 5.0, 300, lambda r: r.plant.fws_c, 4.5, 99.0),
    ("supply_offset", 3.0, 2, lambda r: r.plant.supply_c - r.plant.supply_true_c, 2.8, 0.3),
    ("supply_drift", 360.0, 20, lambda r: r.plant.supply_c - r.plant.supply_true_c, 1.8, 0.3),
    ("return_offset", 3.0, 2, lambda r: r.plant.return_c - r.plant.return_true_c, 2.8, 0.3),
    ("dp_offset", 20.0, 2, lambda r: r.plant.supply_kpa, 19.0, 2.0),
    ("grid_outage", 0.0, 5, lambda r: r.plant.flow_true_lpm, -100.0, 200.0),
    ("grid_outage", 0.0, 5, lambda r: _meter(r).mains.volts[0], -220.0, 2.0),
    ("grid_generator", 3.0, 5, lambda r: _meter(r).mains.hertz, -0.25, 0.1),
    ("grid_dip", 40.0, 5, lambda r: r.plant.flow_true_lpm, -100.0, 200.0),
    ("grid_dip", 85.0, 5, lambda r: _meter(r).mains.volts[0], -30.0, 2.0),
    ("grid_frequency", 49.0, 5, lambda r: _meter(r).mains.hertz, -0.95, 0.1),
    ("pump_seized", 1.0, 5, lambda r: r.plant.flow_true_lpm, -100.0, 200.0),
    ("pump_nrv_open", 2.0, 1, lambda r: r.plant.flow_true_lpm, -20.0, 0.01),
    (
        "room_temperature",
        32.0,
        1,
        lambda r: r.surroundings.humidity_sensors[0].measured_values[2],
        4.0,
        99.0,
    ),
    (
        "room_humidity",
        80.0,
        1,
        lambda r: r.surroundings.humidity_sensors[1].measured_values[2],
        7.0,
        99.0,
    ),
    ("humidity_dead", 2.0, 1, lambda r: float(r.surroundings.humidity_sensors[1].dead), 1.0, 0.0),
    ("outdoor_dead", 0.0, 1, lambda r: float(r.surroundings.outdoor_sensors[0].dead), 1.0, 0.0),
    (
        "outdoor_temperature",
        40.0,
        1,
        lambda r: r.surroundings.outdoor_sensors[0].measured_values[1],
        15.0,
        99.0,
    ),
    (
        "humidity_error",
        10.0,
        1,
        lambda r: r.surroundings.humidity_sensors[0].measured_values[0],
        9.0,
        2.0,
    ),
    (
        "room_sensor_offset",
        10.0,
        1,
        lambda r: r.surroundings.humidity_sensors[0].measured_values[1],
        9.0,
        0.5,
    ),
    ("drive_speed_register", 0.0, 1, _shown_speed, -14_000.0, 1.0),
]


def _meter(testbed: Testbed) -> AbbMeter:
    return testbed.surroundings.meters[0]


@pytest.mark.parametrize(
    ("fault", "value", "seconds", "read", "min_change", "max_remainder"), MOVES
)
def test_fault_and_its_end(
    fault: str,
    value: float,
    seconds: float,
    read: Callable[[Testbed], float],
    min_change: float,
    max_remainder: float,
) -> None:
    testbed = make_testbed()
    before = read(testbed)
    TESTED_EVENTS[fault].do(testbed, value)
    advance(testbed, seconds)
    moved = read(testbed) - before
    assert moved / min_change >= 1.0, moved
    undo = TESTED_EVENTS[fault].undo
    if undo is not None:
        undo(testbed)
        advance(testbed, 2)
        assert abs(read(testbed) - before) <= max_remainder


@pytest.mark.parametrize(
    ("fault", "name"),
    [("supply_stuck", "supply_c"), ("dp_stuck", "supply_kpa"), ("flow_stuck", "flow_lpm")],
)
def test_stuck_sensor_holds_its_value(fault: str, name: str) -> None:
    testbed = make_testbed()
    TESTED_EVENTS[fault].do(testbed, 0.0)
    shown = getattr(testbed.plant, name)
    testbed.plant.set_load(20.0)
    testbed.plant.pumps[0].command(90.0, 20.0)
    advance(testbed, 60)
    assert getattr(testbed.plant, name) == shown
    undo = TESTED_EVENTS[fault].undo
    assert undo is not None
    undo(testbed)
    advance(testbed, 30)
    assert getattr(testbed.plant, name) != pytest.approx(shown, abs=0.3)


def test_noise_fault_adds_noise() -> None:
    testbed = make_testbed()
    TESTED_EVENTS["supply_noise"].do(testbed, 1.0)
    errors = []
    for _ in range(200):
        advance(testbed, 1)
        errors.append(testbed.plant.supply_c - testbed.plant.supply_true_c)
    assert 0.8 < (sum(v * v for v in errors) / len(errors)) ** 0.5 < 1.2


def test_stuck_humidity_sensor_does_not_follow_room() -> None:
    testbed = make_testbed()
    TESTED_EVENTS["humidity_stuck"].do(testbed, 1.0)
    TESTED_EVENTS["room_humidity"].do(testbed, 85.0)
    advance(testbed, 2)
    assert (
        testbed.surroundings.humidity_sensors[0].measured_values[2] + 5.0
        < testbed.surroundings.humidity_sensors[1].measured_values[2]
    )
    undo = TESTED_EVENTS["humidity_stuck"].undo
    assert undo is not None
    undo(testbed)
    advance(testbed, 2)
    assert testbed.surroundings.humidity_sensors[0].measured_values[2] == pytest.approx(
        testbed.surroundings.humidity_sensors[1].measured_values[2], abs=1
    )


def test_every_plant_fault_is_tested() -> None:
    tested = {fault for fault, *_ in MOVES}
    tested |= {"supply_stuck", "dp_stuck", "flow_stuck", "supply_noise", "humidity_stuck"}
    # `tests/hil/plant/test_fan_bank.py` tests these: they need a cooler
    tested |= {"fan_lost", "fan_dead", "fan_trip"}
    assert tested == set(TESTED_EVENTS)


def test_coolant_mass_is_conserved() -> None:
    testbed = make_testbed()
    inventory = testbed.plant.inventory
    for leak, air, makeup, seconds in (
        (5.0, 0.0, 0.0, 60),
        (30.0, 2.0, 1.0, 60),
        (0.0, 0.0, 20.0, 3600),
    ):
        inventory.set_leak(leak)
        inventory.set_makeup(makeup)
        if air:
            inventory.admit_air(air)
        advance(testbed, seconds)
        assert inventory.residual_l == pytest.approx(0.0, abs=1e-9)
        energy = testbed.plant.energy()
        assert abs(energy.residual_j) <= 1e-6 * energy.in_j
    assert inventory.air_pct < 5.0


def test_a_refilled_loop_stays_full_while_it_vents_its_air() -> None:
    """A second leak after the air is vented lowers the level again."""
    inventory = Inventory(P)
    inventory.set_leak(60.0)
    for _ in range(30):
        inventory.step(1.0)
    inventory.set_leak(0.0)
    assert inventory.air_pct > 1.0
    inventory.refill()
    while inventory.air_pct > 0.1:
        inventory.step(1.0)
        assert inventory.level_pct == pytest.approx(100.0)
    inventory.set_leak(6.0)
    for _ in range(60):
        inventory.step(1.0)
    assert inventory.level_pct < 60.0
    assert inventory.residual_l == pytest.approx(0.0, abs=1e-9)


def test_gas_reduces_pump_head_to_zero() -> None:
    assert head_fraction(0.0) == 1.0
    assert head_fraction(5.0) == pytest.approx(0.85)
    assert head_fraction(12.0) == head_fraction(40.0) == 0.0
    assert sorted((head_fraction(x / 10) for x in range(150)), reverse=True) == [
        head_fraction(x / 10) for x in range(150)
    ]


def test_backflow_reduces_row_flow() -> None:
    closed = operating_point(P, [70.0, 0.0])
    backflow = operating_point(P, [70.0, 0.0], frozenset({1}))
    assert backflow.pump_lpm[1] < 0.0
    assert backflow.pump_lpm[0] > closed.pump_lpm[0] > backflow.flow_lpm
    r = (P.row_kpa + P.cdu_internal_kpa) / P.tcs_design_lpm**2
    assert backflow.head_kpa == pytest.approx(P.static_kpa + r * backflow.flow_lpm**2, rel=1e-4)


def test_unknown_sensor_cannot_be_faulted() -> None:
    with pytest.raises(ValueError, match="no sensor"):
        Plant(Random(1)).sensor_fault("case_c")


def test_shown_dew_point_follows_sensing_elements() -> None:
    testbed = make_testbed()
    sensor: HumiditySensor = testbed.surroundings.humidity_sensors[0]
    assert sensor.read(0x102, 1) == [pytest.approx(100 * sensor.measured_values[2], abs=0.6)]
    assert sensor.measured_values[2] == pytest.approx(
        15.7, abs=0.6
    )  # 27 degC, 50 %: psychrometric chart


WITH_ALL = """
name = "x"
title = "x"
seconds = 60
[row]
meters = 2
humidity_sensors = 2
[[expect]]
measure = "alarms"
max = 0
[[expect]]
measure = "supply_c"
unit = "Cel"
min = 31
max = 33
"""


def test_testbed_with_meter_and_humidity_sensors_runs() -> None:
    run = VirtualRun(parse(WITH_ALL, "x"), 1)
    assert run.make_result("cpython", run.run()).failures == ()


def test_shipped_scenarios_use_plant_faults() -> None:
    events = {event.do for name in shipped_names() for event in find(name).events}
    assert len(events & set(TESTED_EVENTS)) >= 8
