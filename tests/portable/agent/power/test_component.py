"""The throttle in the agent: what it tells its services and outlets, and when."""

import json

from agent.agent import RECEIVER
from agent.core.errors import ConfigError, OrderError
from agent.remote.message.canonical import shown
from protocols.cbor import Map
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import CDU, VALVE, epoch
from tests.portable.support.check import eq, raises
from tests.portable.support.power_rig import PDU, ThrottleRig, load

HEAP = "512wK"
SUPPLY, FLOW, HERTZ, MODULE = 0, 5, 6, 7
PRIMARY = 2


def made(seconds=20, **more):
    rig = ThrottleRig(**more)
    rig.fill()
    rig.run(seconds)
    return rig


def test_with_room_enough_nothing_is_told():
    rig = made()
    eq(rig.bmc.told, [])
    eq((rig.part.state, rig.codes()), (0, []))
    eq(rig.slaves.registers[PDU][:2], [1, 1])


def test_the_derating_curve_holds_the_loads():
    rig = ThrottleRig()
    rig.fill()
    rig.set(CDU, SUPPLY, 550)
    rig.set(CDU, 1, 600)
    rig.set(CDU, FLOW, 6000)
    rig.run(20)
    eq(rig.bmc.limits, {"gpu1": 7300, "gpu2": 7300})
    assert "throttled" in rig.codes()


def test_a_flow_that_stops_is_told_within_two_seconds():
    rig = made()
    began = (rig.now - rig.start) / SECOND
    rig.set(VALVE, PRIMARY, 0)
    rig.run(3)
    at = [when for when, _, watts in rig.bmc.told if watts == 3000]
    eq(len(at), 2)
    assert at[0] - began <= 2.0, at
    eq(rig.part.state, 3)
    assert "heat_lost" in rig.codes()


def test_one_odd_reading_of_the_flow_takes_nothing():
    rig = made()
    rig.set(VALVE, PRIMARY, 0)
    before = len(rig.slaves.writes)
    flow = rig.part.sight.facility_flow
    while flow.value(rig.now):
        rig.run(0.01)
    rig.set(VALVE, PRIMARY, 800)
    rig.run(5)
    eq(rig.bmc.told, [])
    eq(rig.part.state, 0)
    del before


def test_limits_come_back_in_steps_after_the_hold():
    rig = made(hold_s=30, step_pct=20, step_s=5)
    rig.set(VALVE, PRIMARY, 0)
    rig.run(3)
    rig.set(VALVE, PRIMARY, 800)
    rig.run(20)
    eq(rig.bmc.limits, {"gpu1": 3000, "gpu2": 3000})
    rig.run(60)
    eq(rig.bmc.limits, {"gpu1": 10_000, "gpu2": 10_000})
    ups = [(when, watts) for when, name, watts in rig.bmc.told if name == "gpu1" and watts > 3000]
    eq([watts for _, watts in ups], [5000, 7000, 9000, 10_000])
    for (before, _), (after, _) in zip(ups, ups[1:]):
        assert after - before >= 4.9


def test_what_is_too_hot_is_switched_off_and_comes_back():
    rig = made(hold_s=20, step_s=2)
    rig.set(VALVE, PRIMARY, 0)
    for tenths in range(320, 830, 2):
        rig.set(CDU, SUPPLY, tenths)
        rig.set(CDU, 1, tenths + 30)
        rig.run(1)
        if rig.slaves.registers[PDU][1] == 0:
            break
    # It draws its full 4 kW: 38 K above the supply, which rises by 0.2 K/s: 30 s ahead, 8 s sure.
    assert 85 - 38 - 6 <= tenths / 10 <= 85 - 38 - 6 + 2, tenths
    eq(rig.slaves.registers[PDU][:2], [1, 0])
    assert "load_shed:spare" in rig.codes()
    eq(rig.part.state, 4)
    rig.set(VALVE, PRIMARY, 800)
    rig.set(CDU, SUPPLY, 320)
    rig.set(CDU, 1, 400)
    rig.run(60)
    eq(rig.slaves.registers[PDU][:2], [1, 1])
    assert "load_shed:spare" not in rig.codes()


def test_without_a_supply_temperature_the_loads_are_held_to_a_share():
    rig = made(blind_pct=50)
    rig.slaves.silent.add(CDU)
    rig.run(12)
    eq(rig.bmc.limits, {"gpu1": 5000, "gpu2": 5000})


def test_a_low_frequency_takes_power_from_the_least_important_first():
    rig = made(droop={"device": "cdu", "point": "FrequencyHertz"})
    rig.set(CDU, HERTZ, 4940)
    rig.run(3)
    eq(rig.part.droop_permille, 800)
    eq(rig.bmc.limits, {"gpu1": 10_000, "gpu2": 5200})
    rig.set(CDU, HERTZ, 4900)
    rig.run(3)
    eq(rig.bmc.limits, {"gpu1": 7400, "gpu2": 3000})


def test_a_limit_that_is_there_already_stays_for_the_hold():
    rig = ThrottleRig(hold_s=30, step_s=5)
    rig.bmc.limits["gpu2"] = 4000
    rig.fill()
    rig.run(20)
    eq(rig.bmc.told, [])
    rig.run(120)
    eq(rig.bmc.limits["gpu2"], 10_000)


def timed(**more):
    """A rig with UTC; its start is 2026-11-24T06:00:00Z."""
    rig = ThrottleRig(**more)
    rig.fill()
    for second in range(20):
        rig.run(1)
        rig.give("receive", RECEIVER, epoch("0600%02d" % second, "241126"))
    return rig


