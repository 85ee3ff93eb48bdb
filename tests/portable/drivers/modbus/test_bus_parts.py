# SPDX-License-Identifier: Apache-2.0
"""Parts of the bus alone: times of the wire and of a unit, blocks, probes, counters.

Each table has a value on both sides of a limit. 9600 baud and 10 bits: 1041.67 us a character.
"""

from drivers.modbus.counters import BusCounters
from drivers.modbus.line_timer import LineTimer
from drivers.modbus.recovery_probe import RecoveryProbe
from drivers.modbus.register_span import ReadBlock, is_within, overlaps, written_block
from drivers.modbus.unit_health import UnitHealth
from drivers.modbus.wire_time import WireTime
from protocols.time_units import NEVER, SECOND
from tests.portable.support.check import eq

READ4 = bytes((3, 0, 0, 0, 4))
READ4_AT9 = bytes((3, 0, 9, 0, 4))
READ1 = bytes((3, 0, 0, 0, 1))
NOW = 100 * SECOND


def wire(**options):
    return WireTime(9600, 10, **options)


def test_times_of_a_line():
    eq([WireTime(baud, 11).gap_us for baud in (9600, 19200, 19201)], [4011, 2006, 1750])
    line = wire()
    eq((line.gap_us, line.chars_us(3), line.serial, line.ascii_mode), (3646, 3125, True, False))
    eq((line.exchange_us(8, 7), wire(turnaround_us=1000).exchange_us(8, 7)), (24271, 22917))
    eq(wire(ascii_mode=True).exchange_us(8, 7), 24271 + 15625)
    eq((line.read_us(3, 10), line.read_us(4, 0)), (line.exchange_us(8, 25), line.exchange_us(8, 5)))
    for function, count, data in ((1, 8, 1), (1, 9, 2), (2, 16, 2), (2, 0, 0)):
        eq(line.read_us(function, count), line.exchange_us(8, 5 + data))
    stream = wire(serial=False)
    eq((stream.gap_us, stream.chars_us(29), stream.exchange_us(8, 22)), (0, 2, 5003))
    eq(
        (WireTime().baud, WireTime().turnaround_us, WireTime().exchange_us(8, 7)),
        (19200, 5000, 15599),
    )


def test_longest_read():
    line = wire()
    empty = line.read_us(3, 0)
    for wait, registers, bits in (
        (0, 8, 128),
        (empty + 20_833, 9, 144),
        (empty + 43_749, 20, 320),
        (empty + 43_750, 21, 336),
        (SECOND, 125, 2000),
    ):
        eq((line.max_read(3, wait), line.max_read(1, wait)), (registers, bits))
    eq(wire(ascii_mode=True).max_read(3, wire(ascii_mode=True).read_us(3, 0) + 43_750), 10)


def test_blocks():
    block = ReadBlock(3, 10, 5)
    for start, count, common, inside in (
        (9, 1, False, False),
        (9, 2, True, False),
        (10, 5, True, True),
        (14, 1, True, True),
        (14, 2, True, False),
        (15, 1, False, False),
    ):
        other = ReadBlock(3, start, count)
        eq((overlaps(block, other), overlaps(other, block)), (common, common))
        eq(is_within(other, block), inside)
        eq(
            (overlaps(ReadBlock(4, start, count), block), is_within(other, ReadBlock(4, 0, 99))),
            (False, False),
        )
    for pdu, expected in (
        (bytes((5, 1, 2, 255, 0)), (1, 0x102, 1)),
        (bytes((6, 1, 2, 3, 4)), (3, 0x102, 1)),
        (bytes((22, 1, 2, 0, 1, 0, 2)), (3, 0x102, 1)),
        (bytes((15, 1, 2, 1, 4, 2, 0, 0)), (1, 0x102, 0x104)),
        (bytes((16, 1, 2, 1, 4, 2, 0, 0)), (3, 0x102, 0x104)),
        (bytes((23, 9, 9, 0, 1, 1, 2, 1, 4, 2, 0, 0)), (3, 0x102, 0x104)),
        (READ4, None),
        (bytes((8, 0, 0, 1, 2)), None),
    ):
        got = written_block(pdu)
        eq(None if got is None else tuple(got), expected)


def test_idle_times_of_a_line():
    line = LineTimer(3000, 50_000)
    line.line_opened(NOW)
    eq((line.t35_at, line.drained_at), (NOW + 3000, NOW + 3000))
    line.bytes_received(NOW + 10)
    eq((line.t35_at, line.drained_at), (NOW + 3010, NOW + 3010))
    line.reply_timed_out(NOW + 1000)
    eq((line.t35_at, line.drained_at), (NOW + 3010, NOW + 51_000))
    line.bytes_received(NOW + 2000)
    eq((line.t35_at, line.drained_at), (NOW + 5000, NOW + 52_000))
    line.reply_timed_out(NOW + 1000)  # it never ends a wait early
    eq(line.drained_at, NOW + 52_000)
    line.request_sent()
    line.bytes_received(NOW + 3000)
    eq((line.t35_at, line.drained_at), (NOW + 6000, NOW + 6000))
    line.hold_polls(NOW + 7)
    eq(line.drained_at, NOW + 7)


