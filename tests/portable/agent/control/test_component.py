"""The part `cooling` on a bus: modes, hand, feedback, dew point, doubt, take-over, staged start."""

import json

from agent.control.law.offset_calibration import Calibration
from agent.control.law.proof_test import BROKEN_OFF, FAILED, PASSED, Proofs
from agent.control.law.sensor_check import Balance, Doubt
from agent.control.proof_store import ProofStore
from agent.core.errors import ConfigError, OrderError
from tests.portable.support.agent_rig import (
    CDU,
    LAG,
    LEAD,
    RUN,
    STOP,
    VALVE,
    Rig,
    _point,
    config,
    profiles,
)
from tests.portable.support.check import eq, raises
from tests.portable.support.cooling_settings import EXCHANGER, OPTIMUM

HEAP = "512wK"
ROOM1, ROOM2 = 5, 6
FLOW, COLD = 5, 2
TRIP, REMOTE = 8, 512


def models():
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


def made(dew=False, pumps=None, **more):
    raw = config()
    section = {"facility": "valve", "exchanger": dict(EXCHANGER), "pumps": pumps or {}}
    if dew:
        section["dew"] = {"sensors": ["room1", "room2"]}
        for name, unit in (("room1", ROOM1), ("room2", ROOM2)):
            raw["devices"].append({"name": name, "bus": "bus", "unit": unit, "profile": "room"})
    section.update(more)
    raw["cooling"] = section
    rig = Rooms(raw, (), models())
    rig.run(8)
    return rig


class Rooms(Rig):
    """A rig whose drives are remote, with a flow, facility water at 24 °C, and two rooms."""

    def carry_out(self):
        registers = self.slaves.registers
        if len(registers[CDU]) < 6:
            registers[CDU].append(1500)
            registers[VALVE].append(2400)
            registers[LEAD][2] = registers[LAG][2] = REMOTE
            registers[ROOM1] = [2500, 5000]
            registers[ROOM2] = [2500, 5200]
        Rig.carry_out(self)


def part(rig):
    return rig.agent.parts[0]


def order(rig, name, **arguments):
    return part(rig).order(name, arguments, rig.now)


def words(rig):
    return rig.slaves.registers[LEAD][0], rig.slaves.registers[LAG][0]


def test_it_takes_over_without_moving_anything():
    rig = made()
    eq(rig.codes(), [])
    assert 3900 < rig.slaves.registers[VALVE][0] < 4200, rig.slaves.registers[VALVE]
    eq(words(rig), (RUN, STOP))
    shown = json.loads(rig.state.split(b"\0", 1)[1])["cooling"]
    eq((shown["mode"], shown["lead"], shown["holds"]), ("auto", "lead", "dp"))


def test_operating_modes_hold_for_their_time():
    rig = made()
    eq(order(rig, "override", mode="drain", minutes=1), "drain for 1 min")
    rig.run(3)
    eq((rig.slaves.registers[VALVE][0], words(rig)), (10000, (STOP, STOP)))
    eq((rig.codes(), rig.agent.supervisor.state), (["mode:drain"], "degraded"))
    rig.run(62)
    eq((part(rig).hand.mode, rig.codes()), ("auto", []))
    order(rig, "override", mode="hand", minutes=5, valve_pct=20, pump_pct=50)
    rig.run(3)
    eq((rig.slaves.registers[VALVE][0], rig.slaves.registers[LEAD][1]), (2000, 10000))
    eq(order(rig, "release"), "automatic")
    rig.run(3)
    eq(rig.codes(), [])


