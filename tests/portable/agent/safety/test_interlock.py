# SPDX-License-Identifier: Apache-2.0
"""Interlock: trip of each cause, priority, latch, snapshot, and service of the watchdog."""

import json

from agent.core.errors import CommandError, ConfigError
from agent.port_numbers import BROKER, FIRST_BUS, RECEIVER, STATE
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import CDU, LAG, LEAD, STOP, VALVE, AgentRig, config, profiles
from tests.portable.support.check import eq, raises

WATCHDOG = FIRST_BUS + 1
FLOW = 5
FLAGS = 4  # register of the CDU; bits: 0 Leak, 1 Drip, 2 Button, 3 Door


def make_models():
    made = profiles()
    names = ("Leak", "Drip", "Button", "Door")
    made["cdu"]["bits"] = [{"name": n, "address": FLAGS, "bit": i} for i, n in enumerate(names)]
    flow = {"name": "FlowLitersPerMinute", "address": FLOW, "type": "i16", "function": 3}
    flow.update({"scale": [1, 10], "unit": "1", "min": 0, "max": 30000})
    made["cdu"]["points"].append(flow)
    made["cdu"]["blocks"][0]["count"] = FLOW + 1
    return made


def safety_section(**changed):
    inputs = [
        {"name": "pan", "device": "cdu", "bit": "Leak", "kind": "leak_critical", "delay_s": 2},
        {"name": "drip", "device": "cdu", "bit": "Drip", "kind": "leak_warning"},
        {"name": "button", "device": "cdu", "bit": "Button", "kind": "emergency_stop"},
        {"name": "door", "device": "cdu", "bit": "Door", "kind": "contact"},
    ]
    made = {"inputs": inputs}
    made.update(changed)
    return made


def make_rig(safety=None, absent=(), raw=None):
    raw = raw or config()
    raw["safety"] = safety or safety_section()
    rig = AgentRig(raw, absent, make_models())
    rig.devices.registers[CDU].append(1500)
    rig.run(8)
    return rig


def interlock_component(rig):
    return rig.agent.components[0]


def state(rig):
    return rig.agent.supervisor.state


def outputs(rig):
    """Return the requests to valve and pumps: (valve register, lead control word, lag control
    word).
    """
    registers = rig.devices.registers
    return registers[VALVE][0], registers[LEAD][0], registers[LAG][0]


def test_inactive_inputs_change_nothing():
    rig = make_rig()
    eq((state(rig), rig.alarm_codes()), ("normal", []))
    eq(interlock_component(rig).demand(), (None, None))


def test_a_critical_leak_stops_after_its_delay_and_stays_stopped():
    rig = make_rig()
    rig.set(CDU, FLAGS, 1)
    rig.run(1.5)
    eq(state(rig), "normal")
    rig.run(3)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))
    eq(rig.alarm_codes(), ["leak_critical:pan"])
    rig.set(CDU, FLAGS, 0)
    rig.run(10)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


def test_input_shorter_than_its_delay_is_ignored():
    rig = make_rig(safety_section())
    for _ in range(6):
        rig.set(CDU, FLAGS, 1)
        rig.run(1)
        rig.set(CDU, FLAGS, 0)
        rig.run(1)
    eq((state(rig), rig.alarm_codes()), ("normal", []))


def test_reset_is_rejected_while_input_is_on_then_loops_resume():
    rig = make_rig()
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    raises(CommandError, interlock_component(rig).reset)
    eq(interlock_component(rig).acknowledge("leak_critical:pan"), "acknowledged: leak_critical:pan")
    eq(state(rig), "stopped")
    rig.set(CDU, FLAGS, 0)
    rig.run(2)
    eq(interlock_component(rig).handle_command("reset", {}, rig.now), "reset: leak_critical:pan")
    rig.run(10)
    eq((state(rig), rig.alarm_codes()), ("normal", []))
    assert outputs(rig)[1] != STOP
    assert outputs(rig)[0] > 0


def test_unknown_codes_and_commands_are_rejected():
    rig = make_rig()
    raises(CommandError, interlock_component(rig).reset, "leak_critical:no")
    raises(CommandError, interlock_component(rig).acknowledge, "no")
    eq(interlock_component(rig).handle_command("dance", {}, 0), None)
    eq(interlock_component(rig).reset(), "reset: nothing")


def test_leak_warning_clears_without_reset():
    rig = make_rig()
    rig.set(CDU, FLAGS, 2 | 8)
    rig.run(3)
    eq((state(rig), sorted(rig.alarm_codes())), ("degraded", ["contact:door", "leak_warning:drip"]))
    assert outputs(rig)[1] != STOP
    rig.set(CDU, FLAGS, 0)
    rig.run(3)
    eq((state(rig), rig.alarm_codes()), ("normal", []))


def test_emergency_stop_acts_immediately():
    rig = make_rig()
    rig.set(CDU, FLAGS, 4)
    rig.run(1.6)  # one cycle until the reading, half a cycle until the step of the loops
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


def test_leak_has_priority_over_overheat():
    rig = make_rig(safety_section(overheat_c=45, overheat_s=2))
    rig.set(CDU, 0, 600)
    rig.run(5)
    eq(interlock_component(rig).demand(), (None, None))  # the return does not confirm it
    rig.set(CDU, 1, 650)
    rig.run(5)
    eq((state(rig), interlock_component(rig).demand()), ("safe", (100.0, 100.0)))
    eq(outputs(rig)[0], 10000)
    eq(rig.devices.registers[LAG][1], 20000)
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