def test_a_line_that_is_never_idle_delays_for_a_limited_time():
    line = LineTimer(3000, 50_000)
    for has_pending in (False, True):
        for at in range(0, 400_000, 1000):
            line.unexpected_bytes(NOW + at, has_pending)
    eq((line.t35_at, line.drained_at), (NOW + 20_000, NOW + 250_000))
    line.unexpected_bytes(NOW, False)  # nothing waits: the limits end
    line.unexpected_bytes(NOW + 300_000, True)
    eq((line.t35_at, line.drained_at), (NOW + 303_000, NOW + 303_000))
    line.request_sent()
    line.unexpected_bytes(NOW + SECOND, True)
    line.unexpected_bytes(NOW + SECOND + 249_000, True)
    eq((line.t35_at, line.drained_at), (NOW + SECOND + 20_000, NOW + SECOND + 250_000))
    line = LineTimer(3000, 500_000)
    line.reply_timed_out(NOW)
    line.unexpected_bytes(NOW + 200_000, True)
    eq(line.drained_at, NOW + 250_000)  # counted from the time-out
    line.line_closed()
    line.unexpected_bytes(NOW + 210_000, True)
    eq(line.drained_at, NOW + 460_000)


def test_response_time_of_a_unit():
    unit = UnitHealth(20_000, 200_000)
    eq((unit.timeout_us, unit.response_us, unit.probe_timeout_us()), (200_000, -1, 40_000))
    for reply, response, timeout, fastest in (
        (10_000, 10_000, 30_000, 10_000),
        (18_000, 11_000, 34_000, 10_000),
        (11_000, 11_000, 32_560, 10_000),
        (1_000, 9_750, 35_918, 1_000),
        (-5, 8_531, 37_907, 0),
    ):
        unit.reply_received(reply, True)
        eq((unit.response_us, unit.timeout_us, unit.fastest_us), (response, timeout, fastest))
    unit.reply_received(99_000, False)  # of a retry
    eq((unit.response_us, unit.timeout_us), (8_531, 37_907))
    fast, slow = UnitHealth(20_000, 200_000), UnitHealth(20_000, 25_000)
    fast.reply_received(100, True), slow.reply_received(15_000, True)
    eq((fast.timeout_us, slow.timeout_us, UnitHealth(9, 5)._timeout_limit()), (20_000, 25_000, 5))


def test_shortest_response_time_needs_eight_samples():
    unit = UnitHealth(20_000, 200_000)
    for i in range(8):
        eq((unit.has_min_response, unit.min_response_us), (False, 0))
        unit.reply_received(8_000 + i, True)
    eq((unit.has_min_response, unit.fastest_us, unit.min_response_us), (True, 8_000, 7_000))
    unit.reply_received(9_000, True)
    eq(unit.fastest_us, 8_000)
    unit.reply_received(4_000, True)
    eq((unit.fastest_us, unit.min_response_us, unit.sends_duplicates), (4_000, 3_500, False))
    unit.duplicate_seen()
    eq(unit.sends_duplicates, True)


def test_timeouts_of_a_unit():
    unit = UnitHealth(20_000, 200_000)
    unit.reply_received(10_000, True)
    for timeout in (47_808, 67_728, 71_960):
        unit.timed_out(NOW)
        eq((unit.timeout_us, unit.offline), (timeout, False))
    unit.probe_pdu = READ4
    for i, delay in enumerate((500_000, SECOND, 2 * SECOND, 4 * SECOND, 6 * SECOND, 6 * SECOND)):
        unit.timed_out(NOW + i)
        eq((unit.offline, unit.offline_since, unit.probe_at), (True, NOW, NOW + i + delay))
    eq((unit.probe_pdu, unit.consecutive_timeouts), (b"", 9))
    unit.start_probe()
    unit.reply_received(10_000, False)
    eq((unit.offline, unit.consecutive_timeouts, unit.probe_count), (False, 0, 0))
    for _ in range(4):
        unit.timed_out(NOW)
    eq(unit.probe_at, NOW + 500_000)
    never = UnitHealth(20_000, 200_000)
    never.timed_out(NOW)
    eq(never.timeout_us, 200_000)
    short = UnitHealth(20_000, 40_000)
    short.reply_received(10_000, True), short.timed_out(NOW)
    eq(short.timeout_us, 40_000)


