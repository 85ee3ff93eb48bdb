# SPDX-License-Identifier: Apache-2.0
"""Set-point requests and live changes: the last one holds, the configuration stays as loaded."""

from agent.config.config_copy import with_setpoint, with_tuning
from agent.core.actuator import PRESSURE, SUPPLY, SetpointRequest
from agent.core.config_records import Config, LoopConfig
from agent.remote.update.live_change import with_changes
from tests.portable.agent.control.test_component import make_rig
from tests.portable.support.agent_rig import AgentRig
from tests.portable.support.check import eq

SETPOINT, GAIN = 1, 3  # numbers of parameters of the supply loop


def start_rig():
    rig = AgentRig()
    rig.run(8)
    return rig


def setpoints(rig):
    return rig.agent.supply_loop.setpoint, rig.agent.pressure_loop.setpoint


def request(rig, key, value):
    rig.agent.request_setpoint(SetpointRequest("test", key, value))


def change(rig, *changes):
    rig.agent.apply_live_config(with_changes(rig.agent.running_config(), list(changes)))


def loaded(rig):
    return rig.agent.config.supply.setpoint, rig.agent.config.pressure.setpoint


def test_last_request_holds_and_the_configuration_stays_as_loaded():
    rig = start_rig()
    eq(setpoints(rig), (32, 100))
    request(rig, SUPPLY, 30.0)
    request(rig, PRESSURE, 90.0)
    eq(setpoints(rig), (30.0, 90.0))
    request(rig, SUPPLY, 34.5)
    eq(setpoints(rig), (34.5, 90.0))
    rig.run(5)
    eq((setpoints(rig), loaded(rig)), ((34.5, 90.0), (32, 100)))


def test_request_does_not_move_the_valve_at_once():
    rig = start_rig()
    before = rig.agent.valve.command_pct
    request(rig, SUPPLY, 31.9)
    rig.run(1)
    assert abs(rig.agent.valve.command_pct - before) <= 1, rig.agent.valve.command_pct


def test_request_survives_a_change_of_other_tuning():
    rig = start_rig()
    request(rig, SUPPLY, 30.0)
    change(rig, (GAIN, 7))
    eq((setpoints(rig), rig.agent.supply_loop.config.gain), ((30.0, 100), 7))


def test_change_of_the_setpoint_ends_the_request():
    rig = start_rig()
    request(rig, SUPPLY, 30.0)
    change(rig, (SETPOINT, 32))  # the value that was loaded
    eq((setpoints(rig), loaded(rig)), ((32, 100), (32, 100)))


def test_request_replaces_a_change():
    rig = start_rig()
    change(rig, (SETPOINT, 33))
    request(rig, SUPPLY, 30.0)
    eq(setpoints(rig), (30.0, 100))


def test_earlier_running_configuration_can_be_restored():
    rig = start_rig()
    request(rig, SUPPLY, 30.0)
    before = rig.agent.running_config()
    change(rig, (SETPOINT, 33), (GAIN, 7))
    request(rig, PRESSURE, 90.0)
    eq((before.supply.setpoint, before.pressure.setpoint), (30.0, 100))
    rig.agent.apply_live_config(before)
    eq((setpoints(rig), rig.agent.supply_loop.config.gain), ((30.0, 100), 5))


def test_supply_limit_follows_a_change():
    rig = start_rig()
    change(rig, (15, 31))
    rig.run(2)
    eq("supply_high" in rig.alarm_codes(), True)
    eq(rig.agent.config.supply_max_c, 40)


def test_model_based_loop_ramps_to_the_request():
    rig = make_rig()
    request(rig, SUPPLY, 33.0)
    rig.run(2)
    assert 32.0 < rig.agent.supply_loop.setpoint < 33.0, rig.agent.supply_loop.setpoint
    rig.run(120)
    eq(rig.agent.supply_loop.setpoint, 33.0)


def test_copies_share_nothing_that_is_changed():
    rig = start_rig()
    config = rig.agent.config
    copy = with_tuning(config, with_setpoint(config.supply, 30.0), config.pressure, 45.0)
    eq((type(copy), type(copy.supply)), (Config, LoopConfig))
    eq((copy.supply.setpoint, copy.supply_max_c, copy.site), (30.0, 45.0, config.site))
    eq((config.supply.setpoint, config.supply_max_c), (32, 40))
    eq((copy.supply.gain, copy.pressure is config.pressure), (config.supply.gain, True))
