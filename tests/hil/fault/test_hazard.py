# SPDX-License-Identifier: Apache-2.0
"""Each fault of the hazard analysis has its described effect, and its end removes the effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.fault.process.hazard import HAZARD_EVENTS
from hil.fault.register import REGISTER_EVENTS
from hil.kernel.world import World
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from tests.hil.fault.test_plant import advance

WORDS = {**HAZARD_EVENTS, **REGISTER_EVENTS}
SECOND = 1_000_000


class Effect(NamedTuple):
    """A word and its value; what is read; its least and largest value 10 s after the start."""

    word: str
    value: float
    read: Callable[[Testbed], float]
    low: float
    high: float


def _register(address: int) -> Callable[[Testbed], float]:
    def read(testbed: Testbed) -> float:
        testbed.rpu.refresh(testbed.world.now)
        return testbed.rpu.registers[address] / 10.0

    return read


def _of_valve(address: int, counts: float) -> Callable[[Testbed], float]:
    def read(testbed: Testbed) -> float:
        testbed.valve.refresh(testbed.world.now)
        return testbed.valve.registers[address] / counts

    return read


EFFECTS = [
    Effect("pumps_seized", 0, lambda t: t.plant.flow_true_lpm, 0, 0),
    Effect("pump_uncoupled", 1, lambda t: t.plant.flow_true_lpm, 0, 0),
    Effect("isolating_valve", 0, lambda t: t.plant.flow_true_lpm, 0, 1),
    Effect("isolating_valve", 0, lambda t: t.plant.dp_kpa, 100, 300),
    Effect("rack_blocked", 2, lambda t: t.plant.rack_case_c[1], 62, 80),
    Effect("rack_blocked", 2, lambda t: t.plant.flow_true_lpm, 125, 145),
    Effect("hidden_leak", 5, lambda t: t.plant.return_kpa, 140, 148),
    Effect("supply_register", 99.0, _register(36865), 99, 99),
    Effect("supply_register", 3276.7, _register(36865), 3276.7, 3276.7),
    Effect("return_register", 0.0, _register(36866), 0, 0),
    Effect("flow_register", 1500.0, _register(36864), 1500, 1500),
    Effect("dp_register", 0.0, _register(36867), 0, 0),
    Effect("suction_register", 400.0, _register(36868), 400, 400),
    Effect("supply_scale", 0.1, _register(36865), 3, 3.4),
    Effect("sensors_swapped", 0, _register(36865), 38, 45),
    Effect("facility_flow_register", 500.0, _of_valve(7, 1000 / 60), 499.9, 500.1),
    Effect("facility_flow_scale", 0.1, _of_valve(7, 1000 / 60), 4, 20),
    Effect("facility_supply_register", 60.0, _of_valve(19, 100.0), 60, 60),
    Effect("facility_supply_offset", -8.0, _of_valve(19, 100.0), 15.9, 16.1),
    Effect("facility_return_register", 0.0, _of_valve(21, 100.0), 0, 0),
    Effect("facility_return_offset", 30.0, _of_valve(21, 100.0), 55, 80),
    Effect("facility_sensors_swapped", 0, _of_valve(19, 100.0), 28, 45),
    Effect("valve_position_register", 100.0, _of_valve(4, 100.0), 100, 100),
]


def make_testbed() -> Testbed:
    """Make a row of 80 kW with the loads, at 30 s."""
    settings = TestbedSettings(it_kw=80.0, humidity_sensors=3, parts="throttle")
    testbed = Testbed(World(1, 0), settings)
    testbed.plant.valve.command(testbed.plant.valve.position_pct)
    advance(testbed, 30)
    return testbed


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda e: f"{e.word}-{e.value:g}")
def test_effect_and_end(effect: Effect) -> None:
    testbed = make_testbed()
    before = effect.read(testbed)
    assert not effect.low <= before <= effect.high
    WORDS[effect.word].do(testbed, effect.value)
    advance(testbed, 10)
    assert effect.low <= effect.read(testbed) <= effect.high
    undo = WORDS[effect.word].undo
    assert undo is not None
    undo(testbed)
    advance(testbed, 90)
    assert effect.read(testbed) == pytest.approx(before, rel=0.03)


def test_uncoupled_pump_turns_and_draws_no_power() -> None:
    testbed = make_testbed()
    WORDS["pump_uncoupled"].do(testbed, 1.0)
    advance(testbed, 10)
    assert testbed.plant.pumps[0].speed_pct == 70.0
    assert testbed.drives[0].watts(70.0) == 0.0


def test_reversed_valve_opens_when_its_actuator_closes() -> None:
    testbed = make_testbed()
    WORDS["valve_reversed"].do(testbed, 0.0)
    testbed.plant.valve.command(20.0)
    advance(testbed, 60)
    assert (testbed.plant.valve_position_pct, testbed.plant.valve.opening_pct) == (20.0, 80.0)
    undo = WORDS["valve_reversed"].undo
    assert undo is not None
    undo(testbed)  # the stem does not jump
    assert (testbed.plant.valve_position_pct, testbed.plant.valve.opening_pct) == (80.0, 80.0)
    flow_lpm = testbed.plant.fws_flow_lpm
    advance(testbed, 60)
    assert testbed.plant.fws_flow_lpm < 0.5 * flow_lpm


def test_tripped_pumps_stand() -> None:
    testbed = make_testbed()
    WORDS["pumps_tripped"].do(testbed, 0.0)
    advance(testbed, 10)
    assert testbed.plant.flow_true_lpm == 0.0


def test_frozen_humidity_does_not_follow_the_room() -> None:
    testbed = make_testbed()
    sensors = testbed.surroundings.humidity_sensors
    before = [sensor.measured_values for sensor in sensors]
    WORDS["dew_frozen"].do(testbed, 0.0)
    testbed.surroundings.room.set_humidity(85.0)
    advance(testbed, 10)
    assert [sensor.measured_values for sensor in sensors] == before
    undo = WORDS["dew_frozen"].undo
    assert undo is not None
    undo(testbed)
    advance(testbed, 10)
    assert min(sensor.measured_values[0] for sensor in sensors) > 80.0


@pytest.mark.parametrize("word", ["loads_ignore", "loads_stay_on", "outlet_ignores"])
def test_loads_confirm_and_ignore(word: str) -> None:
    testbed = make_testbed()
    bank = testbed.load_bank
    assert bank is not None
    WORDS[word].do(testbed, 0.0)
    bmc = bank.bmcs["bmc1"]
    body = b'{"PowerLimitWatts": {"SetPoint": 10000}}'
    _request(bmc, "PATCH", "Chassis/gpu1/EnvironmentMetrics", body, testbed.world.now)
    _request(
        bmc,
        "POST",
        "Systems/gpu2/Actions/ComputerSystem.Reset",
        b'{"ResetType": "ForceOff"}',
        testbed.world.now,
    )
    bank.pdu.registers[1] = 0
    bank.pdu.on_write(1, 1, testbed.world.now)
    advance(testbed, 10)
    gpu1, gpu2, _, storage = (load.watts(testbed.world.now) for load in bank.loads)
    assert (gpu1 > 20_000) == (word == "loads_ignore")
    assert (gpu2 > 1.0) == (word == "loads_stay_on")
    assert (storage > 1.0) == (word == "outlet_ignores")
    undo = WORDS[word].undo
    assert undo is not None
    undo(testbed)
    advance(testbed, 10)
    assert bank.loads[0].watts(testbed.world.now) < 10_100
    assert bank.loads[3].watts(testbed.world.now) < 1.0


def _request(bmc: object, method: str, path: str, body: bytes, now: int) -> None:
    head = (
        f"{method} /redfish/v1/{path} HTTP/1.1\r\nHost: bmc\r\n"
        f"Authorization: Basic Y29sZGxvb3A6YmVuY2gtb25seQ==\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    bmc.opened(1, now)  # type: ignore[attr-defined]
    replies = bmc.receive(1, head.encode() + body, now)  # type: ignore[attr-defined]
    assert b"204" in replies[0][2]


def test_foreign_write_moves_the_valve() -> None:
    run = VirtualRun(find("smoke"), 1)
    run.shell.start()
    run.shell.run(20 * SECOND)
    WORDS["foreign_write"].do(run.testbed, 90.0)
    commands = set()
    for tenth in range(200, 240):
        run.shell.run(tenth * SECOND // 10)
        commands.add(run.testbed.plant.valve_command_pct)
    assert 90.0 in commands
    assert len(commands) > 1  # the agent writes its own value again
    undo = WORDS["foreign_write"].undo
    assert undo is not None
    undo(run.testbed)
    assert run.testbed.bus.other_devices == []


def test_board_restarts_with_its_stores() -> None:
    run = VirtualRun(find("smoke"), 1)
    run.shell.start()
    run.shell.run(20 * SECOND)
    first = run.dut
    WORDS["board_restart"].do(run.testbed, 0.0)
    run.shell.run(30 * SECOND)
    assert run.dut is not first


def test_every_word_is_tested() -> None:
    tested = {effect.word for effect in EFFECTS} | {
        "valve_reversed",
        "pumps_tripped",
        "dew_frozen",
        "loads_ignore",
        "loads_stay_on",
        "outlet_ignores",
        "foreign_write",
        "board_restart",
    }
    assert tested == set(WORDS)
