# SPDX-License-Identifier: Apache-2.0
"""Polls and writes of the field bus: order, comm state, bounded queues."""

from drivers.modbus.bus import Bus
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import (
    CDU,
    LAG,
    LEAD,
    RUN,
    STOP,
    VALVE,
    AgentRig,
    FieldbusRig,
    config,
)
from tests.portable.support.check import eq


def test_device_is_polled_once_per_cycle():
    rig = AgentRig()
    eq([s.lost for s in rig.agent.fieldbus.sessions], [True] * 4)
    rig.run(0.1)  # immediately after the bus opens, not one cycle later
    eq([s.lost for s in rig.agent.fieldbus.sessions], [False] * 4)
    before = rig.agent.fieldbus.transactions()
    rig.run(10)
    extra = len(rig.devices.writes)
    eq((rig.agent.fieldbus.transactions() - before <= 40 + extra, rig.agent.fieldbus.errors()),
       (True, 0))  # fmt: skip
    eq([s.lost for s in rig.agent.fieldbus.sessions], [False] * 4)


def test_early_polls_go_out_in_the_order_of_the_devices():
    rig = AgentRig()
    rig.run(1.5)
    fieldbus = rig.agent.fieldbus
    sent = []

    def submit(unit, *_):
        sent.append(unit)
        return False

    for bus in fieldbus.buses:
        bus.submit = submit
    for session in reversed(fieldbus.sessions):
        session.poll_early()
    eq(sent, [])
    fieldbus.send_early_polls(rig.now)
    eq(sent, [session.unit for session in fieldbus.sessions])
    fieldbus.send_early_polls(rig.now)
    eq(len(sent), len(fieldbus.sessions))


def test_device_is_lost_after_three_silent_cycles():
    bench = FieldbusRig()
    cdu = bench.session("cdu")
    bench.read("cdu", 320, 400, 3000, 2000, 0)
    lost = []
    for _ in range(5):
        bench.no_reply("cdu")
        lost.append(cdu.lost)
    eq(lost, [False, False, False, True, True])
    eq(bench.fieldbus.lost_buses(), ["bus"])
    bench.read("cdu", 320, 400, 3000, 2000, 0)
    eq((cdu.lost, cdu.silent_cycles, cdu.answered_at), (False, 0, bench.now))
    eq(bench.fieldbus.lost_buses(), [])


def test_bus_is_lost_if_all_its_devices_are_silent():
    raw = config()
    raw["buses"]["other"] = "serial:/dev/other"
    raw["devices"][3]["bus"] = "other"
    bench = FieldbusRig(raw)
    bench.read("cdu", 320, 400, 3000, 2000, 0)
    eq(bench.fieldbus.lost_buses(), ["other"])
    bench.read("lag", 0, 0, 0, 0)
    eq(bench.fieldbus.lost_buses(), [])


def test_queue_of_slow_bus_is_bounded():
    """There is no reply for a minute, and the requested outputs change every cycle."""
    raw = config()
    raw["bus_timeout_ms"] = 5000
    rig = AgentRig(raw)
    rig.run(3)
    for unit in (LEAD, LAG):
        rig.devices.silent.add(unit)
    max_waiting = 0
    for i in range(120):
        rig.set(CDU, 2, 2500 + 20 * (i % 40))  # the dP varies, so the speed varies
        rig.run(0.5)
        max_waiting = max(max_waiting, rig.agent.fieldbus.buses[0].pending_count)
    session_count = len(rig.agent.fieldbus.sessions)
    assert max_waiting <= 2 * session_count, max_waiting
    for session in rig.agent.fieldbus.sessions:
        assert len(session._poll_cycle._pending) == 1


def test_one_write_is_active_and_latest_request_wins():
    bench = FieldbusRig()
    valve = bench.session("valve")
    for raw in (1000, 2000, 3000, 4000):
        valve.request_outputs([(0, raw)])
    eq(len(bench.bus._urgent), 1)
    eq(
        [transaction.pdu[-2:] for transaction in bench.finish_writes(False)],
        [bytes((1000 >> 8, 1000 & 255))],
    )
    eq(
        [transaction.pdu[-2:] for transaction in bench.finish_writes()],
        [bytes((4000 >> 8, 4000 & 255))],
    )
    eq((bench.bus._urgent, valve._write_cycle._write_active), ([], 0))


