# SPDX-License-Identifier: Apache-2.0
"""The complete controller: ports, ticks, first readings, garbage, and steps of time."""

import gc

from agent.config.load import load
from agent.core.actuator import SUPPLY, SetpointRequest
from agent.port_numbers import RECEIVER, port_names
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import (
    BROKER,
    CDU,
    CONSOLE,
    FIRST_BUS,
    LAG,
    LEAD,
    RUN,
    STATE,
    STOP,
    VALVE,
    AgentRig,
    RigLcg,
    config,
    epoch,
    minimal_config,
    profiles,
)
from tests.portable.support.check import eq

LONG = ("test_bus_loss_and_return_do_not_move_outputs",)

ALLOWANCE = 6 * 1024
"""Allowed growth of an agent in a flood, bytes: buffers, queued telemetry, counters."""


def heap_in_use():
    """Return the bytes in use; 0 if the interpreter cannot report them."""
    gc.collect()
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def outputs(rig):
    return [list(rig.devices.registers[unit]) for unit in (VALVE, LEAD, LAG)]


def test_every_port_is_requested_at_the_start():
    rig = AgentRig()
    eq(rig.open_requests, [(0.0, RECEIVER), (0.0, FIRST_BUS), (0.0, STATE), (0.0, BROKER)])
    eq(port_names(load(config(), profiles())), ["receiver", "broker", "state", "console", "bus"])
    eq(AgentRig(minimal_config()).open_requests, [(0.0, FIRST_BUS)])


def test_missing_ports_are_retried_while_ticks_run():
    rig = AgentRig(absent=(RECEIVER, BROKER, STATE, FIRST_BUS))
    rig.run(8)
    for port in (RECEIVER, STATE, FIRST_BUS):
        eq([int(second) for second, number in rig.open_requests if number == port], [0, 1, 3, 7])
    eq((rig.agent.ticks.count, rig.agent.ticks.missed), (81, 0))
    ports = [code for code in rig.alarm_codes() if code.startswith("port:")]
    eq(sorted(ports), ["port:bus", "port:receiver", "port:state"])
    eq(rig.agent.supervisor.state, "safe")
    rig.absent = set()
    rig.run(12)
    eq((rig.alarm_codes(), rig.agent.supervisor.state), ([], "normal"))


def test_agent_cools_with_the_bus_alone():
    rig = AgentRig(minimal_config())
    rig.set(CDU, 0, 340)
    rig.run(20)
    eq((rig.agent.supervisor.state, rig.agent.ticks.missed), ("normal", 0))
    assert rig.devices.registers[VALVE][0] > 4000


def test_nothing_is_written_before_the_first_readings():
    rig = AgentRig(absent=(FIRST_BUS,))
    rig.run(0.5)
    rig.absent = set()
    for _ in range(12):
        rig.run(0.1)
        if rig.agent.supply_loop.sensor.value(rig.now) is None:
            eq(rig.devices.writes, [])
    rig.run(4)
    eq(outputs(rig)[0][:1], [4000])  # taken over at their positions
    eq(outputs(rig)[1], [1151, 8000, 0, 8000])


def test_safe_outputs_after_three_seconds_without_readings():
    rig = AgentRig()
    rig.devices.silent.add(CDU)
    rig.run(2.9)
    eq(rig.devices.writes, [])
    rig.run(1.4)
    eq(rig.devices.registers[VALVE][0], 6000)
    eq((rig.devices.registers[LEAD][1], rig.devices.registers[LAG][1]), (16000, 16000))


def test_long_cycle_waits_for_first_readings():
    raw = config()
    raw["control"]["cycle_ms"] = 10000
    raw["limits"]["stale_s"] = 30
    rig = AgentRig(raw)
    rig.run(25)
    eq(outputs(rig)[:2], [[4000, 4000], [1151, 8000, 0, 8000]])
    assert not rig.agent.supply_loop.at_fail_safe


def test_restart_does_not_move_outputs():
    rig = AgentRig()
    rig.set(LAG, 0, 1151)
    rig.set(LAG, 1, 8000)
    rig.set(LAG, 3, 8000)
    before = outputs(rig)
    rig.run(30)
    eq(outputs(rig), before)


def test_lost_sensor_gives_safe_output_until_it_returns():
    rig = AgentRig()
    rig.run(8)
    rig.set(CDU, 0, 1001)
    rig.run(3)
    eq(rig.devices.registers[VALVE][0], 6000)
    rig.set(CDU, 0, 320)
    opening = []
    for _ in range(6):
        rig.run(1)
        opening.append(rig.devices.registers[VALVE][0])
    eq(opening, [6000] * 6)  # from there to the set-point


