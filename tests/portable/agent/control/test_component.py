# SPDX-License-Identifier: Apache-2.0
"""Cooling component on a bus: modes, manual control, feedback, dew point, sensor checks, failover,
staggered start.
"""

import json

from agent.control.law.offset_calibration import OffsetCalibration
from agent.control.law.proof_test import ABORTED, FAILED, PASSED, ProofTests
from agent.control.law.sensor_check import HeatBalanceCheck, SensorValidator
from agent.control.watch.proof_store import ProofStore
from agent.core.errors import CommandError, ConfigError
from tests.portable.support.agent_rig import (
    CDU,
    LAG,
    LEAD,
    RUN,
    STOP,
    VALVE,
    AgentRig,
    _point,
    config,
    profiles,
)
from tests.portable.support.check import eq, near, raises
from tests.portable.support.cooling_settings import EXCHANGER, OPTIMUM

LONG = (
    "test_dew_point_raises_setpoint_and_lost_sensors_raise_alarm",
    "test_optimiser_stays_within_limits_and_can_stop",
    "test_without_heat_the_valve_closes_below_its_least_opening",
)


ROOM1, ROOM2 = 5, 6
FLOW, COLD = 5, 2
TRIP, REMOTE = 8, 512


def make_models():
    made = profiles()
    cdu = made["cdu"]
    cdu["blocks"][0]["count"] = 6
    flow = dict(_point("FlowLitersPerMinute", FLOW, 10, 0, 9000), function=3)
    cdu["points"].append(flow)
    valve = made["valve"]
    valve["blocks"][0]["count"] = 3
    cold = _point("PrimarySupplyTemperatureCelsius", COLD, 100, 0, 9000)
    valve["points"].append(dict(cold, function=3))
    made["drive"]["bits"].append({"name": "Remote", "address": 2, "bit": 9})
    room = [_point("TemperatureCelsius", 0, 100, -4000, 8000)]
    room.append(_point("HumidityPercent", 1, 100, 0, 10000))
    raw = dict(made["meter"], model="room", title="room")
    raw["blocks"] = [{"function": 3, "address": 0, "count": 2}]
    raw["points"] = [dict(point, function=3) for point in room]
    made["room"] = raw
    return made


def make_rig(dew=False, pumps=None, raw=None, **more):
    raw = raw or config()
    section = {"facility": "valve", "exchanger": dict(EXCHANGER), "pumps": pumps or {}}
    if dew:
        section["dew"] = {"sensors": ["room1", "room2"]}
        for name, unit in (("room1", ROOM1), ("room2", ROOM2)):
            raw["devices"].append({"name": name, "bus": "bus", "unit": unit, "profile": "room"})
    section.update(more)
    raw["cooling"] = {key: value for key, value in section.items() if value is not None}
    rig = RoomRig(raw, (), make_models())
    rig.run(8)
    return rig


class RoomRig(AgentRig):
    """A rig with drives in remote mode, a flow, facility water at 24 °C, and two rooms."""

    def process_outbox(self):
        registers = self.devices.registers
        if len(registers[CDU]) < 6:
            registers[CDU].append(1500)
            registers[VALVE].append(2400)
            registers[LEAD][2] = registers[LAG][2] = REMOTE
            registers[ROOM1] = [2500, 5000]
            registers[ROOM2] = [2500, 5200]
        AgentRig.process_outbox(self)


def cooling_component(rig):
    return rig.agent.components[0]


def send_command(rig, name, **arguments):
    return cooling_component(rig).handle_command(name, arguments, rig.now)


def control_words(rig):
    return rig.devices.registers[LEAD][0], rig.devices.registers[LAG][0]


def test_start_is_bumpless():
    rig = make_rig()
    eq(rig.alarm_codes(), [])
    assert 3900 < rig.devices.registers[VALVE][0] < 4200, rig.devices.registers[VALVE]
    eq(control_words(rig), (RUN, STOP))
    shown = json.loads(rig.state.split(b"\0", 1)[1])["cooling"]
    eq((shown["mode"], shown["lead"], shown["holds"]), ("auto", "lead", "dp"))