START = 1_795_500_000 * SECOND


def test_a_scheduled_cap_is_done_in_its_tick():
    entry = {"at_utc_s": 1_795_500_030, "action": "cap_pct", "value": 50}
    rig = timed(schedule=[entry])
    at = START + 27 * SECOND + 300_000
    eq(rig.part.schedule(at, "cap_w", 20_000), "")
    assert rig.part.schedule(at, "cap_w", -1)
    rig.run(20)
    numbers = [number for number, _ in rig.part.executed]
    eq(numbers, [at // 100_000, (START + 30 * SECOND) // 100_000])
    eq((rig.part.cap_w, rig.part.cap_pct), (20_000, 50))
    eq(rig.bmc.limits, {"gpu1": 5000, "gpu2": 3000})


def test_setpoints_can_be_scheduled():
    rig = timed()
    eq(rig.part.schedule(START + 25 * SECOND, "supply_milli_c", 34_500), "")
    eq(rig.part.schedule(START + 25 * SECOND, "dp_milli_kpa", 90_000), "")
    rig.run(10)
    eq((rig.agent.supply.setpoint, rig.agent.pressure.setpoint), (34.5, 90.0))


def test_operators_order_caps_now_and_later():
    rig = timed()
    part = rig.part
    eq(part.order("nothing", Map([]), rig.now), None)
    entry = [("at_utc_s", 1_795_500_025), ("action", "cap_w"), ("value", 20_000)]
    eq(part.order("schedule", Map(entry), rig.now), "cap_w 20000 at 1795500025")
    eq(part.order("shed", Map([("pct", 50)]), rig.now), "loads may draw 50 %")
    rig.run(1)
    eq((part.cap_pct, part.cap_w), (50, 0))
    rig.run(10)
    eq((part.cap_pct, part.cap_w), (50, 20_000))
    eq(part.order("schedule", Map([("cancel", 1)]), rig.now), "0 entries forgotten")
    raises(OrderError, part.order, "shed", Map([("pct", 101)]), rig.now)
    raises(OrderError, part.order, "shed", Map([]), rig.now)


def test_without_utc_nothing_scheduled_is_done():
    rig = made(schedule=[{"at_utc_s": 1_700_000_000, "action": "cap_pct", "value": 50}])
    rig.run(20)
    eq((rig.part.cap_pct, len(rig.part.plan.entries)), (100, 1))


def test_the_schedule_survives_a_restart():
    kept = {}
    rig = ThrottleRig(kept, port="store:/throttle")
    rig.fill()
    rig.run(3)
    eq(rig.part.schedule(START + 500 * SECOND, "cap_pct", 50), "")
    rig.run(2)
    eq(kept, {b"throttle.schedule": b"1795500500000000 cap_pct 50"})
    again = ThrottleRig(kept, port="store:/throttle")
    again.fill()
    again.run(3)
    eq(again.part.plan.entries, [(START + 500 * SECOND, "cap_pct", 50)])
    eq(again.part.cancel(), 1)
    again.run(2)
    eq(kept, {b"throttle.schedule": b""})


def test_secrets_are_in_nothing_that_others_read():
    login = {"port": "bmc", "username": "coldloop", "password": "s3cret"}
    rig = made(logins=[dict(login, by="basic")])
    assert b"s3cret" not in rig.state
    assert not [line for line in rig.console if "s3cret" in line]
    raw = {"throttle": {"logins": [login]}, "broker": {"address": "x", "password": "s3cret"}}
    eq(shown(raw)["throttle"]["logins"], [{"port": "bmc", "username": "coldloop"}])
    eq(shown(raw)["broker"], {"address": "x"})
    eq(raw["broker"]["password"], "s3cret")


def test_optics_are_warned_of_then_shed():
    lot = {"name": "m1", "device": "cdu", "point": "Module1Celsius", "load": "spare"}
    rig = made(optics=[lot])
    rig.set(CDU, MODULE, 700)
    rig.run(15)
    eq(rig.codes(), ["optics_warm:m1"])
    rig.set(CDU, MODULE, 760)
    rig.run(5)
    eq(rig.slaves.registers[PDU][:2], [1, 1])
    rig.run(10)
    eq(rig.slaves.registers[PDU][:2], [1, 0])
    assert "optics_hot:m1" in rig.codes()


def test_points_and_status():
    rig = made()
    names = [name for name, _, _, _ in rig.agent.telemetry.describe()]
    at = names.index("throttle.State")
    row = json.loads(rig.agent.telemetry.queue[-1] if rig.agent.telemetry.queue else b'{"v":[]}')
    values = rig.part.values(rig.now)
    eq(values[:4], [0, 24_000, 24_000, 22_000])
    assert not row["v"] or len(row["v"]) == len(names)
    assert at > 0
    shown = json.loads(rig.state.split(b"\0", 1)[1])["throttle"]
    eq((shown["state"], shown["loads"][0]["shown_w"]), ("free", 10_000))


def test_a_section_that_cannot_be_is_refused():
    wrong = [
        load("a", port="nowhere", path="/x"),
        load("a", min_w=20_000),
        load("b", outlets=[{"device": "cdu", "point": "FlowLitersPerMinute"}]),
    ]
    meter = {"device": "no", "point": "x"}
    text = str(raises(ConfigError, lambda: ThrottleRig(loads=wrong, meter=meter, slot=3)))
    for part in (
        "loads[0].port",
        "loads[1].name",
        "loads[1].min_w",
        "loads[2].outlets[0].point",
        "throttle.meter.device",
        "throttle.slot",
    ):
        assert part in text, (part, text)