def test_venting_goes_up_and_down():
    rig = made()
    order(rig, "override", mode="vent", minutes=5)
    speeds = []
    for _ in range(12):
        rig.run(5)
        speeds.append(rig.slaves.registers[LEAD][1] // 200)
    eq((20 in speeds, 60 in speeds), (True, True))


def test_orders_that_cannot_be():
    rig = made()
    raises(OrderError, lambda: order(rig, "override", mode="fly", minutes=1))
    raises(OrderError, lambda: order(rig, "override", mode="off", minutes=0))
    raises(OrderError, lambda: order(rig, "override", mode="hand", minutes=1, valve_pct=101))
    raises(OrderError, lambda: order(rig, "proof", what="luck"))
    eq(order(rig, "dance"), None)


def test_the_pumps_hold_what_is_ordered():
    rig = made()
    speed = rig.slaves.registers[LEAD][1]
    eq(order(rig, "hold", mode="flow"), "pumps hold flow")
    eq(part(rig).pumping.settings["setpoint_lpm"], 150.0)
    rig.run(5)
    assert -200 < rig.slaves.registers[LEAD][1] - speed < 200, rig.slaves.registers[LEAD]
    eq(order(rig, "hold", mode="delta_t", setpoint_milli=9000), "pumps hold delta_t")
    eq(order(rig, "hold"), "pumps hold dp")
    raises(OrderError, lambda: order(rig, "hold", mode="luck"))
    raises(OrderError, lambda: order(rig, "hold", mode="delta_t", setpoint_milli=31_000))
    raises(OrderError, lambda: order(rig, "hold", mode="flow", setpoint_milli="x"))
    rig.set(CDU, FLOW, 9999)
    rig.run(2)
    raises(OrderError, lambda: order(rig, "hold", mode="flow"))


def test_a_calibration_wants_a_steady_minute_and_changes_nothing():
    made = Calibration()
    made.take(30.0, 31.0, 0.0, True, 1.0)
    eq(made.state, "idle")
    made.begin()
    for second in range(300):
        made.take(30.0 + second / 10, 31.0, 5.0, True, 1.0)
    eq(made.state, "running")
    for second in range(61):
        made.take(30.0 + second % 2 / 10, 31.0, 5.0, second != 30, 1.0)
    eq(made.state, "running")
    for second in range(60):
        made.take(30.0 + second % 2 / 10, 31.0, 5.0, True, 1.0)
    eq(made.state, "done")
    assert 0.47 < made.supply_k < 0.48, made.supply_k
    eq(made.return_k, -made.supply_k)
    made.begin()
    for _ in range(600):
        made.take(30.0, 31.0, 40.0, True, 1.0)
    assert made.state.startswith("no steady minute"), made.state


def test_a_calibration_is_ordered_and_shown():
    rig = made()
    for name, arguments in (("override", {"minutes": 5, "valve_pct": 0, "pump_pct": 60}),):
        order(rig, name, **arguments)
    rig.set(CDU, 1, 326)
    rig.run(5)
    assert "status" in order(rig, "calibrate")
    rig.run(80)
    shown = json.loads(rig.state.split(b"\0", 1)[1])["cooling"]["calibration"]
    eq((shown["state"], shown["supply_offset_milli_k"]), ("done", 300))
    eq(part(rig).settings["supply_offset_k"], 0)


def test_proof_records_are_kept_in_a_store():
    proofs = Proofs()
    kept = ProofStore(proofs, 7)
    kept.event("opened")
    eq(kept.outbox(), [(7, "get", b"proof.records")])
    kept.receive(b"proof.records\0" + b"5 valve passed 9\nrubbish\n\xff\xfe x\n")
    proofs.begin_pumps()
    proofs.break_off(50)
    kept.look(1_800_000_000_000_000)
    kept.look(1_800_000_001_000_000)
    lines = ["5 valve passed 9", "1800000000 pumps broken off 0"]
    eq(kept.lines, lines)
    eq(kept.outbox(), [(7, "write", b"proof.records\0" + "\n".join(lines).encode())])
    kept.event("failed")
    proofs.begin_pumps()
    proofs.break_off(60)
    kept.look(None)
    eq((len(kept.lines), kept.outbox()), (3, []))
    kept.event("opened")
    eq(len(kept.outbox()), 1)


def test_the_optimiser_moves_set_points_within_limits_and_may_die():
    model = {key: value for key, value in OPTIMUM.items() if key not in ("every_s",)}
    rig = made(dew=True, optimum=dict(model, air="room2", every_s=60), low_c=25, high_c=34)
    rig.set(ROOM2, 0, 3000)
    seen, pressures = [], []
    for _ in range(12):
        rig.run(10)
        seen.append(rig.agent.supply.setpoint)
        pressures.append(rig.agent.pressure.setpoint)
        assert 25 <= part(rig).cooling.setpoint_c <= 34, seen
    assert part(rig).cooling.setpoint_c > 33, part(rig).cooling.setpoint_c
    assert 20 <= min(pressures) < 90, pressures
    assert max(pressures) <= 100, pressures
    rig.slaves.silent = {ROOM2}
    rig.run(260)
    eq((part(rig).cooling.setpoint_c, rig.agent.pressure.setpoint), (32.0, 100))
    eq(rig.agent.supervisor.state, "degraded")
    assert "supply_sensor" not in rig.codes()
    eq(words(rig)[0], RUN)


def test_a_trip_hands_over_and_a_rotation_does():
    rig = made()
    rig.set(LEAD, 2, REMOTE | TRIP)
    rig.set(LEAD, 3, 0)
    rig.run(2)
    eq(words(rig)[1], RUN)
    assert rig.slaves.registers[LAG][1] > 7000, rig.slaves.registers[LAG]
    rig.set(LEAD, 2, REMOTE)
    rig.run(3)
    eq(order(rig, "rotate"), "lead is lag")
    rig.slaves.silent = {LEAD}
    rig.run(8)
    raises(OrderError, lambda: order(rig, "rotate"))


def test_a_drive_in_hand_is_named_and_another_carries():
    rig = made()
    rig.set(LEAD, 2, 0)
    rig.run(4)
    eq(rig.codes(), ["hand:lead"])
    eq(words(rig)[1], RUN)


def test_pumps_start_late_where_they_are_staggered():
    rig = made(pumps={"stagger_s": 20})
    rig.slaves.silent = {LEAD, LAG}
    rig.run(10)
    for unit in (LEAD, LAG):
        rig.slaves.registers[unit][0] = STOP
        rig.slaves.registers[unit][3] = 0
    rig.slaves.silent = set()
    rig.run(12)
    eq(words(rig), (STOP, STOP))
    rig.run(20)
    assert RUN in words(rig), words(rig)


def gone(rig):
    rig.slaves.silent = {LEAD, LAG}
    rig.run(10)
    for unit in (LEAD, LAG):
        rig.slaves.registers[unit][0] = STOP
        rig.slaves.registers[unit][3] = 0
    rig.slaves.silent = set()


def starts(rig, seconds):
    began = [None, None]
    for second in range(seconds):
        rig.run(1)
        for i, word in enumerate(words(rig)):
            if word == RUN and began[i] is None:
                began[i] = second
    return began


def test_each_row_starts_its_pumps_in_its_own_slot():
    firsts = []
    for slot in (1, 2, 4):
        rig = made(pumps={"stagger_s": 2, "slot": slot, "slot_s": 10})
        gone(rig)
        firsts.append(starts(rig, 45)[0])
    assert firsts[1] - firsts[0] == 10, firsts
    assert firsts[2] - firsts[0] == 30, firsts


def test_pumps_that_were_gone_start_one_after_the_other():
    rig = made(pumps={"stagger_s": 4})
    rig.agent.pressure.helping = True
    rig.run(90)
    eq(words(rig), (RUN, RUN))
    gone(rig)
    rig.agent.pressure.helping = True
    began = starts(rig, 30)
    assert None not in began, began
    assert 5 <= abs(began[1] - began[0]) <= 8, began


def test_the_valve_s_feedback_is_held_against_its_demand():
    rig = made(valve_apart_s=20)
    rig.slaves.deaf = {VALVE}
    order(rig, "override", mode="hand", minutes=5, valve_pct=80, pump_pct=50)
    rig.run(15)
    assert "valve_feedback" not in rig.codes()
    rig.run(10)
    assert "valve_feedback" in rig.codes()


def test_the_dew_point_lifts_the_set_point_and_dead_sensors_are_named():
    rig = made(dew=True)
    rig.set(ROOM1, 1, 8500)
    rig.set(ROOM1, 0, 3500)
    rig.run(60)
    shown = json.loads(rig.state.split(b"\0", 1)[1])["cooling"]
    assert shown["floor_milli_c"] > 34000, shown
    assert shown["setpoint_milli_c"] > 32500, shown
    assert "humidity_apart" in rig.codes()
    rig.slaves.silent = {ROOM1}
    rig.run(200)
    assert "humidity_sensor" in rig.codes()
    eq(rig.agent.supervisor.state, "degraded")


def test_without_the_model_s_readings_the_plain_loop_goes_on():
    rig = made()
    rig.set(VALVE, COLD, 9999)
    rig.set(CDU, 0, 340)
    before = rig.slaves.registers[VALVE][0]
    rig.run(5)
    assert before < rig.slaves.registers[VALVE][0] < 10000
    eq(rig.agent.supervisor.state, "normal")


def test_a_reading_that_leaps_is_not_used():
    rig = made()
    rig.set(CDU, 0, 700)
    rig.run(3)
    assert "sensor_rate" in rig.codes()
    assert "supply_sensor" in rig.codes()
    eq(rig.slaves.registers[VALVE][0], 6000)


def test_doubt_by_stillness_and_by_the_spare():
    doubt = Doubt(2.0, 1.5)
    for second in range(1000):
        used = doubt.judge(32.0, None, 38.0 + second / 100, 1.0)
    eq((used, doubt.stuck), (None, True))
    doubt.judge(32.1, None, 48.0, 1.0)
    eq(doubt.stuck, False)
    doubt = Doubt(2.0, 1.5)
    for _ in range(40):
        used = doubt.judge(30.0, 33.0, 38.0, 1.0)
    eq((used, doubt.apart), (33.0, True))
    for _ in range(40):
        used = doubt.judge(33.0, 30.0, 38.0, 1.0)
    eq((used, doubt.apart), (33.0, True))


def test_heat_that_does_not_balance():
    balance = Balance(30)
    for _ in range(700):
        balance.judge(50_000.0, 30_000.0, 1.0)
    eq(balance.off, True)
    for _ in range(300):
        balance.judge(50_000.0, 45_000.0, 1.0)
    eq(balance.off, False)
    for _ in range(700):
        balance.judge(500.0, 0.0, 1.0)
    eq(balance.off, False)


def test_a_partial_stroke_passes_fails_and_is_broken_off():
    proofs = Proofs()
    proofs.begin_valve(40.0)
    position = 40.0
    for second in range(20):
        goal = proofs.valve(position, second, 1.0)
        if goal is None:
            break
        position += 1.0 if goal > position else -1.0
    proofs.begin_valve(95.0)
    for second in range(40):
        proofs.valve(95.0, second, 1.0)
    proofs.begin_pumps()
    proofs.break_off(50)
    eq([result for _, _, result, _ in proofs.records], [PASSED, FAILED, BROKEN_OFF])


def test_devices_are_held_against_what_they_read():
    def load(**changed):
        raw = config()
        raw["cooling"] = dict({"facility": "valve", "exchanger": dict(EXCHANGER)}, **changed)
        Rig(raw, (), models())

    assert "no device is named tap" in str(raises(ConfigError, lambda: load(facility="tap")))
    error = str(raises(ConfigError, lambda: load(dew={"sensors": ["cdu"]})))
    assert "cdu reads no TemperatureCelsius" in error, error