def test_operating_modes_end_after_their_time():
    rig = make_rig()
    eq(send_command(rig, "override", mode="drain", minutes=1), "drain for 1 min")
    rig.run(3)
    eq((rig.devices.registers[VALVE][0], control_words(rig)), (10000, (STOP, STOP)))
    eq((rig.alarm_codes(), rig.agent.supervisor.state), (["mode:drain"], "degraded"))
    rig.run(62)
    eq((cooling_component(rig).manual.mode, rig.alarm_codes()), ("auto", []))
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(3)
    eq((rig.devices.registers[VALVE][0], rig.devices.registers[LEAD][1]), (2000, 10000))
    eq(send_command(rig, "release"), "automatic")
    rig.run(3)
    eq(rig.alarm_codes(), [])


def test_vent_mode_alternates_pump_speed():
    rig = make_rig()
    send_command(rig, "override", mode="vent", minutes=5)
    speeds = []
    for _ in range(12):
        rig.run(5)
        speeds.append(rig.devices.registers[LEAD][1] // 200)
    eq((20 in speeds, 60 in speeds), (True, True))


def test_invalid_commands_are_rejected():
    rig = make_rig()
    raises(CommandError, lambda: send_command(rig, "override", mode="fly", minutes=1))
    raises(CommandError, lambda: send_command(rig, "override", mode="off", minutes=0))
    raises(
        CommandError, lambda: send_command(rig, "override", mode="hand", minutes=1, valve_pct=101)
    )
    raises(CommandError, lambda: send_command(rig, "proof", what="luck"))
    eq(send_command(rig, "dance"), None)


def test_pump_mode_command_sets_the_controlled_variable():
    rig = make_rig()
    speed = rig.devices.registers[LEAD][1]
    eq(send_command(rig, "hold", mode="flow"), "pumps hold flow")
    eq(cooling_component(rig).pressure_loop.mode_setpoint("flow"), 150.0)
    rig.run(5)
    assert -200 < rig.devices.registers[LEAD][1] - speed < 200, rig.devices.registers[LEAD]
    eq(send_command(rig, "hold", mode="delta_t", setpoint_milli=9000), "pumps hold delta_t")
    eq(send_command(rig, "hold"), "pumps hold dp")
    raises(CommandError, lambda: send_command(rig, "hold", mode="luck"))
    raises(CommandError, lambda: send_command(rig, "hold", mode="delta_t", setpoint_milli=31_000))
    raises(CommandError, lambda: send_command(rig, "hold", mode="flow", setpoint_milli="x"))
    rig.set(CDU, FLOW, 9999)
    rig.run(2)
    assert "sensor_lie:flow" in rig.alarm_codes()
    eq(send_command(rig, "hold", mode="flow"), "pumps hold flow")
    near(cooling_component(rig).pressure_loop.mode_setpoint("flow"), 150.0, 15.0)


def test_calibration_needs_a_steady_minute_and_writes_nothing():
    made = OffsetCalibration()
    made.add_reading(30.0, 31.0, 0.0, True, 1.0)
    eq(made.state, "idle")
    made.begin()
    for second in range(300):
        made.add_reading(30.0 + second / 10, 31.0, 5.0, True, 1.0)
    eq(made.state, "running")
    for second in range(61):
        made.add_reading(30.0 + second % 2 / 10, 31.0, 5.0, second != 30, 1.0)
    eq(made.state, "running")
    for second in range(60):
        made.add_reading(30.0 + second % 2 / 10, 31.0, 5.0, True, 1.0)
    eq(made.state, "done")
    assert 0.47 < made.supply_offset_k < 0.48, made.supply_offset_k
    eq(made.return_offset_k, -made.supply_offset_k)
    made.begin()
    for _ in range(600):
        made.add_reading(30.0, 31.0, 40.0, True, 1.0)
    assert made.state.startswith("no steady minute"), made.state


def test_calibration_command_reports_offsets():
    rig = make_rig()
    for name, arguments in (("override", {"minutes": 5, "valve_pct": 0, "pump_pct": 60}),):
        send_command(rig, name, **arguments)
    rig.set(CDU, 1, 326)
    rig.run(5)
    assert "status" in send_command(rig, "calibrate")
    rig.run(80)
    shown = json.loads(rig.state.split(b"\0", 1)[1])["cooling"]["calibration"]
    eq((shown["state"], shown["supply_offset_milli_k"]), ("done", 300))
    eq(cooling_component(rig).settings["supply_offset_k"], 0)


def test_proof_records_are_stored():
    proofs = ProofTests()
    kept = ProofStore(proofs, 7)
    kept.event("opened")
    eq(kept.outbox(), [(7, "get", b"proof.records")])
    kept.receive(b"proof.records\0" + b"5 valve passed 9\nrubbish\n\xff\xfe x\n")
    proofs.begin_pumps()
    proofs.abort(50)
    kept.check_records(1_800_000_000_000_000)
    kept.check_records(1_800_000_001_000_000)
    lines = ["5 valve passed 9", "1800000000 pumps broken off 0"]
    eq(kept.lines, lines)
    eq(kept.outbox(), [(7, "write", b"proof.records\0" + "\n".join(lines).encode())])
    kept.event("failed")
    proofs.begin_pumps()
    proofs.abort(60)
    kept.check_records(None)
    eq((len(kept.lines), kept.outbox()), (3, []))
    kept.event("opened")
    eq(len(kept.outbox()), 1)


def test_optimiser_stays_within_limits_and_can_stop():
    model = {key: value for key, value in OPTIMUM.items() if key not in ("every_s",)}
    rig = make_rig(dew=True, optimum=dict(model, air="room2", every_s=60), low_c=25, high_c=34)
    rig.set(ROOM2, 0, 3000)
    seen, pressures = [], []
    for _ in range(12):
        rig.run(10)
        seen.append(rig.agent.supply_loop.setpoint)
        pressures.append(rig.agent.pressure_loop.setpoint)
        assert 25 <= cooling_component(rig).cooling.setpoint_c <= 34, seen
    setpoint_c = cooling_component(rig).cooling.setpoint_c
    assert 32.3 < setpoint_c < 32.5, setpoint_c  # it rises by 1 K in 300 s
    assert 20 <= min(pressures) < 90, pressures
    assert max(pressures) <= 100, pressures
    rig.devices.silent = {ROOM2}
    rig.run(850)  # a gap of 330 s keeps the last point; dP ramps for 400 s
    eq((cooling_component(rig).cooling.setpoint_c, rig.agent.pressure_loop.setpoint), (32.0, 100))
    eq(rig.agent.supervisor.state, "degraded")
    assert "supply_sensor" not in rig.alarm_codes()
    eq(control_words(rig)[0], RUN)


def test_trip_and_rotation_change_the_lead_pump():
    rig = make_rig()
    rig.set(LEAD, 2, REMOTE | TRIP)
    rig.set(LEAD, 3, 0)
    rig.run(2)
    eq(control_words(rig)[1], RUN)
    assert rig.devices.registers[LAG][1] > 7000, rig.devices.registers[LAG]
    rig.set(LEAD, 2, REMOTE)
    rig.run(3)
    eq(send_command(rig, "rotate"), "lead is lag")
    rig.devices.silent = {LEAD}
    rig.run(8)
    raises(CommandError, lambda: send_command(rig, "rotate"))


def test_a_pump_that_gave_no_flow_is_the_last_to_lead():
    rig = make_rig()
    group, lead = rig.agent.pressure_loop, rig.agent.pumps[0]
    eq((group.order, lead.session.name), ([0, 1], "lead"))
    lead.set_stalled(True)
    lead.is_last = True
    rig.run(20)
    eq((group.order, lead.is_last, control_words(rig)[1]), ([1, 0], False, RUN))
    lead.set_stalled(False)
    rig.run(60)
    eq(group.order, [1, 0])
    assert rig.devices.registers[LAG][1] > 7000, rig.devices.registers[LAG]
    eq(send_command(rig, "rotate"), "lead is lead")


def test_a_pump_that_was_blocked_leads_when_it_may_be_tried():
    rig = make_rig()
    group, lead = rig.agent.pressure_loop, rig.agent.pumps[0]
    group.restore_order(["1", "0"])
    rig.run(60)
    eq((group.order, control_words(rig)), ([1, 0], (STOP, RUN)))
    lead.is_first = True
    rig.run(2)
    eq((group.order, lead.is_first), ([0, 1], False))
    eq(control_words(rig), (RUN, RUN))  # the present one runs on until it turns


def test_drive_in_local_mode_is_replaced_and_raises_alarm():
    rig = make_rig()
    rig.set(LEAD, 2, 0)
    rig.run(4)
    eq(rig.alarm_codes(), ["hand:lead"])
    eq(control_words(rig)[1], RUN)


def test_start_delay_is_respected():
    rig = make_rig(pumps={"stagger_s": 20})
    rig.devices.silent = {LEAD, LAG}
    rig.run(10)
    for unit in (LEAD, LAG):
        rig.devices.registers[unit][0] = STOP
        rig.devices.registers[unit][3] = 0
    rig.devices.silent = set()
    rig.run(12)
    eq(control_words(rig), (STOP, STOP))
    rig.run(20)
    assert RUN in control_words(rig), control_words(rig)


def lose_all_pumps(rig):
    rig.devices.silent = {LEAD, LAG}
    rig.run(10)
    for unit in (LEAD, LAG):
        rig.devices.registers[unit][0] = STOP
        rig.devices.registers[unit][3] = 0
    rig.devices.silent = set()


def start_times(rig, seconds):
    began = [None, None]
    for second in range(seconds):
        rig.run(1)
        for i, word in enumerate(control_words(rig)):
            if word == RUN and began[i] is None:
                began[i] = second
    return began


def test_each_unit_starts_pumps_in_its_own_slot():
    firsts = []
    for slot in (1, 2, 4):
        rig = make_rig(pumps={"stagger_s": 2, "slot": slot, "slot_s": 10})
        lose_all_pumps(rig)
        firsts.append(start_times(rig, 45)[0])
    assert firsts[1] - firsts[0] == 10, firsts
    assert firsts[2] - firsts[0] == 30, firsts


def test_pumps_restart_one_after_the_other():
    rig = make_rig(pumps={"stagger_s": 4})
    rig.agent.pressure_loop.lag_running = True
    rig.run(90)
    eq(control_words(rig), (RUN, RUN))
    lose_all_pumps(rig)
    rig.agent.pressure_loop.lag_running = True
    began = start_times(rig, 30)
    assert None not in began, began
    assert 5 <= abs(began[1] - began[0]) <= 8, began


def test_valve_feedback_deviation_raises_alarm():
    rig = make_rig(valve_apart_s=20)
    rig.devices.ignoring = {VALVE}
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=80, pump_pct=50)
    rig.run(7)
    assert "valve_feedback" not in rig.alarm_codes()
    rig.run(4)  # it stands: this does not need the time of a stroke
    assert "valve_feedback" in rig.alarm_codes()
    assert rig.agent.valve.is_limited


