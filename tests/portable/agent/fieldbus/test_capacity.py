# SPDX-License-Identifier: Apache-2.0
"""The wire time of the polls of a cycle, and the error if it exceeds the cycle."""

from agent.core.config_records import DeviceConfig
from agent.fieldbus.capacity import cycle_load_us, make_poll_plans, over_capacity, wire_for
from agent.fieldbus.fieldbus import Fieldbus
from drivers.device.profile import DeviceProfile
from drivers.modbus.wire_time import WireTime
from drivers.ports.address import parse_address
from protocols.time_units import SECOND
from tests.portable.support.check import eq


def device(name, profile, unit=1):
    return DeviceConfig(name, "bus", unit, profile)


class FakeConfig:
    """The part of a configuration that the field bus needs."""

    bus_timeout_us = 200_000

    def __init__(self, address, devices):
        self.buses = [("bus", parse_address(address))]
        self.devices = devices


def meter(points, slow=0):
    """A profile with points that are too far apart for one block."""
    entries = []
    for i in range(points + slow):
        entry = {"name": "Point%d" % i, "address": 200 * i, "type": "u16", "unit": "1"}
        if i >= points:
            entry["poll"] = "slow"
        entries.append(entry)
    return DeviceProfile(
        {"model": "m", "title": "t", "source": "s", "met_hardware": False, "points": entries}
    )


def test_load_is_compared_with_cycle():
    address = parse_address("serial:/dev/ttyUSB0?baud=9600&parity=E")
    few = [device("a", meter(10))]
    many = [device("a", meter(10)), device("b", meter(40), 2)]
    one = cycle_load_us(address, few, SECOND)
    assert 200_000 < one < 300_000, one
    eq(over_capacity("bus", address, one, SECOND), "")
    text = over_capacity("bus", address, cycle_load_us(address, many, SECOND), SECOND)
    assert "buses.bus" in text, text
    for part in ("at 9600 baud", "control.cycle_ms is 1000", "at least 1400", "1310 ms"):
        assert part in text, text


def test_slow_points_count_by_their_period():
    address = parse_address("serial:/dev/ttyUSB0?baud=9600&parity=E")
    fast = cycle_load_us(address, [device("a", meter(10))], SECOND)
    both = cycle_load_us(address, [device("a", meter(10, 10))], SECOND)
    assert fast < both <= fast + fast // 9, (fast, both)


def test_tcp_bus_has_more_capacity():
    many = [device("a", meter(40))]
    serial = cycle_load_us(parse_address("serial:/dev/ttyUSB0?baud=9600"), many, SECOND)
    stream = cycle_load_us(parse_address("tcp:10.0.0.1:502"), many, SECOND)
    assert stream * 5 < serial, (stream, serial)


def test_overloaded_bus_is_reported_and_queue_is_bounded():
    devices = [device("d%d" % unit, meter(20), unit) for unit in range(1, 5)]
    fieldbus = Fieldbus(FakeConfig("serial:/dev/ttyUSB0?baud=1200", devices), 4)
    bus = fieldbus.buses[0]
    bus.event("opened", 0)
    waiting = []
    for cycle in range(6):
        fieldbus.begin_cycle(cycle * SECOND, SECOND)
        waiting.append(bus.pending_count)
        bus.wake(bus.deadline())
        bus.outbox()
    eq(fieldbus.overloaded_buses(), ["bus"])
    assert max(waiting) <= waiting[0] + 1, waiting
    eq(bus.rejected, 0)


def test_the_error_of_a_full_bus_in_its_words():
    serial = parse_address("serial:/dev/ttyUSB0?baud=9600")
    stream = parse_address("tcp:10.0.0.1:502")
    text = "buses.b: polling takes %d ms of wire time%s, control.cycle_ms is 1000; "
    text += "use a faster or a second bus, or at least %d"
    eq(over_capacity("b", serial, SECOND, SECOND), "")
    eq(over_capacity("b", serial, SECOND + 1, SECOND), text % (1001, " at 9600 baud", 1100))
    eq(over_capacity("b", stream, 1_100_000, SECOND), text % (1100, "", 1100))
    eq(over_capacity("b", stream, 1_100_001, SECOND), text % (1101, "", 1200))


def test_the_wire_of_an_address():
    serial = wire_for(parse_address("serial:/dev/ttyUSB0?baud=9600&parity=E"))
    same = WireTime(9600, 11)
    eq(serial.exchange_us(8, 25), same.exchange_us(8, 25))
    stream = wire_for(parse_address("tcp:10.0.0.1:502"))
    eq(
        stream.exchange_us(8, 25),
        WireTime(turnaround_us=2000, serial=False).exchange_us(8, 25),
    )


def overlap(slow):
    """Return the slow blocks of a profile with fast points at 10 and 14."""
    entries = [{"name": "Fast%d" % a, "address": a, "type": "u16", "unit": "1"} for a in (10, 14)]
    for i, (address, kind) in enumerate(slow):
        entries.append({"name": "Slow%d" % i, "address": address, "type": kind, "unit": "1"})
        entries[-1]["poll"] = "slow"
    profile = {"model": "m", "title": "t", "source": "s", "met_hardware": False, "points": entries}
    fast, slow_plan = make_poll_plans(DeviceProfile(profile), WireTime(9600, 11), False)
    eq([(b.address, b.count) for b in fast.blocks], [(10, 5)])
    return [(block.address, block.count) for block in slow_plan.blocks]


def test_slow_points_inside_a_fast_block_need_no_poll():
    for slow, blocks in (
        ([(11, "u16")], []),
        ([(13, "u16")], []),
        ([(12, "u32")], []),
        ([(9, "u16")], [(9, 1)]),
        ([(8, "u32")], [(8, 2)]),
        ([(15, "u16")], [(15, 1)]),
        ([(15, "u32"), (12, "u16")], [(15, 2)]),
    ):
        eq((slow, overlap(slow)), (slow, blocks))


def test_a_bus_with_actuators_has_short_reads():
    entries = [{"name": "P%d" % a, "address": a, "type": "u16", "unit": "1"} for a in range(120)]
    profile = {"model": "m", "title": "t", "source": "s", "met_hardware": False, "points": entries}
    wire = WireTime(9600, 11)
    longest = []
    for has_actuators in (False, True):
        fast, _ = make_poll_plans(DeviceProfile(profile), wire, has_actuators)
        longest.append(max([block.count for block in fast.blocks]))
    eq(longest[0], 120)
    assert 20 < longest[1] <= wire.max_read(3, 90_000) < 40, longest
