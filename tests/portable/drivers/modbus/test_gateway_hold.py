# SPDX-License-Identifier: Apache-2.0
"""A slow unit behind a gateway that executes one request after another: the others keep replying.

The gateway answers in the order of the requests, so one slow unit makes all later replies late.
"""

from drivers.modbus.transaction import WRITE
from drivers.modbus.unit_health import UnitHealth
from protocols.modbus.crc import with_crc
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.drivers.modbus.bus_rig import READ, make_bus
from tests.portable.support.check import eq

GOOD_UNITS = (5, 6, 7)
SLOW_UNIT = 9
FAST_US = 12 * MILLISECOND
SLOW_US = 1800 * MILLISECOND
STREAM_SLOW_US = 700 * MILLISECOND  # after eight timeouts a stream would be closed
CYCLE_US = SECOND // 2
SET = bytes((6, 0, 20, 0, 1))
NO_PATH_PDU = b"\x83\x0b"  # exception 11: the target device does not respond


def reply_to(pdu):
    if pdu[0] == 3:
        return bytes((3, 2 * pdu[4])) + bytes(2 * pdu[4])
    return pdu if pdu[0] in (6, 8) else bytes((0x80 | pdu[0], 1))


class Gateway:
    """Replies to the frames of a bus. `in_order`: a reply waits for those before it.

    `slow_us` is the response time of `SLOW_UNIT`, `slow_reply` replaces its reply. `polled` are the
    times at which it got a request.
    """

    def __init__(self, framing, in_order=True):
        self.bus = make_bus(framing)
        self.is_tcp = framing == "tcp"
        self.in_order = in_order
        self.slow_us = STREAM_SLOW_US if self.is_tcp else SLOW_US
        self.slow_reply = b""
        self.replies = []
        self.busy_until = 0
        self.polled = []
        self.pending = set()
        self.good = {}
        self.failed = {}

    def take_frames(self, now):
        for _, action, frame in self.bus.outbox():
            if action == "close":
                self.replies.clear()
                self.bus.event("closed", now)
                self.bus.event("opened", now)
                continue
            unit, pdu = (frame[6], frame[7:]) if self.is_tcp else (frame[0], frame[1:-2])
            delay_us, reply = FAST_US, reply_to(pdu)
            if unit == SLOW_UNIT:
                self.polled.append(now)
                delay_us, reply = self.slow_us, self.slow_reply or reply
            at = now + delay_us
            if self.in_order:
                at = self.busy_until = max(now, self.busy_until) + delay_us
            reply = bytes((unit,)) + reply
            head = frame[:4] + bytes((0, len(reply)))
            self.replies.append((at, head + reply if self.is_tcp else with_crc(reply)))

    def run(self, begin, end):
        """Poll all units in each cycle from `begin` to `end`."""
        bus, next_cycle, now = self.bus, begin, begin
        while True:
            wake_at = max(now, bus.deadline())
            now = min([next_cycle, wake_at] + [at for at, _ in self.replies])
            if now >= end:
                return
            if now == next_cycle:
                next_cycle += CYCLE_US
                bus.expect_cycle(next_cycle)
                for unit in GOOD_UNITS + (SLOW_UNIT,):
                    if unit not in self.pending and bus.submit(unit, READ, unit):
                        self.pending.add(unit)
            elif now == wake_at:
                bus.wake(now)
            else:
                arrived = min(self.replies)
                self.replies.remove(arrived)
                bus.receive(arrived[1], now)
            self.take_frames(now)
            for result in bus.take_results():
                self.pending.discard(result.tag)
                counts = self.good if result.status == "ok" else self.failed
                counts[result.tag] = counts.get(result.tag, 0) + 1


def forget_counts(gateway):
    gateway.good, gateway.failed, gateway.polled = {}, {}, []


def check_others_reply(framing, slow_reply=b""):
    gateway = Gateway(framing)
    gateway.slow_reply = slow_reply
    gateway.run(0, 20 * SECOND)
    forget_counts(gateway)
    gateway.run(20 * SECOND, 320 * SECOND)
    for unit in GOOD_UNITS:
        eq(gateway.failed.get(unit, 0), 0)
        assert gateway.good[unit] > 560, gateway.good  # of 600
    eq(SLOW_UNIT in gateway.good, False)
    assert 5 <= len(gateway.polled) <= 15, gateway.polled  # at most a twenty-fifth of the time
    return gateway


def test_a_slow_unit_takes_little_time_of_a_line():
    check_others_reply("rtu")


def test_a_slow_unit_takes_little_time_of_a_stream():
    check_others_reply("tcp")


def test_a_late_exception_of_the_gateway_is_the_same():
    check_others_reply("tcp", NO_PATH_PDU)


def test_the_unit_comes_back_when_it_is_fast_again():
    for framing in ("rtu", "tcp"):
        gateway = check_others_reply(framing)
        gateway.slow_us = FAST_US
        gateway.run(320 * SECOND, 380 * SECOND)
        forget_counts(gateway)
        gateway.run(380 * SECOND, 400 * SECOND)
        eq([gateway.good[unit] for unit in GOOD_UNITS + (SLOW_UNIT,)], [40] * 4)
        eq(gateway.failed, {})


def test_a_write_in_the_wait_does_not_end_it():
    gateway = Gateway("rtu")
    gateway.run(0, 20 * SECOND)
    bus = gateway.bus
    now = 20 * SECOND
    while bus.unit_health(SLOW_UNIT).probe_at < now or not gateway.polled[-1] > now - SECOND:
        gateway.run(now, now + CYCLE_US)
        now += CYCLE_US
    forget_counts(gateway)
    bus.submit(5, SET, 5, WRITE)
    gateway.run(now, now + 4 * SECOND)
    eq(sum(gateway.failed.values()), 1)  # the write


def test_units_of_a_real_line_do_not_wait():
    gateway = Gateway("rtu", in_order=False)
    gateway.run(0, 20 * SECOND)
    forget_counts(gateway)
    gateway.run(20 * SECOND, 120 * SECOND)
    eq(gateway.bus.unit_health(SLOW_UNIT).hold_us, 0)
    assert len(gateway.polled) >= 10
    for unit in GOOD_UNITS:
        assert gateway.good[unit] >= 195, gateway.good
        eq(gateway.failed.get(unit, 0), 0)


def test_a_good_reply_in_between_is_no_hold():
    health = UnitHealth(1, SECOND)
    health.offline = True
    health.attempt_ended(10 * SECOND, 7, 4)
    health.late_reply(11 * SECOND, 7, 4)
    eq(health.hold_us, 0)  # no other attempt was made
    health.late_reply(12 * SECOND, 7, 5)
    eq(health.hold_us, 5 * SECOND // 2)
    health.late_reply(13 * SECOND, 7, 4)  # while the line was kept free
    eq(health.hold_us, 15 * SECOND // 4)
    health.late_reply(30 * SECOND, 7, 4)
    eq(health.hold_us, 6 * SECOND)
    health.late_reply(13 * SECOND, 8, 5)
    eq(health.hold_us, 0)