def test_dew_point_raises_setpoint_and_lost_sensors_raise_alarm():
    rig = make_rig(dew=True)
    rig.set(ROOM1, 1, 8500)
    rig.set(ROOM1, 0, 3500)
    rig.run(60)
    shown = json.loads(rig.state.split(b"\0", 1)[1])["cooling"]
    assert shown["floor_milli_c"] > 34000, shown
    assert shown["setpoint_milli_c"] > 32500, shown
    assert "humidity_apart" in rig.alarm_codes()
    rig.devices.silent = {ROOM1}
    rig.run(200)
    assert "humidity_sensor" in rig.alarm_codes()


def test_temperatures_that_may_read_too_high_raise_the_dew_point_limit():
    """The supply counts with this error: the set-point rises, and the guard shuts the valve."""
    rig = make_rig(dew=True)
    rig.set(ROOM1, 1, 7000)  # dew point 19.1 °C
    rig.run(60)
    cooling, trend = cooling_component(rig).cooling, cooling_component(rig).sensors.exchanger_trend
    floor_c = cooling.min_setpoint_c
    trend.error_k = 3.0
    rig.run(2)
    near(cooling.min_setpoint_c, floor_c + 3.0, 0.01)
    assert rig.devices.registers[VALVE][0] > 0
    trend.error_k = 14.0
    rig.run(3)
    eq(rig.devices.registers[VALVE][0], 0)