def test_one_of_four_probes_waits_long():
    unit = UnitHealth(20_000, 200_000)
    eq([unit.start_probe() for _ in range(8)], [40_000] * 3 + [200_000] + [40_000] * 3 + [200_000])
    for response, timeout in ((9_000, 20_000), (15_000, 30_000), (150_000, 200_000)):
        unit = UnitHealth(20_000, 200_000)
        unit.reply_received(response, True)
        eq((unit.start_probe(), unit.probe_count), (timeout, 1))
    eq(UnitHealth(1, 30_000).start_probe(), 30_000)


def test_the_poll_with_the_shortest_reply_is_the_probe():
    unit = UnitHealth(20_000, 200_000)
    for pdu, tag, expected in (
        (READ4, None, (b"", None)),
        (READ4, "a", (READ4, "a")),
        (READ4_AT9, "b", (READ4_AT9, "b")),
        (READ1, "c", (READ1, "c")),
        (READ4, "d", (READ1, "c")),
    ):
        unit.store_probe(pdu, tag)
        eq((unit.probe_pdu, unit.probe_tag), expected)


def test_probes_wait_for_their_time_and_for_the_cycle():
    line = wire()
    probes = RecoveryProbe(line, 50_000)
    first, second = UnitHealth(20_000, 200_000), UnitHealth(20_000, 200_000)
    health = {7: first, 8: second}
    eq((probes.next_probe(health, NOW, NOW), probes.next_at()), ((None, NEVER), NEVER))
    probes.unit_lost(7), probes.unit_lost(8)
    eq((probes.next_probe(health, NOW, NOW)[1], probes.next_at()), (NEVER, 0))
    first.store_probe(READ1, "a"), second.store_probe(READ1, "b")
    first.probe_at, second.probe_at = NOW + 2, NOW + 1
    eq(probes.next_probe(health, NOW, NOW - 1), (None, NOW + 1))
    probe, at = probes.next_probe(health, NOW + 1, NOW)
    eq((probe.unit, probe.pdu, probe.tag, probe.priority, at), (8, READ1, "b", 0, 0))
    eq((probe.is_probe, probe.retries, probe.health is second), (True, 0, True))
    cost = line.exchange_us(8, 8) + 40_000 + 50_000
    for cycle, waits in (
        (NOW + 1, True),
        (NOW + cost, True),
        (NOW + 1 + cost, False),
        (NOW, False),
    ):
        found, at = probes.next_probe(health, NOW + 1, cycle)
        eq((cycle - NOW, found is None, at), (cycle - NOW, waits, cycle + 1000 if waits else 0))
    late = NOW + 1 + 7 * SECOND
    eq(probes.next_probe(health, late - 1, late)[0], None)
    eq(probes.next_probe(health, late, late)[0] is None, False)
    second.probe_at = NOW + 2
    eq(probes.next_probe(health, NOW + 9, 0)[0].unit, 7)  # the first that was lost
    probes.probe_done(NOW + 10, 1000, 3)
    eq(
        (probes.next_at(), probes.next_probe(health, NOW + 11, 0)),
        (NOW + 24_010, (None, NOW + 24_010)),
    )
    probes.probe_done(NOW + 10, 1000, 2)  # no unit of the bus is online
    eq(probes.next_at(), NOW + 1010)
    probes.unit_answered(7), probes.unit_answered(8)
    eq((probes.offline, probes.next_at()), ([], NEVER))


class ClientCounts:
    discarded_bytes, other_unit_frames, unsolicited, crc_errors = 1, 2, 3, 4

    def __init__(self):
        self.counters = self


def test_counters():
    counters = BusCounters(ClientCounts())
    for status, is_probe, expected in (
        ("ok", False, (1, 0, 0)),
        ("ok", True, (2, 0, 0)),
        ("timeout", True, (2, 0, 0)),
        ("mismatch", True, (2, 0, 0)),
        ("timeout", False, (3, 1, 0)),
        ("exception", True, (4, 2, 1)),
        ("busy", False, (5, 3, 1)),
    ):
        counters.count_result(status, is_probe)
        eq((counters.transactions, counters.errors, counters.exceptions), expected)
    eq((counters.discarded_bytes, counters.other_unit_frames), (1, 2))
    eq((counters.unsolicited, counters.crc_errors), (3, 4))
    counters.busy_us = 250
    eq((counters.load_milli_pct(1000), counters.load_milli_pct(1000)), (25_000, 0))
    counters.busy_us = 260
    eq(counters.load_milli_pct(1100), 10_000)
    counters.busy_us = 9000
    eq((counters.load_milli_pct(1200), counters.load_milli_pct(1201)), (100_000, 0))
