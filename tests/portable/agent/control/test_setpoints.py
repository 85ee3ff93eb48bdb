# SPDX-License-Identifier: Apache-2.0
"""Set-point requests and live changes: the last one holds, the configuration stays as loaded."""

from agent.config.config_copy import with_setpoint, with_tuning
from agent.control.actuator.set_point import NoSensor, SetPointLoop
from agent.core.actuator import PRESSURE, SUPPLY, SetpointRequest
from agent.core.config_records import Config, LoopConfig
from agent.remote.update.live_change import with_changes
from agent.retain.component import Retain
from tests.portable.agent.control.test_component import ROOM1, ROOM2, make_rig
from tests.portable.support.agent_rig import CDU, VALVE, AgentRig, FieldbusRig, config
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import OPTIMUM

LONG = (
    "test_a_change_leaves_the_pressure_of_the_optimiser_in_force",
    "test_new_tuning_reaches_the_model_of_the_supply",
    "test_new_tuning_reaches_the_speed_law_of_the_pumps",
)

SUPPLY_C, FACILITY_C = 0, 2  # registers of the CDU and of the valve
SETPOINT, GAIN = 1, 3  # numbers of parameters of the supply loop
DP_SETPOINT, DP_RATE = 2, 8  # and of the pressure loop


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


def kept(rig):
    """Return what a restart or the other controller of a pair gets of the set-points."""
    lines = Retain(rig.agent, {}, -1).state(0).decode().split("\n")
    return [line for line in lines if line.split(" ")[0] in (SUPPLY, PRESSURE)]


def test_only_a_request_is_kept_over_a_restart_and_not_a_change():
    """The change is in the records of `remote`. One that was rolled back must not return."""
    rig = start_rig()
    change(rig, (SETPOINT, 33))
    eq(kept(rig), [])
    request(rig, SUPPLY, 30.0)
    change(rig, (GAIN, 7))
    eq(kept(rig), ["supply 33000 30000"])  # the next start has 33 in its configuration
    request(rig, SUPPLY, 33.0)
    eq(kept(rig), [])


def test_a_request_of_before_a_change_that_is_rolled_back_is_kept():
    rig = start_rig()
    request(rig, SUPPLY, 30.0)
    before = rig.agent.running_config()
    change(rig, (SETPOINT, 33))
    eq(kept(rig), [])
    rig.agent.apply_live_config(before)
    eq(kept(rig), ["supply 32000 30000"])


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


def test_each_loop_shows_the_target_of_its_setpoint():
    basic, model = start_rig(), make_rig()
    for rig in (basic, model):
        request(rig, SUPPLY, 34.0)
        rig.run(2)
        eq(rig.agent.supply_loop.target, 34.0)
    eq(basic.agent.supply_loop.setpoint, 34.0)
    assert model.agent.supply_loop.setpoint < 33.0
    model.agent.supply_loop.cooling.set_target(33.5)  # as the optimiser does
    eq(model.agent.supply_loop.target, 33.5)


def test_a_change_between_two_cycles_leaves_the_setpoint_in_force():
    """The dew-point limit holds it up. A status of this moment must not show the configured one."""
    rig = make_rig(dew=True)
    rig.set(ROOM1, 0, 3500)
    rig.set(ROOM1, 1, 8500)  # dew point 32.1 °C
    rig.run(20)
    loop = rig.agent.supply_loop
    in_force_c = loop.setpoint
    assert in_force_c > 34.0, in_force_c
    for setpoint_c in (20, 40):
        change(rig, (SETPOINT, setpoint_c))
        eq(loop.setpoint, in_force_c)
    request(rig, SUPPLY, 20.0)
    eq(loop.setpoint, in_force_c)
    rig.run(2)
    near(loop.setpoint, in_force_c, 0.1)