def test_a_row_whose_flow_nothing_shows_raises_the_dew_point_limit_only():
    """The set-point rises by the error of a clogged filter. The guard does not shut the valve:
    without a supply that warms in sight, the loads would be switched off for a lost device.
    """
    rig = make_rig(dew=True)
    rig.set(ROOM1, 1, 7000)  # dew point 19.1 °C
    rig.run(60)
    cooling = cooling_component(rig).cooling
    floor_c = cooling.min_setpoint_c
    cooling.set_uncertainty(2.0, 6.0)
    cooling.ramp_setpoint(0, 1.0)
    near(cooling.min_setpoint_c, floor_c + 8.0, 0.1)
    eq(cooling.uncertainty_k, 2.0)


def test_temperatures_that_may_read_too_high_have_an_alarm():
    """Beyond the largest rise of the limit, `dew` says that the supply may be below it."""
    rig = make_rig(dew=True)
    rig.set(ROOM1, 1, 7000)  # dew point 19.1 °C; the supply is at 32.0 °C
    rig.run(60)
    trend = cooling_component(rig).sensors.exchanger_trend
    for total_k, codes in ((2.5, []), (3.5, ["sensor_lie:both"]), (2.5, ["sensor_lie:both"])):
        trend.total_k = total_k
        rig.run(3)
        eq([c for c in rig.alarm_codes() if c in ("dew", "sensor_lie:both")], codes)
    trend.total_k = 14.0
    rig.run(10)
    eq(("dew" in rig.alarm_codes(), rig.agent.supervisor.state), (True, "degraded"))
    assert rig.devices.registers[VALVE][0] > 0
    trend.total_k = 1.5
    rig.run(3)
    eq([c for c in rig.alarm_codes() if c in ("dew", "sensor_lie:both")], [])


