# SPDX-License-Identifier: Apache-2.0
"""A bus with one request, for its tests."""

from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.time_units import NEVER
from tests.portable.support.check import eq

CHAR = 521  # microseconds of 10 bits at 19200 baud, rounded up
GAP = 1823  # 3.5 characters
TIMEOUT = 100_000
DRAIN = 10_000
LATE = 500_000
READ = pdu.read_holding(16, 2)
OTHER = pdu.read_holding(99, 2)  # its replies have the same shape
REPLY = with_crc(b"\x05\x03\x04\x00\x01\x00\x02")


def make_bus(framing="rtu", **more):
    bus = Bus(4, framing, 19200, 10, TIMEOUT, **more)
    bus.event("opened", 0)
    return bus


def wake_once(bus):
    """Wake the bus at its next deadline; return (time, written bytes)."""
    now = bus.deadline()
    assert now != NEVER
    bus.wake(now)
    return now, [data for _, _, data in bus.outbox()]


def run_until_write(bus):
    """Wake the bus until it writes; return (time, frame)."""
    for _ in range(10):
        now, frames = wake_once(bus)
        if frames:
            eq(len(frames), 1)
            return now, frames[0]
    raise AssertionError("nothing was written")


def only_result(bus):
    results = bus.take_results()
    eq(len(results), 1)
    return results[0]