def test_bus_loss_and_return_do_not_move_outputs():
    """The port returns at any time of a cycle, before and after the readings are stale."""
    for seconds in (1.3, 3.7, 6.2, 20.5):
        for phase in (0, 0.25, 0.5, 0.75):
            rig = AgentRig()
            rig.run(8 + phase)
            before = outputs(rig)
            rig.absent = {FIRST_BUS}
            rig.deliver("event", FIRST_BUS, "closed")
            rig.devices.writes = []
            rig.run(seconds)
            rig.absent = set()
            rig.run(20)
            eq(outputs(rig), before)
            allowed = ((VALVE, 0, [4000]), (LEAD, 0, [RUN, 8000]), (LAG, 0, [STOP, 0]))
            eq([write for write in rig.devices.writes if write not in allowed], [])
            eq((rig.alarm_codes(), rig.agent.supervisor.state), ([], "normal"))


def test_drive_runs_again_after_power_cut():
    rig = AgentRig()
    rig.run(8)
    rig.devices.silent.add(LEAD)
    rig.run(3)
    rig.devices.registers[LEAD] = [0, 0, 0, 0]
    rig.devices.silent.remove(LEAD)
    rig.run(12)
    registers = rig.devices.registers
    running = [registers[unit][3] > 0 for unit in (LEAD, LAG)]
    eq(running, [True, False])
    eq(rig.alarm_codes(), [])


def test_the_deadline_is_never_in_the_past_after_a_wake_in_time():
    rig = AgentRig()
    lcg = RigLcg(3)
    for _ in range(400):
        due = rig.agent.deadline()
        while rig._scheduled and rig._scheduled[0][0] <= due:
            rig.now, _, call, port, data = rig._scheduled.pop(0)
            rig.deliver(call, port, data)
            due = rig.agent.deadline()
        rig.now = max(rig.now, due) + lcg.below(3) * 400
        rig.agent.wake(rig.now)
        assert rig.agent.deadline() > rig.now, (rig.agent.deadline(), rig.now)
        eq(rig.process_outbox(), None)


def test_very_late_wake_is_one_tick():
    rig = AgentRig()
    rig.run(5)
    count = rig.agent.ticks.count
    rig.now += 3600 * SECOND
    for _ in range(3):
        rig.agent.wake(rig.now)
        rig.process_outbox()
    assert rig.agent.deadline() > rig.now
    assert rig.agent.ticks.count - count <= 2
    assert rig.agent.ticks.missed >= 35990
    assert len(rig.agent.telemetry.queue) <= 2


def test_early_wake_does_nothing():
    rig = AgentRig()
    rig.run(1.05)
    count, due = rig.agent.ticks.count, rig.agent.deadline()
    rig.agent.wake(rig.now)
    eq((rig.agent.outbox(), rig.agent.ticks.count, rig.agent.deadline()), ([], count, due))


def flood(rig, port, data, size):
    """Pass `data` in chunks of `size`, one each millisecond, while the agent runs."""
    for start in range(0, len(data), size):
        rig.deliver("receive", port, data[start : start + size])
        rig.run(0.001 if size > 1 else 0.0001)


def test_garbage_on_every_port_is_survived_in_bounded_memory():
    rig = AgentRig()
    rig.run(6)
    lcg = RigLcg(11)
    start = 0
    for turn in range(10):
        for port in (RECEIVER, STATE, CONSOLE, FIRST_BUS, BROKER):
            flood(rig, port, lcg.bytes(700), 100)
        rig.devices.writes, rig.open_requests, rig.console = [], [], []
        rig.broker.connects, rig.broker.published, rig.broker._buffer = [], [], b""
        if turn == 2:
            start = heap_in_use()
    if start:
        grown = heap_in_use() - start
        assert grown <= ALLOWANCE, grown
    due = rig.agent.ticks.due
    rig.run(1)
    eq((rig.agent.ticks.missed, rig.agent.ticks.max_late_us), (0, 0))
    eq((rig.agent.ticks.due - due) % 100_000, 0)
    assert rig.agent.receiver.framer.skipped_bytes > 3000
    rig.run(70)  # the back-off of the broker has grown
    eq((rig.alarm_codes(), rig.agent.uplink.connected), ([], True))


def test_malformed_frames_are_survived_at_every_split():
    lcg = RigLcg(5)
    pieces = [
        epoch("120000", "251126"),
        b"$GNRMC,,,,,,,,,,,,*4D\r\n$GNRMC,999999.9,A,9,N,9,E,,,999999,,,A*00\r\n",
        b"$" * 300,
        b"\xb5b\x01\x07" + lcg.bytes(90),
        b"\x20\x02\x01\x00\x40\x02\x00\x01\xd0\x00\x30\xff\xff\xff\x7f",
        b"\x01\x03\x0a" + lcg.bytes(12) + b"\x01\x83\x02\xc0\xf1",
        b"\x02\x10\x00\x00\x00\x01\x01\xfa" * 9,
        bytes(200),
        b"\xff" * 200,
    ]
    rig = AgentRig()
    rig.run(6)
    for port in (RECEIVER, FIRST_BUS, BROKER):
        for piece in pieces:
            flood(rig, port, piece, 1)
            flood(rig, port, piece, len(piece))
            for cut in range(1, min(len(piece), 40)):
                rig.deliver("receive", port, piece[:cut])
                rig.deliver("receive", port, piece[cut:])
    eq(rig.agent.ticks.missed, 0)
    rig.devices.writes = []
    rig.run(70)
    eq((rig.alarm_codes(), rig.agent.uplink.connected, rig.agent.ticks.missed), ([], True, 0))


