# SPDX-License-Identifier: Apache-2.0
"""The bus on a paced line: line load, cost of offline units, delay of a stop.

All in virtual time. The figures are those of docs/engineer/modbus.md.
"""

from drivers.modbus.bus import Bus
from drivers.modbus.wire_time import WireTime
from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.serial_line_model import (
    COUNT,
    ModbusServerModel,
    PolledUnits,
    SerialLineModel,
    measure_full_load,
    measure_stop_delay,
)

LONG = (
    "test_stop_is_sent_within_one_transaction_and_t35",
    "test_offline_units_cost_little_and_recover",
)


def test_line_load_reaches_95_percent():
    for baud in (9600, 19200, 115200):
        wire = WireTime(baud, 11, 5000)
        for units in ([7], [1, 2, 3, 4, 5]):
            possible = 10 * SECOND // wire.read_us(3, COUNT)
            made = measure_full_load(baud, units, 10)
            assert made >= 0.95 * possible, (baud, units, made, possible)


def test_offline_units_cost_little_and_recover():
    for offline in (1, 3, 5):
        poller = PolledUnits(offline)
        for _ in range(60):
            poller.cycle()
        used, probed = poller.bus.busy_us, poller.bus.probe_us
        poller.longest_gap_us.clear()
        for _ in range(60):
            poller.cycle()
        probed = poller.bus.probe_us - probed
        assert 0 < probed <= 0.05 * 60 * SECOND, (offline, probed)
        assert poller.bus.busy_us > used
        for unit in range(offline + 1, 11):
            assert poller.longest_gap_us[unit] <= 1.05 * SECOND, (
                offline,
                unit,
                poller.longest_gap_us,
            )
        poller.servers[0].is_offline = False
        back = poller.now
        poller.last_reply_at.pop((1, 0), None)
        while (1, 0) not in poller.last_reply_at:
            poller.cycle()
            assert poller.now - back <= 11 * SECOND, offline
        assert poller.last_reply_at[(1, 0)] - back <= 10 * SECOND, (
            offline,
            poller.last_reply_at[(1, 0)] - back,
        )


def test_offline_unit_gets_no_poll():
    poller = PolledUnits(1)
    poller.line.first_bytes = []
    for _ in range(20):
        poller.cycle()
    health = poller.bus.unit_health(1)
    assert health.offline
    assert poller.bus.skipped_polls > 20
    poll_count = len([1 for _, unit, _ in poller.line.first_bytes if unit == 1])
    assert poll_count < 14, poll_count


def test_stop_is_sent_within_one_transaction_and_t35():
    for baud in (9600, 19200, 115200):
        wire = WireTime(baud, 11, 5000)
        count = wire.max_read(3, 90_000)
        worst = 0
        for offline in (False, True):
            for when in range(0, 300_000, 3_700):
                worst = max(worst, measure_stop_delay(baud, count, offline, when))
        assert worst <= (100_000 if baud > 9600 else 110_000), (baud, count, worst)
        assert worst > 5_000  # it has waited


def test_exceptions_are_neither_duplicates_nor_fast_replies():
    """An exception is shorter than the good reply, so it comes earlier. This is not premature."""
    bus = Bus(4, "rtu", 19200, 11, timeout_us=200_000)
    server = ModbusServerModel(7)
    server.unreadable = [500]
    line = SerialLineModel(bus, [server], 19200)
    collected = []

    def collect(results, now):
        collected.extend(results)

    def ask(address, times):
        for _ in range(times):
            assert bus.submit(7, pdu.read_holding(address, COUNT), address)
            line.run(line.now + SECOND, collect)

    ask(100, 20)
    health = bus.unit_health(7)
    before = (health.fastest_us, health.min_response_us, health.timeout_us)
    assert health.min_response_us > 4_000
    ask(490, 20)
    ask(100, 20)
    eq([r.status for r in collected], ["ok"] * 20 + ["exception"] * 20 + ["ok"] * 20)
    eq((bus.timeouts, bus.premature, bus.retries, bus.invalid_replies), (0, 0, 0, 0))
    for seen_now, then in zip(
        (health.fastest_us, health.min_response_us, health.timeout_us), before
    ):
        assert abs(seen_now - then) < 1_500, (seen_now, then)
    assert bus.busy_us < 60 * WireTime(19200, 11, 5000).read_us(3, COUNT)