def test_a_change_leaves_the_pressure_of_the_optimiser_in_force():
    """It rises by 0.2 kPa each cycle to that of the optimiser, which the change may have moved."""
    model = {key: value for key, value in OPTIMUM.items() if key != "every_s"}
    rig = make_rig(optimum=dict(model, air="room2", every_s=60), low_c=25, high_c=34, dew=True)
    rig.set(ROOM2, 0, 3000)
    rig.run(200)
    loop = rig.agent.pressure_loop
    in_force_kpa = loop.setpoint
    assert 20.0 < in_force_kpa < 75.0, in_force_kpa
    for changes in (((DP_RATE, 7),), ((DP_SETPOINT, 110),)):
        change(rig, *changes)
        eq(loop.setpoint, in_force_kpa)
    request(rig, PRESSURE, 105.0)
    eq((loop.setpoint, loop.config.setpoint, loop.config.rate_pct_per_s), (in_force_kpa, 105.0, 7))
    rig.run(2)
    near(loop.setpoint, in_force_kpa, 0.45)


def test_a_change_leaves_the_optimised_setpoint_of_a_cdu_that_controls_itself():
    settings = with_setpoint(FieldbusRig().config.pressure, 80.0)
    settings.actuators = []
    loop = SetPointLoop(settings, NoSensor(), None, "dp")
    loop.set_tuning(with_setpoint(settings, 90.0))
    eq((loop.setpoint, loop.config.setpoint), (90.0, 90.0))
    loop.set_setpoint(60.0)
    loop.set_tuning(with_setpoint(settings, 70.0))
    eq((loop.setpoint, loop.target), (60.0, 70.0))


def test_copies_share_nothing_that_is_changed():
    rig = start_rig()
    config = rig.agent.config
    copy = with_tuning(config, with_setpoint(config.supply, 30.0), config.pressure, 45.0)
    eq((type(copy), type(copy.supply)), (Config, LoopConfig))
    eq((copy.supply.setpoint, copy.supply_max_c, copy.site), (30.0, 45.0, config.site))
    eq((config.supply.setpoint, config.supply_max_c), (32, 40))
    eq((copy.supply.gain, copy.pressure is config.pressure), (config.supply.gain, True))


def tuned(loop, **values):
    """Return the configuration of one of the loops of `config`, with changed values."""
    raw = config()
    raw["control"][loop].update(values)
    made = FieldbusRig(raw).config
    return made.supply if loop == "supply" else made.pressure


def test_new_tuning_reaches_the_model_of_the_supply():
    rig = make_rig()
    loop = rig.agent.supply_loop
    loop.set_tuning(tuned("supply", setpoint_c=33, min_pct=30, max_pct=45))
    rig.run(120)
    eq(loop.setpoint, 33.0)
    for facility_c, supply_c, valve_pct in ((31, 34, 45), (15, 32, 30)):
        rig.set(VALVE, FACILITY_C, 100 * facility_c)
        rig.set(CDU, SUPPLY_C, 10 * supply_c)
        rig.run(60)
        eq((facility_c, rig.agent.valve.command_pct), (facility_c, valve_pct))


def test_gentle_mode_halves_the_gain_of_the_model_of_the_supply():
    """The error is then 1.5 K: half of it is 0.75 K, a quarter 0.375 K."""
    for is_gentle, correction_k in ((False, 0.75), (True, 0.375)):
        rig = make_rig()
        loop, law = rig.agent.supply_loop, rig.agent.supply_loop.cooling.feedforward
        rig.set(CDU, SUPPLY_C, 335)
        rig.run(4)
        loop.set_care(is_gentle, 1.0, 0.0)
        loop.step(rig.now, 1.0)
        near(law.correction - law._integral, correction_k, 0.1)


def test_new_tuning_reaches_the_speed_law_of_the_pumps():
    rig = make_rig()
    loop = rig.agent.pressure_loop
    loop.set_tuning(tuned("dp", setpoint_kpa=110, min_pct=30, max_pct=45))
    rig.run(60)
    eq((loop.setpoint, loop.controller.output), (110, 45))
    loop.set_tuning(tuned("dp", setpoint_kpa=60, min_pct=35, max_pct=45))
    rig.run(120)
    eq((loop.setpoint, loop.controller.output), (60, 35))
