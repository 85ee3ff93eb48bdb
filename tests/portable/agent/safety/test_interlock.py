"""What stops the unit: each cause, its rank, latch and evidence; and who feeds the watchdog."""

import json

from agent.agent import BROKER, FIRST_BUS, RECEIVER, STATE
from agent.core.errors import ConfigError, OrderError
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import CDU, LAG, LEAD, STOP, VALVE, Rig, config, profiles
from tests.portable.support.check import eq, raises

WATCHDOG = FIRST_BUS + 1
FLAGS = 4  # register of the CDU; bits: 0 Leak, 1 Drip, 2 Button, 3 Door


def models():
    made = profiles()
    names = ("Leak", "Drip", "Button", "Door")
    made["cdu"]["bits"] = [{"name": n, "address": FLAGS, "bit": i} for i, n in enumerate(names)]
    return made


def section(**changed):
    inputs = [
        {"name": "pan", "device": "cdu", "bit": "Leak", "kind": "leak_critical", "delay_s": 2},
        {"name": "drip", "device": "cdu", "bit": "Drip", "kind": "leak_warning"},
        {"name": "button", "device": "cdu", "bit": "Button", "kind": "emergency_stop"},
        {"name": "door", "device": "cdu", "bit": "Door", "kind": "contact"},
    ]
    made = {"inputs": inputs}
    made.update(changed)
    return made


def made(safety=None, absent=(), raw=None):
    raw = raw or config()
    raw["safety"] = safety or section()
    rig = Rig(raw, absent, models())
    rig.run(8)
    return rig


def part(rig):
    return rig.agent.parts[0]


def state(rig):
    return rig.agent.supervisor.state


def outputs(rig):
    """What the valve and the two pumps are told: (valve register, lead's word, lag's word)."""
    registers = rig.slaves.registers
    return registers[VALVE][0], registers[LEAD][0], registers[LAG][0]


def test_calm_is_normal_and_changes_nothing():
    rig = made()
    eq((state(rig), rig.codes()), ("normal", []))
    eq(part(rig).demand(), (None, None))


def test_a_critical_leak_stops_after_its_delay_and_stays_stopped():
    rig = made()
    rig.set(CDU, FLAGS, 1)
    rig.run(1.5)
    eq(state(rig), "normal")
    rig.run(3)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))
    eq(rig.codes(), ["leak_critical:pan"])
    rig.set(CDU, FLAGS, 0)
    rig.run(10)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


def test_a_drop_that_dries_within_the_delay_is_nothing():
    rig = made(section())
    for _ in range(6):
        rig.set(CDU, FLAGS, 1)
        rig.run(1)
        rig.set(CDU, FLAGS, 0)
        rig.run(1)
    eq((state(rig), rig.codes()), ("normal", []))


def test_reset_is_refused_while_wet_and_then_the_loops_take_over():
    rig = made()
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    raises(OrderError, part(rig).reset)
    eq(part(rig).acknowledge("leak_critical:pan"), "acknowledged: leak_critical:pan")
    eq(state(rig), "stopped")
    rig.set(CDU, FLAGS, 0)
    rig.run(2)
    eq(part(rig).order("reset", {}, rig.now), "reset: leak_critical:pan")
    rig.run(10)
    eq((state(rig), rig.codes()), ("normal", []))
    assert outputs(rig)[1] != STOP
    assert outputs(rig)[0] > 0


def test_unknown_codes_and_commands():
    rig = made()
    raises(OrderError, part(rig).reset, "leak_critical:no")
    raises(OrderError, part(rig).acknowledge, "no")
    eq(part(rig).order("dance", {}, 0), None)
    eq(part(rig).reset(), "reset: nothing")


def test_a_warning_reports_and_clears_by_itself():
    rig = made()
    rig.set(CDU, FLAGS, 2 | 8)
    rig.run(3)
    eq((state(rig), sorted(rig.codes())), ("degraded", ["contact:door", "leak_warning:drip"]))
    assert outputs(rig)[1] != STOP
    rig.set(CDU, FLAGS, 0)
    rig.run(3)
    eq((state(rig), rig.codes()), ("normal", []))


def test_the_emergency_stop_is_at_once():
    rig = made()
    rig.set(CDU, FLAGS, 4)
    rig.run(1.6)  # one cycle until it is read, half of one until the loops step
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