def test_stop_does_not_wait_for_other_writes():
    bench = FieldbusRig()
    lead = bench.session("lead")
    lead.request_outputs([(0, RUN), (1, 8000)])
    lead.request_outputs([(0, STOP), (1, 0)], stop=True)
    eq(
        [transaction.pdu[-4:] for transaction in bench.bus._urgent],
        [bytes((STOP >> 8, STOP & 255, 0, 0))],
    )
    for speed in (1000, 2000):
        lead.request_outputs([(0, RUN), (1, speed)])
        lead.request_outputs([(0, STOP), (1, 0)], stop=True)
    eq(len(bench.bus._urgent), 1)  # repeated stops do not grow the queue
    bench.finish_writes()
    eq([transaction.priority for transaction in bench.bus._urgent], [2])
    eq(len(bench.finish_writes()), 1)
    eq(bench.bus._urgent, [])


def test_recovered_device_awaits_loop_decision():
    bench = FieldbusRig()
    valve = bench.session("valve")
    valve.request_outputs([(0, 1000)])
    bench.read("valve", 1000, 1000)
    for _ in range(4):
        bench.no_reply("valve")
    assert valve.lost
    valve.request_outputs([(0, 2000)])
    bench.finish_writes(False)
    writes = []
    for _ in range(4):
        bench.read("valve", 1000, 1000)
        writes.append(len(bench.bus._urgent))
    eq(writes, [0, 0, 1, 0])  # in the fourth round it is complete
    bench.read("valve", 2000, 2000)
    eq((valve.write_unverified, bench.bus._urgent), (False, []))


def test_same_request_is_not_written_twice():
    rig = AgentRig()
    rig.run(5)
    rig.devices.writes = []
    rig.run(20)
    eq(rig.devices.writes, [])


def test_unverified_write_is_repeated_and_alarmed():
    for fault in ("ignoring", "rejecting"):
        rig = AgentRig()
        rig.run(6)
        getattr(rig.devices, fault).add(VALVE)
        rig.take_writes(VALVE)
        rig.set(CDU, 0, 1001)  # implausible: the loop requests its fail-safe output
        rig.run(7)
        assert len(rig.take_writes(VALVE)) >= 3
        assert "write_refused:valve" not in rig.alarm_codes()
        rig.run(7)
        assert "write_refused:valve" in rig.alarm_codes(), rig.alarm_codes()
        for values in rig.take_writes(VALVE):
            eq(values, [6000])
        getattr(rig.devices, fault).remove(VALVE)
        rig.run(4)
        assert "write_refused:valve" not in rig.alarm_codes()
        eq(rig.devices.registers[VALVE][0], 6000)


def test_unverified_write_is_flagged_if_request_changes():
    bench = FieldbusRig()
    valve = bench.session("valve")
    flagged = []
    for i in range(14):
        valve.request_outputs([(0, 1000 + 100 * i)])
        bench.read("valve", 777, 777)
        flagged.append(valve.write_unverified)
    eq(flagged, [False] * 9 + [True] * 5)
    bench.read("valve", 2300, 777)
    assert not valve.write_unverified


def test_changed_setpoint_is_restored():
    rig = AgentRig()
    rig.run(6)
    before = list(rig.devices.registers[VALVE])
    rig.set(VALVE, 0, 9999)
    rig.run(4)
    assert abs(rig.devices.registers[VALVE][0] - before[0]) < 200, rig.devices.registers[VALVE]


def test_sessions_recover_from_closed_bus():
    bench = FieldbusRig()
    bench.cycle()
    assert not bench.fieldbus.polls_complete()
    bench.bus.event("closed", SECOND)
    bench.fieldbus.dispatch_results(bench.bus)
    assert bench.fieldbus.polls_complete()
    bench.cycle()  # requests are not possible, but polls must not hang
    assert bench.fieldbus.polls_complete()
    bench.bus.event("opened", 2 * SECOND)
    bench.cycle()
    eq(bench.bus.pending_count, 4)
    assert type(bench.bus) is Bus


def test_a_bus_is_overloaded_after_three_cycles_with_incomplete_polls():
    bench = FieldbusRig()
    found = []
    for _ in range(5):
        bench.cycle()
        found.append(bench.fieldbus.overloaded_buses())
    eq(found, [[], [], [], ["bus"], ["bus"]])  # the first cycle begins without a pending poll
    for name in ("cdu", "valve", "lead", "lag"):
        bench.no_reply(name)
    eq(bench.fieldbus.overloaded_buses(), ["bus"])
    bench.cycle()
    eq(bench.fieldbus.overloaded_buses(), [])


def test_a_bus_that_answers_in_time_is_never_overloaded():
    rig = AgentRig()
    rig.run(8)
    eq(rig.agent.fieldbus.overloaded_buses(), [])