def test_overheat_trip_clears_without_reset():
    rig = make_rig(safety_section(overheat_c=45, overheat_s=2))
    rig.set(CDU, 0, 600)
    rig.set(CDU, 1, 650)
    rig.run(5)
    rig.set(CDU, 0, 440)  # not yet 2 K below the limit
    rig.run(3)
    eq(state(rig), "safe")
    rig.set(CDU, 0, 320)
    rig.run(3)
    eq((state(rig), interlock_component(rig).demand()), ("normal", (None, None)))


def test_dry_run_stops_the_pumps():
    rig = make_rig(safety_section(dry_run_s=3))
    rig.set(CDU, FLOW, 0)
    rig.set(CDU, 2, 3005)
    rig.set(CDU, 3, 3000)
    rig.run(2)
    assert "dry_run" not in rig.alarm_codes()
    rig.run(5)
    # the pumps that stop show no flow: the loss of flow stays
    eq((state(rig), rig.alarm_codes()), ("stopped", ["flow_low", "dry_run"]))
    eq(outputs(rig)[1:], (STOP, STOP))
    rig.run(5)
    # the pumps are stopped: no dry-run condition
    eq(interlock_component(rig).reset(), "reset: dry_run")


def test_one_pressure_sensor_stops_no_pump():
    rig = make_rig(safety_section(dry_run_s=3))
    rig.set(CDU, 2, 0)
    rig.run(20)
    eq((state(rig), rig.alarm_codes()), ("degraded", ["gauge_lie:dp"]))
    assert outputs(rig)[1] != STOP
    rig.set(CDU, 2, 3000)
    rig.run(5)
    eq((state(rig), rig.alarm_codes()), ("normal", []))


def test_one_flow_meter_stops_no_pump():
    rig = make_rig()
    rig.set(CDU, FLOW, 0)
    rig.run(20)
    eq((state(rig), rig.alarm_codes()), ("degraded", ["gauge_lie:flow"]))
    assert outputs(rig)[1] != STOP


def test_shut_valve_does_not_stop_pumps():
    safety = safety_section()
    safety["inputs"][3]["reaction"] = "shut_valve"
    rig = make_rig(safety)
    rig.set(CDU, FLAGS, 8)
    rig.run(3)
    eq((state(rig), outputs(rig)[0]), ("safe", 0))
    assert outputs(rig)[1] != STOP


def test_lost_input_raises_alarm_or_trips():
    rig = make_rig()
    rig.devices.silent = {CDU}
    rig.run(8)
    lost = [code for code in rig.alarm_codes() if code.startswith("input_lost")]
    eq(lost, ["input_lost:cdu"])  # one alarm for all four inputs of the device
    assert outputs(rig)[1] != STOP
    safety = safety_section()
    safety["inputs"][2]["when_lost"] = "act"
    rig = make_rig(safety)
    rig.devices.silent = {CDU}
    rig.run(8)
    eq((state(rig), outputs(rig)[1:]), ("stopped", (STOP, STOP)))


def test_snapshot_is_taken_at_the_trip():
    rig = make_rig()
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    rig.set(CDU, 0, 250)
    rig.run(3)
    shown = json.loads(rig.state.split(b"\0", 1)[1])["safety"]
    cause = shown["causes"][0]
    eq((cause["code"], cause["latched"], cause["on"]), ("leak_critical:pan", True, True))
    assert cause["evidence"].startswith("supply 32.0 C, dp 100.0 kPa"), cause
    eq((shown["valve_forced"], shown["pumps_forced"]), (True, True))


def test_trip_needs_no_broker_receiver_or_store():
    rig = make_rig(absent=(BROKER, RECEIVER, STATE))
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


class WatchdogRig(AgentRig):
    """A rig that counts the services of the watchdog."""

    def perform(self, port, op, data):
        if port == WATCHDOG and op == "write":
            self.feeds.append(self.now)
        else:
            AgentRig.perform(self, port, op, data)

    def __init__(self, raw):
        self.feeds = []
        AgentRig.__init__(self, raw, (), make_models())


def test_watchdog_is_kicked_once_per_complete_cycle():
    raw = config()
    raw["safety"] = safety_section(port="watchdog:/dev/x")
    rig = WatchdogRig(raw)
    rig.run(20)
    assert 16 <= len(rig.feeds) <= 20, len(rig.feeds)
    gaps = [b - a for a, b in zip(rig.feeds, rig.feeds[1:])]
    assert max(gaps) < 2 * SECOND
    rig.agent.cycle.step_when_ready = lambda _: False  # a cycle that does not complete
    before = len(rig.feeds)
    rig.run(5)
    eq(len(rig.feeds), before)


def test_inputs_of_unknown_devices_and_bits_are_rejected():
    def load(**changed):
        raw = config()
        safety = safety_section()
        safety["inputs"][0].update(changed)
        raw["safety"] = safety
        AgentRig(raw, (), make_models())

    assert "no device is named rpu" in str(raises(ConfigError, lambda: load(device="rpu")))
    assert "has no bit Wet" in str(raises(ConfigError, lambda: load(bit="Wet")))
    assert "drip is named twice" in str(raises(ConfigError, lambda: load(name="drip")))
    assert "kind" in str(raises(ConfigError, lambda: load(kind="flood")))


def test_a_trip_at_the_set_point_is_rejected():
    """The trip would open the valve in normal operation, until the supply is colder."""

    def load(overheat_c, setpoint_c):
        raw = config()
        raw["control"]["supply"]["setpoint_c"] = setpoint_c
        raw["safety"] = safety_section(overheat_c=overheat_c)
        AgentRig(raw, (), make_models())

    text = str(raises(ConfigError, lambda: load(47.5, 45)))
    assert "safety.overheat_c: 47.5 is less than 3 K above control.supply.setpoint_c" in text
    assert "overheat_c" in str(raises(ConfigError, lambda: load(30, 32)))
    load(48, 45)
