"""Each word for a fault of the plant does what it says, and its end takes it away."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from hil.bench.testbed import Row
from hil.bench.testbed_settings import Setting
from hil.devices.cooling.vaisala_hmd65 import HumiditySensor
from hil.devices.power.abb_meter import AbbMeter
from hil.fault.plant import PLANT_EVENTS
from hil.kernel.world import World
from hil.plant.fluid.hydraulics import operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.inventory import head_left
from hil.plant.plant import Plant
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, shipped
from hil.scenario.model import parse

SECOND = 1_000_000
P = PlantParameters()


def row() -> Row:
    """A row with both pumps running, a meter and two humidity sensors, at 60 s."""
    made = Row(World(1, 0), Setting(it_kw=80.0, meters=1, humidity_sensors=2, outdoor_sensors=1))
    made.plant.valve.command(made.plant.valve.position_pct)
    go(made, 60)
    return made


def go(made: Row, seconds: float) -> None:
    """Let time pass: events of the world, plant, meter."""
    end = made.world.now + int(seconds * SECOND)
    heap = made.world.heap
    while heap and heap[0][0] <= end:
        event = heap.pop(0)
        made.world.now = event[0]
        event[3](*event[4])
    made.world.now = end
    made.plant.advance(end)
    for slave in made.around.slaves():
        slave.refresh(end)


# word, value, seconds, what is looked at, by how much it has to move, how much may be left after
MOVES: list[tuple[str, float, float, Callable[[Row], float], float, float]] = [
    ("leak", 2.0, 60, lambda r: r.plant.inventory.level_l, -1.9, 99.0),
    ("leak", 2.0, 60, lambda r: r.rpu.leakage, 256.0, 0.0),
    ("leak_detector", 0.0, 1, lambda r: r.rpu.leakage, 256.0, 0.0),
    ("air_in_loop", 8.0, 1, lambda r: r.plant.flow_true_lpm, -20.0, 99.0),
    ("filter_clog", 80.0, 1, lambda r: r.plant.flow_true_lpm, -20.0, 0.01),
    ("filter_clog", 80.0, 1, lambda r: r.plant.filter_kpa, 30.0, 0.01),
    ("reservoir_low", 0.0, 1, lambda r: float(r.rpu.reservoir_low), 1.0, 0.0),
    ("emergency_stop", 0.0, 1, lambda r: r.rpu.status_alarm, 256.0, 0.0),
    ("valve_stuck", 0.0, 1, lambda r: float(r.plant.valve.stuck), 1.0, 0.0),
    ("valve_stiction", 3.0, 1, lambda r: r.plant.valve.deadband_pct, 2.0, 0.0),
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
    ("room_temperature", 32.0, 1, lambda r: r.around.humidity[0].seen[2], 4.0, 99.0),
    ("room_humidity", 80.0, 1, lambda r: r.around.humidity[1].seen[2], 7.0, 99.0),
    ("humidity_dead", 2.0, 1, lambda r: float(r.around.humidity[1].dead), 1.0, 0.0),
    ("outdoor_dead", 0.0, 1, lambda r: float(r.around.outdoor[0].dead), 1.0, 0.0),
    ("outdoor_temperature", 40.0, 1, lambda r: r.around.outdoor[0].seen[1], 15.0, 99.0),
    ("humidity_error", 10.0, 1, lambda r: r.around.humidity[0].seen[0], 9.0, 2.0),
]


def _meter(made: Row) -> AbbMeter:
    return made.around.meters[0]


@pytest.mark.parametrize(("word", "value", "seconds", "look", "by", "left"), MOVES)
def test_word(
    word: str,
    value: float,
    seconds: float,
    look: Callable[[Row], float],
    by: float,
    left: float,
) -> None:
    made = row()
    before = look(made)
    PLANT_EVENTS[word].do(made, value)
    go(made, seconds)
    moved = look(made) - before
    assert moved / by >= 1.0, moved
    undo = PLANT_EVENTS[word].undo
    if undo is not None:
        undo(made)
        go(made, 2)
        assert abs(look(made) - before) <= left


@pytest.mark.parametrize(
    ("word", "name"),
    [("supply_stuck", "supply_c"), ("dp_stuck", "supply_kpa"), ("flow_stuck", "flow_lpm")],
)
def test_a_stuck_sensor_stays(word: str, name: str) -> None:
    made = row()
    PLANT_EVENTS[word].do(made, 0.0)
    shown = getattr(made.plant, name)
    made.plant.set_load(20.0)
    made.plant.pumps[0].command(90.0, 20.0)
    go(made, 60)
    assert getattr(made.plant, name) == shown
    undo = PLANT_EVENTS[word].undo
    assert undo is not None
    undo(made)
    go(made, 30)
    assert getattr(made.plant, name) != pytest.approx(shown, abs=0.3)


def test_noise_is_added() -> None:
    made = row()
    PLANT_EVENTS["supply_noise"].do(made, 1.0)
    seen = []
    for _ in range(200):
        go(made, 1)
        seen.append(made.plant.supply_c - made.plant.supply_true_c)
    assert 0.8 < (sum(v * v for v in seen) / len(seen)) ** 0.5 < 1.2


def test_a_held_humidity_sensor_does_not_follow_the_room() -> None:
    made = row()
    PLANT_EVENTS["humidity_stuck"].do(made, 1.0)
    PLANT_EVENTS["room_humidity"].do(made, 85.0)
    go(made, 2)
    assert made.around.humidity[0].seen[2] + 5.0 < made.around.humidity[1].seen[2]
    undo = PLANT_EVENTS["humidity_stuck"].undo
    assert undo is not None
    undo(made)
    go(made, 2)
    assert made.around.humidity[0].seen[2] == pytest.approx(made.around.humidity[1].seen[2], abs=1)


def test_every_word_has_a_test() -> None:
    tested = {word for word, *_ in MOVES}
    tested |= {"supply_stuck", "dp_stuck", "flow_stuck", "supply_noise", "humidity_stuck"}
    tested |= {"fan_lost", "fan_dead", "fan_trip"}  # `test_plant_fans`: they need a cooler
    assert tested == set(PLANT_EVENTS)


def test_coolant_is_neither_made_nor_lost() -> None:
    made = row()
    held = made.plant.inventory
    for leak, air, makeup, seconds in (
        (5.0, 0.0, 0.0, 60),
        (30.0, 2.0, 1.0, 60),
        (0.0, 0.0, 20.0, 3600),
    ):
        held.leak_lpm, held.makeup_lpm = leak, makeup
        if air:
            held.admit(air)
        go(made, seconds)
        assert held.residual_l == pytest.approx(0.0, abs=1e-9)
        energy = made.plant.energy()
        assert abs(energy.residual_j) <= 1e-6 * energy.in_j
    assert held.air_pct < 5.0


def test_gas_spoils_the_pumps_until_they_lose_their_prime() -> None:
    assert head_left(0.0) == 1.0
    assert head_left(5.0) == pytest.approx(0.85)
    assert head_left(12.0) == head_left(40.0) == 0.0
    assert sorted((head_left(x / 10) for x in range(150)), reverse=True) == [
        head_left(x / 10) for x in range(150)
    ]


def test_backflow_takes_from_the_row_and_is_pumped_all_the_same() -> None:
    shut = operating_point(P, [70.0, 0.0])
    back = operating_point(P, [70.0, 0.0], frozenset({1}))
    assert back.pump_lpm[1] < 0.0
    assert back.pump_lpm[0] > shut.pump_lpm[0] > back.flow_lpm
    r = (P.row_kpa + P.inner_kpa) / P.tcs_design_lpm**2
    assert back.head_kpa == pytest.approx(P.static_kpa + r * back.flow_lpm**2, rel=1e-4)


def test_a_sensor_that_is_not_there_cannot_be_false() -> None:
    with pytest.raises(ValueError, match="no sensor"):
        Plant(Random(1)).falsify("case_c")


def test_the_dew_point_shown_is_that_of_what_the_elements_read() -> None:
    made = row()
    sensor: HumiditySensor = made.around.humidity[0]
    assert sensor.registers[0x102] / 100 == pytest.approx(sensor.seen[2], abs=0.006)
    assert sensor.seen[2] == pytest.approx(15.7, abs=0.6)  # 27 degC, 50 %: psychrometric chart


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


def test_a_row_with_meter_and_humidity_sensors_runs() -> None:
    run = VirtualRun(parse(WITH_ALL, "x"), 1)
    assert run.outcome("cpython", run.run()).failures == ()


def test_scenarios_of_the_plant_are_shipped() -> None:
    events = {event.do for name in shipped() for event in find(name).events}
    assert len(events & set(PLANT_EVENTS)) >= 8