def test_a_suspect_supply_below_the_dew_point_raises_dew():
    """The accusation can be false: then the facility water lies, and the reading is true."""
    for reason, has_alarm in (("rate", False), ("relation", True)):
        rig = make_rig(dew=True)
        rig.set(ROOM1, 1, 7000)  # dew point 19.1 °C
        rig.run(60)
        cooling_component(rig).sensors.supply.mark_suspect(reason)
        rig.set(CDU, 0, 180)
        rig.run(9)
        eq((reason, "dew" in rig.alarm_codes()), (reason, has_alarm))


def test_supply_below_the_dew_point_shuts_the_valve_and_raises_dew():
    rig = make_rig(dew=True)
    rig.set(ROOM1, 0, 3500)
    rig.set(ROOM1, 1, 7900)  # dew point 30.8 °C; the supply is at 32.0 °C
    rig.run(2)
    eq(rig.devices.registers[VALVE][0], 0)
    send_command(rig, "override", mode="hand", minutes=5, valve_pct=100, pump_pct=50)
    rig.run(12)
    eq((rig.devices.registers[VALVE][0], "dew" in rig.alarm_codes()), (0, False))
    rig.set(ROOM1, 1, 8700)  # 32.5 °C: a step
    rig.run(6)
    eq("dew" in rig.alarm_codes(), True)
    rig.run(4)
    eq(("dew" in rig.alarm_codes(), rig.agent.supervisor.state), (True, "safe"))
    send_command(rig, "release")
    rig.set(CDU, 0, 330)  # above the dew point, and the valve is still closed
    rig.set(CDU, 1, 390)
    rig.run(3)
    decision = rig.agent.arbiters["pumps"].decision
    eq((decision.owner, decision.output), ("dew", 100))
    for tenths in range(320, 360, 5):
        rig.set(CDU, 0, tenths)
        rig.set(CDU, 1, tenths + 60)
        rig.run(3)
    assert rig.devices.registers[VALVE][0] > 0
    rig.run(61)
    eq("dew" in rig.alarm_codes(), False)