def test_events_in_any_order_are_survived():
    rig = AgentRig()
    lcg = RigLcg(9)
    for _ in range(400):
        port = (RECEIVER, BROKER, STATE, CONSOLE, FIRST_BUS)[lcg.below(5)]
        kind = ("opened", "closed", "failed", "drained", "pulse")[lcg.below(5)]
        rig.deliver("event", port, kind)
        rig.run(0.02)
    rig.devices.writes, rig.open_requests, rig.console = [], [], []
    for port in (RECEIVER, BROKER, STATE, FIRST_BUS):
        rig.deliver("event", port, "closed")
    rig.run(70)
    eq((rig.alarm_codes(), rig.agent.ticks.missed), ([], 0))


def receive_fixes(rig, first, seconds, date):
    """Pass one epoch a second; its first byte comes 50 ms after the second of its time."""
    for i in range(seconds):
        second = first + i
        time = "%02d%02d%02d" % (second // 3600, second // 60 % 60, second % 60)
        rig.deliver("receive", RECEIVER, epoch(time, date))
        rig.run(1)


def test_time_steps_never_move_an_output():
    """Fixes that jump by years and by a week number rollover, in both directions."""
    rig = AgentRig()
    rig.run(6)
    before = outputs(rig)
    rig.run(0.053)
    rig.devices.writes = []
    receive_fixes(rig, 3600, 8, "251126")
    eq(rig.agent.clock.state(rig.now), "sync")
    for date in ("251135", "110406", "251126", "010100", "311299", "251126"):
        receive_fixes(rig, 3608, 5, date)
        eq((rig.agent.ticks.missed, outputs(rig), rig.devices.writes), (0, before, []))
    assert rig.agent.clock.rejected >= 20
    eq(rig.alarm_codes(), ["time_step", "time_floor"])  # 2000 is before the release
    eq(rig.agent.supervisor.state, "normal")


def test_ticks_keep_their_period_when_utc_changes():
    rig = AgentRig()
    rig.run(0.237)
    gaps, last = [], rig.agent.ticks.due
    for number in range(40):
        if number < 20 or number > 30:
            rig.deliver("receive", RECEIVER, epoch("0100%02d" % number, "251126"))
        for _ in range(25):
            rig.run(0.04)
            if rig.agent.ticks.due != last:
                gaps.append(rig.agent.ticks.due - last)
                last = rig.agent.ticks.due
    gaps.sort()
    assert 399 <= len(gaps) <= 401, len(gaps)
    assert gaps[0] >= 99_000, gaps[0]
    assert gaps[-1] <= 101_000, gaps[-1]
    assert gaps[0] != gaps[-1]  # the phase was moved
    eq((last + rig.agent.clock.offset) % 100_000, 0)


def test_alarms_go_to_the_console():
    rig = AgentRig(absent=(STATE,))
    rig.run(0.5)
    eq(rig.console, ["alarm raised port:state: cannot use port state"])
    rig.absent = set()
    rig.run(1)
    eq(rig.console[1:], ["alarm cleared port:state: cannot use port state"])
    assert CONSOLE not in [port for _, port in rig.open_requests]


def test_stream_out_of_sync_is_closed_and_reopened():
    raw = config()
    raw["buses"]["bus"] = "tcp:gateway:502"
    rig = AgentRig(raw)
    rig.devices.answer = lambda _: None
    rig.run(0.5)
    rig.deliver("receive", FIRST_BUS, b"\x00\x01\x12\x34\x00\x06garbage")
    eq(rig.alarm_codes(), ["port:bus"])
    for _ in range(150):
        rig.run(0.01)
        if len([port for _, port in rig.open_requests if port == FIRST_BUS]) == 2:
            break
    eq([port for _, port in rig.open_requests if port == FIRST_BUS], [FIRST_BUS] * 2)
    rig.run(0.01)  # a stream that remains silent is closed again later
    assert "port:bus" not in rig.alarm_codes()


def test_no_attribute_is_assigned_after_construction():
    rig = AgentRig()
    before = {name: rig.agent.__dict__[name] for name in rig.agent.__dict__}
    rig.run(20)
    rig.agent.apply_live_config(rig.agent.config)
    rig.agent.request_setpoint(SetpointRequest("test", SUPPLY, 31.0))
    rig.agent.restart()
    rig.deliver("event", FIRST_BUS, "closed")
    rig.run(20)
    eq(sorted(rig.agent.__dict__), sorted(before))
    for name, value in before.items():
        assert rig.agent.__dict__[name] is value, name
