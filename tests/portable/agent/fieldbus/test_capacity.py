# SPDX-License-Identifier: Apache-2.0
"""The wire time of the polls of a cycle, and the error if it exceeds the cycle."""

from agent.core.config_records import DeviceConfig
from agent.fieldbus.capacity import cycle_load_us, over_capacity
from agent.fieldbus.fieldbus import Fieldbus
from drivers.device.profile import DeviceProfile
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