def test_without_heat_the_valve_closes_below_its_least_opening():
    rig = make_rig(dew=True)
    least = int(100 * rig.agent.supply_loop.config.min_pct)
    rig.set(ROOM1, 0, 3500)
    rig.set(ROOM1, 1, 6600)  # dew point 27.7 °C, the facility water has 24 °C
    for tenths in range(400, 320, -5):  # the supply has 32.0 °C, its set-point
        rig.set(CDU, 1, tenths)
        rig.run(3)
    rig.run(240)
    valve = rig.agent.arbiters["valve"]
    eq(valve.decision.reason, "little heat")
    assert rig.devices.registers[VALVE][0] < least, rig.devices.registers[VALVE]
    rig.set(CDU, 0, 333)  # too warm: the loop decides
    rig.run(2)
    eq(valve.decision.reason, "little heat")
    rig.set(CDU, 0, 341)
    rig.set(CDU, 1, 350)
    rig.run(3)
    eq(valve.decision.owner, "loop")


class LoadsOff:
    """The service of loads that are off."""

    def __init__(self, proven):
        self.proven = proven

    def proven_off(self):
        return self.proven


def test_valve_is_shut_while_all_loads_are_off_and_the_facility_water_is_cold():
    rig = make_rig(dew=True)
    rig.set(ROOM1, 0, 3500)
    rig.set(ROOM1, 1, 6600)  # dew point 27.7 °C, the facility water has 24 °C
    loads = LoadsOff(True)
    cooling_component(rig).dew_control.use_limits(loads)
    rig.run(3)
    valve = rig.agent.arbiters["valve"]
    eq((valve.decision.output, valve.decision.reason), (0, "little heat"))
    for tenths in range(320, 340, 5):  # the cases warm the coolant
        rig.set(CDU, 0, tenths)
        rig.set(CDU, 1, tenths + 80)
        rig.run(3)
    eq((valve.decision.output, valve.decision.reason), (0, "little heat"))
    loads.proven = False
    rig.run(2)
    eq(valve.decision.owner, "loop")
    loads.proven = True
    rig.run(2)
    eq(valve.decision.owner, "loop")  # more than 1 K above the set-point
    rig.set(CDU, 0, 325)
    rig.run(2)
    eq(valve.decision.reason, "little heat")
    rig.set(VALVE, 2, 3000)  # facility water above the dew point + 2 K wets nothing
    rig.run(60)
    eq(valve.decision.owner, "loop")


def test_the_valve_stays_shut_when_a_supply_near_the_dew_point_becomes_unknown():
    rig = make_rig(dew=True)
    rig.set(ROOM1, 0, 3500)
    rig.set(ROOM1, 1, 8700)  # dew point 32.5 °C; the supply is at 32.0 °C
    rig.run(4)
    eq(rig.devices.registers[VALVE][0], 0)
    rig.devices.silent = {CDU}
    openings = []
    for _ in range(28):
        rig.run(10)
        openings.append(rig.devices.registers[VALVE][0])
    assert "supply_sensor" in rig.alarm_codes()
    eq(set(openings[:6]), {0})
    eq(set(openings), {0, 500})  # a look at the facility return, once a minute
    assert 6 <= openings.count(500) <= 10, openings
    rig.run(60)  # then the limit by the last heat is the better guess
    assert rig.devices.registers[VALVE][0] > 0