def run_slow_unit(turnaround_us, seconds):
    """Poll a unit once per second that becomes slow; return the failed polls and the last state."""
    bus = Bus(4, "rtu", 19200, 11, timeout_us=300_000)
    server = ModbusServerModel(7)
    line = SerialLineModel(bus, [server], 19200)
    collected = []

    def collect(results, now):
        collected.extend(results)

    for second in range(20 + seconds):
        if second == 20:
            server.turnaround_us = turnaround_us
        bus.expect_cycle(line.now + SECOND)
        bus.submit(7, pdu.read_holding(100, COUNT), 100)
        line.run(line.now + SECOND, collect)
    failed = [r for r in collected if r.status != "ok"]
    return len(failed), collected[-1].status, bus.unit_health(7).offline


def test_slow_unit_gets_longer_timeout():
    eq(run_slow_unit(65_000, 10), (1, "ok", False))  # a retry waits longer and adjusts the timeout
    failed, last, offline = run_slow_unit(250_000, 20)  # found by a probe with the longest wait
    assert 1 <= failed <= 4, failed
    eq((last, offline), ("ok", False))
    eq(run_slow_unit(350_000, 20)[1:], ("timeout", True))  # above the limit of the bus


def pause_before_read(turnaround_us, count):
    """Return the pause between a reply and a read of `count` others, with valid line timing."""
    bus = Bus(4, "rtu", 19200, 11, timeout_us=200_000)
    line = SerialLineModel(bus, [ModbusServerModel(7, turnaround_us)], 19200)
    replies = []

    def collect(results, now):
        replies.extend([now for result in results])

    for _ in range(20):
        bus.submit(7, pdu.read_holding(100, COUNT), 0)
        line.run(line.now + SECOND, collect)
    line.first_bytes = []
    bus.submit(7, pdu.read_holding(100, COUNT), 0)
    bus.submit(7, pdu.read_holding(200, count), 1)
    line.run(line.now + SECOND, collect)
    eq(len(line.first_bytes), 2)
    return line.first_bytes[1][0] - replies[-2]


def test_pause_for_duplicate_of_fast_unit():
    gap = WireTime(19200, 11).gap_us
    assert pause_before_read(200, COUNT) > 5_000  # a duplicate would match the next reply
    eq(pause_before_read(200, COUNT - 1), gap)  # another length is not ambiguous
    eq(pause_before_read(5_000, COUNT), gap)  # a duplicate would be premature


def test_after_a_time_out_a_long_reply_has_the_time_of_its_frame():
    """Replies in parts show that the line delivers incrementally; a fault can look the same."""
    wire, now, statuses = WireTime(9600, 11), 0, []
    bus = Bus(4, "rtu", 9600, 11, timeout_us=100_000)
    bus.event("opened", 0)
    for number in range(20):
        assert bus.submit(7, pdu.read_holding(100, 60), number, retries=0)
        results = []
        while not results:
            now = max(now, bus.deadline())
            bus.wake(now)
            for _, _, frame in bus.outbox():
                size = 2 * frame[5]
                reply = with_crc(frame[:2] + bytes((size,)) + bytes(size))
                end = now + wire.chars_us(8 + len(reply)) + 8_000
                if number < 10:  # the first byte comes alone
                    bus.receive(reply[:1], now + 20_000)
                    bus.receive(reply[1:], end)
                elif number > 10 and end <= bus.deadline():
                    bus.receive(reply, end)
            results = bus.take_results()
        statuses.append(results[0].status)
        now += SECOND
    eq(statuses, ["ok"] * 10 + ["timeout"] + ["ok"] * 9)
