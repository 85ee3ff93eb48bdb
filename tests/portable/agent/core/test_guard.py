# SPDX-License-Identifier: Apache-2.0
"""An exception in one piece of the agent does not end the agent, and the loops go on."""

import json

from agent.core.fault.containment import PART_OFF
from agent.core.fault.text import describe
from agent.port_numbers import BROKER, FIRST_BUS
from hil.kernel.raise_in import InjectedError, inject
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.agent.core.test_registry import PART, make_agent
from tests.portable.support.agent_rig import VALVE, AgentRig
from tests.portable.support.check import eq

LONG = (
    "test_bus_and_broker_and_device_and_receiver",
    "test_component_that_fails_five_times_waits_for_an_operator",
)


READS_200 = bytes.fromhex("0703000000c8443a")


class FaultRig(AgentRig):
    """The small unit; a fault can delay an output to the next call."""

    def process_outbox(self):
        for port, op, data in self.agent.outbox():
            self.perform(port, op, data)


class PartRig(FaultRig):
    """The small unit with the component `fake`."""

    def make(self, raw, models):
        return make_agent({"port": "serial:/dev/ttyUSB9", "points": 1})[1]


def faults(rig):
    return json.loads(rig.state.split(b"\0", 1)[1])["ticks"].get("faults")


def pieces(rig):
    return rig.agent.guard.containment.counts


def test_no_fault_leaves_no_trace():
    rig = FaultRig()
    rig.run(10)
    eq((rig.agent.guard.containment, faults(rig)), (None, None))


def test_request_of_another_master_for_too_many_registers():
    rig = FaultRig()
    rig.run(10)
    for at in range(20):
        rig.deliver("receive", FIRST_BUS, READS_200)
        rig.run(0.037 * (at % 5) + 0.2)
    rig.run(10)
    eq((rig.agent.guard.containment, rig.agent.ticks.missed), (None, 0))
    eq([code for code in rig.alarm_codes() if "lost" in code], [])


def test_loop_requests_its_safe_output_and_goes_on():
    rig = FaultRig()
    rig.run(20)
    rig.take_writes(VALVE)
    counter = inject(rig.agent, "supply", 3)
    rig.run(20)
    eq((counter.count > 10, pieces(rig)["loop"], rig.agent.ticks.missed), (True, 1, 0))
    eq("loop_fault:supply" in rig.alarm_codes(), True)
    eq(rig.agent.supply_loop.at_fail_safe, False)
    rig.run(70)
    eq("loop_fault:supply" in rig.alarm_codes(), False)


def no_memory(*_):
    raise MemoryError("memory allocation failed")


def test_a_report_without_memory_is_lost_and_its_tick_is_not():
    for owner, method in (("telemetry", "add_row"), ("_status_writer", "tick")):
        rig = FaultRig()
        rig.run(5)
        setattr(getattr(rig.agent, owner), method, no_memory)
        before = rig.agent.ticks.count
        rig.run(5)
        eq((rig.agent.ticks.count - before, rig.agent.ticks.missed), (50, 0))
        eq(pieces(rig)["listener"] > 0, True)
        eq(rig.alarm_codes(), [])


def test_a_reaction_without_memory_is_left_out_some_times():
    rig = FaultRig()
    rig.run(5)
    guard = rig.agent.guard
    react, guard._react = guard._react, no_memory
    inject(rig.agent, "supply", 1)
    rig.run(5)
    eq((guard.containment, rig.agent.ticks.missed), (None, 0))
    for _ in range(9):
        guard.handle(None, ValueError("x"), rig.now)
    guard._react = react
    guard.handle(None, ValueError("x"), rig.now)  # ends the sequence
    guard._react = no_memory
    for _ in range(10):
        guard.handle(None, ValueError("x"), rig.now)
    try:
        guard.handle(None, ValueError("x"), rig.now)
    except MemoryError:
        return
    raise AssertionError("a lasting want of memory must restart the agent")


def test_component_is_off_and_starts_again():
    rig = PartRig()
    rig.run(10)
    part = rig.agent.components[0]
    inject(rig.agent, "fake", 2)
    rig.run(0.7)
    eq(rig.agent.components[0] is part, False)
    eq(rig.agent.components[0].values(rig.now), [None])
    eq(rig.agent.components[0].active_conditions(rig.now), None)  # its last ones stay
    rig.run(3)
    eq(rig.agent.components[0] is part, True)
    eq((faults(rig)["part"], rig.agent.ticks.missed), (1, 0))


