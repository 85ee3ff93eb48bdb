# SPDX-License-Identifier: Apache-2.0
"""The snapshot is JSON with the same bytes on each interpreter: ordered keys, integers only."""

import json

from agent.telemetry import status
from tests.portable.support.agent_rig import CDU, STATE, AgentRig, config, minimal_config
from tests.portable.support.check import eq

KEYS = (
    "version site unit mono_us utc_us state clock ticks supply dp modbus receiver telemetry alarms"
)


def test_thousandths():
    for value, count in ((None, None), (0.0, 0), (32.5, 32500), (-0.0005, -1), (99.9996, 100000)):
        eq(status.to_milli(value), count)


def test_keys_have_a_fixed_order():
    rig = AgentRig()
    rig.run(6)
    text = status.snapshot(rig.agent, rig.now).decode()
    parsed = json.loads(text)
    eq(sorted(parsed), sorted(KEYS.split(" ")))
    places = [text.index('"%s":' % key) for key in KEYS.split(" ")]
    eq(places, sorted(places))
    eq((text[0], text.count(" ")), ("{", 0))


def test_sections_byte_for_byte():
    rig = AgentRig()
    rig.set(CDU, 0, 325)
    rig.set(CDU, 1, 1001)
    rig.run(0.9)
    text = status.snapshot(rig.agent, rig.now).decode()
    head = '{"version":1,"site":"s1","unit":"u1","mono_us":1000900000,"utc_us":null,'
    eq(text[: len(head)], head)
    supply = (
        '"supply":{"quality":"good","milli_c":32500,"setpoint_milli_c":32000,'
        '"return_milli_c":null,"valve_milli_pct":40000,"valve_asked_milli_pct":40167}'
    )  # 40 % and the integral of one second: 0.5 K * 5 %/K / 15 s
    assert supply in text, text
    dp = (
        '"dp":{"quality":"good","milli_kpa":100000,"setpoint_milli_kpa":100000,'
        '"pumps_milli_pct":[40000,0],"pumps_asked_milli_pct":[40000,0]}'
    )
    assert dp in text, text
    clock = (
        '"clock":{"state":"free","bound_us":null,"budget_us":{},'
        '"accepted":0,"rejected":0,"flags":["leap'
    )
    assert clock in text, text


def test_status_has_the_alarms():
    rig = AgentRig()
    rig.run(7)
    rig.set(CDU, 4, 1)
    rig.run(2)
    text = status.snapshot(rig.agent, rig.now).decode()
    assert text.endswith(
        '"alarms":[{"code":"device_alarm:cdu.Leak","text":"reports cdu.Leak","since_us":%d}]}'
        % rig.agent.alarms.active[0].since
    ), text


def test_missing_sections_are_null():
    rig = AgentRig(minimal_config())
    rig.run(3)
    parsed = json.loads(status.snapshot(rig.agent, rig.now))
    eq((parsed["receiver"], parsed["telemetry"], parsed["utc_us"]), (None, None, None))
    eq(rig.state, b"")


def test_status_is_written_once_a_second():
    rig = AgentRig()
    rig.run(1)
    states = []
    for _ in range(10):
        rig.run(1)
        states.append(rig.state)
    eq(len(set(states)), 10)
    name, text = states[-1].split(b"\0")
    eq((name, json.loads(text)["site"]), (b"status.json", "s1"))


def test_status_is_not_written_while_port_is_closed():
    rig = AgentRig(absent=(STATE,))
    rig.run(5)
    eq(rig.state, b"")
    eq(rig.alarm_codes(), ["port:state"])
    rig.absent = set()
    rig.run(5)
    assert rig.state
    eq(rig.alarm_codes(), [])


def test_serial_line_gets_status_in_chunks():
    raw = config()
    raw["state"] = "uart:4?baud=115200"
    rig = AgentRig(raw)
    writes = []
    act = rig.perform

    def listen(port, op, data):
        if port == STATE and op == "write":
            writes.append((rig.now, data))
        act(port, op, data)

    rig.perform = listen
    rig.run(4)
    records = b"".join([data for _, data in writes]).split(b"status.json\0")
    eq(records[0], b"")
    for record in records[1:-1]:
        eq(sorted(json.loads(record)), sorted(KEYS.split(" ")))
    starts = [now for now, data in writes if data.startswith(b"status.json\0")]
    eq([later - now for now, later in zip(starts, starts[1:])], [1_000_000] * (len(starts) - 1))
    eq((len(starts), len({now for now, _ in writes}), len(writes)), (4, 20, 40))
    assert max([len(data) for _, data in writes]) * 10 < len(records[1]) * 6


def test_record_without_memory_is_lost_as_a_whole():
    for single_write in (True, False):
        rig = AgentRig()
        rig.run(3)
        writer = status.StatusWriter(rig.agent, single_write)
        clock, broken = rig.agent.clock.utc, [True]

        def utc(now, clock=clock, broken=broken):
            if broken:
                raise MemoryError
            return clock(now)

        rig.agent.clock.utc = utc
        try:
            writer.tick(rig.now)
            raise AssertionError
        except MemoryError:
            broken.clear()
        eq(writer.tick(rig.now + 100_000), [])
        first = writer.tick(rig.now + 1_000_000)[0]
        eq(first[: len(status.STATUS_FILE) + 2], status.STATUS_FILE.encode() + b"\0{")