def test_a_leak_outranks_heat():
    rig = made(section(overheat_c=45, overheat_s=2))
    rig.set(CDU, 0, 600)
    rig.run(5)
    eq((state(rig), part(rig).demand()), ("safe", (100.0, 100.0)))
    eq(outputs(rig)[0], 10000)
    eq(rig.slaves.registers[LAG][1], 20000)
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


def test_heat_lets_go_by_itself():
    rig = made(section(overheat_c=45, overheat_s=2))
    rig.set(CDU, 0, 600)
    rig.run(5)
    rig.set(CDU, 0, 320)
    rig.run(3)
    eq((state(rig), part(rig).demand()), ("normal", (None, None)))


def test_pumps_that_turn_without_pressure_are_stopped():
    rig = made(section(dry_run_s=3))
    rig.set(CDU, 2, 3005)
    rig.set(CDU, 3, 3000)
    rig.run(2)
    eq(state(rig), "normal")
    rig.run(5)
    eq((state(rig), rig.codes()), ("stopped", ["dry_run"]))
    rig.run(5)
    eq(part(rig).reset(), "reset: dry_run")  # they stand: it is calm


def test_shut_valve_leaves_the_pumps_alone():
    safety = section()
    safety["inputs"][3]["reaction"] = "shut_valve"
    rig = made(safety)
    rig.set(CDU, FLAGS, 8)
    rig.run(3)
    eq((state(rig), outputs(rig)[0]), ("safe", 0))
    assert outputs(rig)[1] != STOP


def test_an_input_that_cannot_be_read_is_told_or_acted_upon():
    rig = made()
    rig.slaves.silent = {CDU}
    rig.run(8)
    lost = [code for code in rig.codes() if code.startswith("input_lost")]
    eq(len(lost), 4)
    assert outputs(rig)[1] != STOP
    safety = section()
    safety["inputs"][2]["when_lost"] = "act"
    rig = made(safety)
    rig.slaves.silent = {CDU}
    rig.run(8)
    eq((state(rig), outputs(rig)[1:]), ("stopped", (STOP, STOP)))


def test_evidence_is_of_the_moment():
    rig = made()
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    rig.set(CDU, 0, 250)
    rig.run(3)
    shown = json.loads(rig.state.split(b"\0", 1)[1])["safety"]
    cause = shown["causes"][0]
    eq((cause["code"], cause["latched"], cause["on"]), ("leak_critical:pan", True, True))
    assert cause["evidence"].startswith("supply 32.0 C, dp 100.0 kPa"), cause
    eq((shown["valve_forced"], shown["pumps_forced"]), (True, True))


def test_it_needs_no_broker_no_receiver_and_no_store():
    rig = made(absent=(BROKER, RECEIVER, STATE))
    rig.set(CDU, FLAGS, 1)
    rig.run(5)
    eq((state(rig), outputs(rig)), ("stopped", (0, STOP, STOP)))


class Fed(Rig):
    """A rig that counts what the watchdog is fed."""

    def act(self, port, op, data):
        if port == WATCHDOG and op == "write":
            self.feeds.append(self.now)
        else:
            Rig.act(self, port, op, data)

    def __init__(self, raw):
        self.feeds = []
        Rig.__init__(self, raw, (), models())


def test_the_watchdog_is_fed_once_a_cycle_and_only_by_a_whole_one():
    raw = config()
    raw["safety"] = section(port="watchdog:/dev/x")
    rig = Fed(raw)
    rig.run(20)
    assert 16 <= len(rig.feeds) <= 20, len(rig.feeds)
    gaps = [b - a for a, b in zip(rig.feeds, rig.feeds[1:])]
    assert max(gaps) < 2 * SECOND
    rig.agent._step_when_ready = lambda _: None  # a cycle that does not come to its end
    before = len(rig.feeds)
    rig.run(5)
    eq(len(rig.feeds), before)


def test_inputs_are_held_against_the_devices():
    def load(**changed):
        raw = config()
        safety = section()
        safety["inputs"][0].update(changed)
        raw["safety"] = safety
        Rig(raw, (), models())

    assert "no device is named rpu" in str(raises(ConfigError, lambda: load(device="rpu")))
    assert "has no bit Wet" in str(raises(ConfigError, lambda: load(bit="Wet")))
    assert "drip is named twice" in str(raises(ConfigError, lambda: load(name="drip")))
    assert "kind" in str(raises(ConfigError, lambda: load(kind="flood")))