def test_component_that_fails_five_times_waits_for_an_operator():
    rig = PartRig()
    rig.run(10)
    part = rig.agent.components[0]

    def fail(now):
        raise InjectedError("again")

    part.tick = fail
    rig.run(40)
    eq(pieces(rig)["part"], 5)
    code = PART_OFF.code + ":fake"
    eq(code in rig.alarm_codes(), True)
    rig.run(400)
    eq(pieces(rig)["part"], 5)
    part.tick = lambda _: None
    containment = rig.agent.guard.containment
    eq(containment.acknowledge("part_off:other"), "")
    eq(containment.acknowledge(code), code)
    rig.run(3)
    eq((rig.agent.components[0] is part, code in rig.alarm_codes()), (True, False))


def test_failed_start_is_repeated():
    rig = PartRig()
    part = rig.agent.components[0]
    rig.agent.guard.handle(part, InjectedError("x"), rig.now)
    rig.agent.not_started.append(part)
    rig.run(3)
    eq([call for call in part.calls if call[0] == "start"][1][0], "start")


def test_port_with_three_faults_is_closed_and_opened_again():
    rig = PartRig()
    rig.run(10)
    part = rig.agent.components[0]

    def fail(data, now):
        raise InjectedError("bad bytes")

    part.receive = fail
    for _ in range(3):
        eq([code for code in rig.alarm_codes() if code.startswith("port")], [])
        rig.deliver("receive", PART, b"abc")
    rig.run(0.3)
    eq(part.calls[-1][0:2] != ("receive", b"abc"), True)
    eq([call[1] for call in part.calls if call[0] == "event"][-1], "closed")
    eq(rig.open_requests[-1][1] == PART, False)
    rig.run(2)
    eq(rig.open_requests[-1][1], PART)
    eq("port_fault:fake" in rig.alarm_codes(), True)
    eq(rig.agent.components[0] is part, True)
    rig.run(70)
    eq(rig.alarm_codes(), [])
    lines = [line for line in rig.console if line.startswith("fault")]
    eq(len(lines), 1)
    eq(lines[0].endswith("in fail; input 616263"), True)


def test_bus_and_broker_and_device_and_receiver():
    for name in ("bus", "broker", "cdu", "valve", "pump1", "supply", "pressure", "bus memory"):
        for call in (1, 2, 3, 7, 20):
            rig = FaultRig()
            rig.run(5)
            if inject(rig.agent, name, call) is None:
                continue
            rig.run(20)
            eq((name, sum(pieces(rig).values()) if call < 7 else 1), (name, 1))
            eq(
                (name, rig.agent.ticks.missed, rig.agent.supervisor.state),
                (name, 0, rig.agent.supervisor.state),
            )
            eq([code for code in rig.alarm_codes() if "lost" in code], [])


def test_permanent_fault_of_a_port_takes_no_time():
    rig = FaultRig()
    rig.run(5)

    def fail(now):
        raise InjectedError("permanent")

    rig.agent.uplink.wake = fail
    rig.agent.uplink.deadline = lambda: 0
    calls = 0
    until = rig.now + 2 * SECOND
    while rig.agent.deadline() < until:
        rig.now = max(rig.now, rig.agent.deadline())
        rig.agent.wake(rig.now)
        rig.agent.outbox()
        calls += 1
    eq(calls <= 2 * SECOND // (10 * MILLISECOND) + 2 * 10 + 5, True)
    eq((rig.agent.ticks.missed, rig.agent.guard.containment.counts["port"] > 2), (0, True))


def test_listeners_that_fail_are_dropped():
    rig = FaultRig()

    class Listener:
        def on_receive(self, port, data, now):
            raise InjectedError("listener")

        def on_outbox(self, actions):
            pass

    rig.agent.add_port_listener(Listener())

    def on_alarm(now, change, code, text):
        raise InjectedError("alarm")

    rig.agent.alarms.add_listener(on_alarm)
    rig.run(5)
    rig.devices.silent.add(VALVE)
    rig.run(10)
    eq((rig.agent.port_listeners, pieces(rig)["listener"]), ([], 2))
    eq("device_lost:valve" in rig.alarm_codes(), True)


def test_text_names_type_message_and_place():
    try:
        raise InjectedError("here")
    except InjectedError as error:
        text = describe(error)
    eq(text.startswith("InjectedError here at test_guard:"), True)
    eq(text.endswith(" in test_text_names_type_message_and_place"), True)


def test_input_of_the_broker_that_no_decoder_accepts():
    rig = FaultRig()
    rig.run(5)
    rig.deliver("receive", BROKER, bytes(range(256)))
    rig.run(30)
    eq((rig.agent.guard.containment, rig.agent.uplink.connected), (None, True))