def test_pi_loop_continues_without_model_readings():
    rig = make_rig()
    rig.set(VALVE, COLD, 9999)
    rig.set(CDU, 0, 340)
    before = rig.devices.registers[VALVE][0]
    rig.run(5)
    assert before < rig.devices.registers[VALVE][0] < 10000
    eq(rig.agent.supervisor.state, "normal")


def test_reading_with_excess_rate_is_rejected():
    rig = make_rig()
    rig.set(CDU, 0, 700)
    rig.run(3)
    assert "sensor_rate" in rig.alarm_codes()
    assert "supply_sensor" not in rig.alarm_codes()  # the estimate is used
    near(rig.agent.supply_loop.sensor.value(rig.now), 32.0, 0.5)
    assert 3800 < rig.devices.registers[VALVE][0] < 4300, rig.devices.registers[VALVE]


def test_stuck_sensor_and_redundant_sensor():
    validator = SensorValidator(1.5)
    for second in range(1000):
        used = validator.validate(32.0, None, 38.0 + second / 100, None, 1.0)
    eq((used, validator.stuck), (None, True))
    validator.validate(32.1, None, 48.0, None, 1.0)
    eq(validator.stuck, False)
    validator = SensorValidator(1.5)
    for _ in range(40):
        used = validator.validate(30.0, 33.0, 38.0, None, 1.0)
    eq((used, validator.sensors_disagree), (33.0, True))
    for _ in range(40):
        used = validator.validate(33.0, 30.0, 38.0, None, 1.0)
    eq((used, validator.sensors_disagree), (33.0, True))
    for estimate, expected in ((30.2, 30.0), (32.6, 33.0)):
        eq(validator.validate(33.0, 30.0, 38.0, estimate, 1.0), expected)


def test_heat_balance_check():
    balance = HeatBalanceCheck(30)
    for _ in range(700):
        balance.check(50_000.0, 30_000.0, 1.0)
    eq(balance.unbalanced, True)
    for _ in range(300):
        balance.check(50_000.0, 45_000.0, 1.0)
    eq(balance.unbalanced, False)
    for _ in range(700):
        balance.check(500.0, 0.0, 1.0)
    eq(balance.unbalanced, False)


def test_partial_stroke_passes_fails_and_is_aborted():
    proofs = ProofTests()
    proofs.begin_valve(40.0)
    position = 40.0
    for second in range(20):
        goal = proofs.step_valve(position, second, 1.0)
        if goal is None:
            break
        position += 1.0 if goal > position else -1.0
    proofs.begin_valve(95.0)
    for second in range(40):
        proofs.step_valve(95.0, second, 1.0)
    proofs.begin_pumps()
    proofs.abort(50)
    eq([result for _, _, result, _ in proofs.records], [PASSED, FAILED, ABORTED])


def test_devices_without_required_points_are_rejected():
    def load(**changed):
        raw = config()
        raw["cooling"] = dict({"facility": "valve", "exchanger": dict(EXCHANGER)}, **changed)
        AgentRig(raw, (), make_models())

    assert "no device is named tap" in str(raises(ConfigError, lambda: load(facility="tap")))
    error = str(raises(ConfigError, lambda: load(dew={"sensors": ["cdu"]})))
    assert "cdu reads no TemperatureCelsius" in error, error


def test_facility_water_that_is_too_warm_is_an_alarm_before_it_is_proven():
    """Water that jumps above the supply may be a false reading: the laws do not use it yet."""
    rig = make_rig()
    rig.set(VALVE, COLD, 3800)
    rig.run(6)
    readings = cooling_component(rig).readings
    eq((readings.fws_supply_c, readings.fws_shown_c), (None, 38.0))
    eq("facility_warm" in rig.alarm_codes(), True)
    rig.run(25)
    codes = rig.alarm_codes()
    eq(("facility_warm" in codes, "sensor_lie:facility_supply" in codes), (False, True))
