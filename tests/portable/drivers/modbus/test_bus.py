# SPDX-License-Identifier: Apache-2.0
"""The bus in virtual time: idle time, timeouts, order, late replies, closed ports."""

import struct

from drivers.modbus.bus import Bus
from drivers.modbus.transaction import STOP, WRITE
from protocols.errors import EncodeError
from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.time_units import NEVER
from tests.portable.drivers.modbus.bus_rig import (
    CHAR,
    DRAIN,
    GAP,
    LATE,
    OTHER,
    READ,
    REPLY,
    TIMEOUT,
    make_bus,
    only_result,
    run_until_write,
    wake_once,
)
from tests.portable.support.check import eq, raises


def test_transaction_from_submit_to_result():
    bus = make_bus()
    eq(bus.deadline(), NEVER)
    assert bus.submit(5, READ, ("rpu", 1))
    now, frame = run_until_write(bus)
    eq(now, GAP)
    eq(frame, with_crc(b"\x05" + READ))
    chars = len(frame) + len(REPLY)
    eq(bus.deadline(), now + TIMEOUT + chars * 10 * 1_000_000 // 19200)
    bus.receive(REPLY, now + 20_000)
    result = only_result(bus)
    eq((result.tag, result.unit, result.status), (("rpu", 1), 5, "ok"))
    eq((result.values, result.code, result.done_at), ((1, 2), 0, now + 20_000))
    eq(bus.deadline(), NEVER)
    eq((bus.outbox(), bus.take_results()), ([], []))
    eq((bus.transactions, bus.errors), (1, 0))


def test_t35_before_each_request():
    for baud, bits, gap in ((9600, 11, 4011), (19200, 11, 2006), (38400, 10, 1750)):
        bus = Bus(4, "rtu", baud, bits, TIMEOUT)
        bus.event("opened", 0)
        bus.submit(5, READ, 1)
        bus.submit(6, READ, 2)
        eq(run_until_write(bus)[0], gap)
        bus.receive(REPLY, 50_000)
        eq(bus.deadline(), 50_000 + gap)
        bus.receive(b"\x00", 50_500)  # bytes still arrive
        eq(bus.outbox(), [])
        eq(run_until_write(bus)[0], 50_500 + gap)


def test_endless_noise_does_not_stop_bus():
    bus = make_bus()
    now = 0
    bus.submit(5, READ, 1)
    while not bus.outbox():
        now += 1000
        assert now < 400_000
        bus.receive(b"\xaa", now)
        if bus.deadline() <= now:
            bus.wake(now)
    bus.receive(REPLY, now + 9000)
    eq(only_result(bus).status, "ok")


def test_idle_bus_has_no_deadline():
    bus = make_bus()
    for now in (5, 5000, 50_000):
        bus.receive(b"\xaa\xbb", now)
        eq(bus.deadline(), NEVER)
    eq(Bus(4, "rtu").deadline(), NEVER)


def test_urgent_queue_is_first_and_bounded():
    bus = make_bus(queue_limit=3)
    for tag in range(5):
        eq(bus.submit(5, READ, tag), tag < 3)
    for tag in range(5):
        eq(bus.submit(5, pdu.write_single(tag, tag), 10 + tag, priority=True), tag < 3)
    eq(bus.rejected, 4)
    order = []
    for _ in range(6):
        now, frame = run_until_write(bus)
        bus.receive(REPLY if frame[1] == 3 else frame, now + 20_000)
        order.append(only_result(bus).tag)
    eq(order, [10, 11, 12, 0, 1, 2])


def test_stop_precedes_and_supersedes_writes():
    bus = make_bus()
    run, stop = pdu.write_multiple(0, (1151, 9)), pdu.write_single(0, 1150)
    bus.submit(5, READ, "read")
    bus.submit(6, run, "6 runs", WRITE)
    bus.submit(5, run, "5 runs", WRITE)
    bus.submit(5, stop, "5 stops", STOP)
    eq([(r.tag, r.status) for r in bus.take_results()], [("5 runs", "superseded")])
    order = []
    for _ in range(3):
        now, frame = run_until_write(bus)
        bus.receive(REPLY if frame[1] == 3 else with_crc(frame[:6]), now + 20_000)
        order.append(only_result(bus).tag)
    eq(order, ["5 stops", "6 runs", "read"])


def test_superseded_write_is_not_retried():
    for busy in (False, True):
        bus = make_bus()
        bus.submit(5, pdu.write_multiple(0, (1151, 9)), "run", WRITE, retries=3)
        now, _ = run_until_write(bus)
        bus.submit(5, pdu.write_single(0, 1150), "stop", STOP)
        if busy:
            bus.receive(with_crc(bytes((5, 0x90, 6))), now + 9_000)
        frames = []
        for _ in range(4):
            if bus.deadline() != NEVER and bus.deadline() < now + 500_000:
                frames += wake_once(bus)[1]
        assert frames
        eq([frame[1] for frame in frames], [6] * len(frames))
        assert "run" in [r.tag for r in bus.take_results()]


def test_stop_waits_for_timeout_and_t35_not_for_flush_time():
    bus = make_bus()
    bus.submit(5, READ, "read", retries=0)
    now, _ = run_until_write(bus)
    bus.submit(6, pdu.write_single(0, 0), "stop", STOP)
    due = bus.deadline()
    bus.wake(due)
    eq([data[0] for _, _, data in bus.outbox()], [6])
    assert due <= now + TIMEOUT + (8 + 9) * CHAR, due - now


def test_noise_delays_stop_briefly():
    bus = make_bus()
    bus.submit(6, pdu.write_single(0, 0), "stop", STOP)
    now = 0
    while not bus.outbox():
        now += 500
        assert now < 30_000
        bus.receive(b"\xaa", now)
        if bus.deadline() <= now:
            bus.wake(now)


def test_timeout_flushes_line_and_retries():
    bus = make_bus()
    bus.submit(5, READ, 1, retries=2)
    for attempt in range(3):
        run_until_write(bus)
        due = bus.deadline()
        bus.wake(due - 1)
        eq((bus.take_results(), bus.outbox()), ([], []))
        bus.wake(due)
        if attempt < 2:
            eq(bus.deadline(), due + DRAIN)
            bus.receive(b"\x00", due + 5_000)  # a byte restarts the idle time
            eq(bus.deadline(), due + 5_000 + DRAIN)
    result = only_result(bus)
    eq((result.status, result.done_at, result.values), ("timeout", due, ()))
    eq((bus.timeouts, bus.retries, bus.transactions, bus.errors), (3, 2, 1, 1))


def test_invalid_reply_has_reason():
    cases = (
        (with_crc(b"\x05\x03\x02\x00\x01"), "mismatch", "byte count"),
        (with_crc(b"\x05\x04\x04\x00\x01\x00\x02"), "mismatch", "function"),
        (REPLY[:-1] + b"\x00", "mismatch", "crc"),
        (with_crc(b"\x06\x03\x04\x00\x01\x00\x02"), "timeout", ""),
        (b"\x01\x02", "timeout", ""),
    )
    for data, status, reason in cases:
        bus = make_bus()
        bus.submit(5, READ, 1, retries=0)
        now, _ = run_until_write(bus)
        bus.receive(data, now + 20_000)
        eq(bus.take_results(), [])  # the correct reply can still come
        wake_once(bus)
        result = only_result(bus)
        eq((result.status, result.reason), (status, reason))
    eq((bus.timeouts, bus.invalid_replies, bus.discarded_bytes), (1, 0, 2))


def test_exceptions_are_results_and_not_retried():
    bus = make_bus()
    bus.submit(5, READ, 1)
    now, _ = run_until_write(bus)
    bus.receive(with_crc(b"\x05\x83\x02"), now + 20_000)
    result = only_result(bus)
    eq((result.status, result.code, result.values), ("exception", 2, ()))
    eq((bus.exceptions, bus.errors, bus.retries, bus.deadline()), (1, 1, 0, NEVER))


def test_port_close_fails_pending_requests():
    for kind in ("closed", "failed"):
        bus = make_bus()
        for tag in range(3):
            bus.submit(5, READ, tag)
        run_until_write(bus)
        bus.event(kind, 5_000)
        lost = [(r.tag, r.status, r.reason, r.done_at) for r in bus.take_results()]
        eq(lost, [(tag, "lost", "port " + kind, 5_000) for tag in range(3)])
        eq((bus.deadline(), bus.port_closed, bus.submit(5, READ, 9)), (NEVER, 3, False))
        bus.receive(REPLY, 6_000)
        bus.wake(7_000)
        eq((bus.take_results(), bus.outbox()), ([], []))
        bus.event("opened", 2_000_000)
        assert bus.submit(5, READ, 10)
        now, frame = run_until_write(bus)
        eq(frame, with_crc(b"\x05" + pdu.read_holding(16, 1)))  # a reply can still come
        bus.receive(with_crc(b"\x05\x03\x02\x00\x01"), now + 20_000)
        now, frame = run_until_write(bus)
        bus.receive(REPLY, now + 20_000)
        eq(only_result(bus).tag, 10)


def mbap(frame, unit=5, body=b"\x03\x04\x00\x01\x00\x02"):
    return frame[:4] + struct.pack(">HB", len(body) + 1, unit) + body


def test_tcp_sends_next_request_immediately():
    bus = make_bus("tcp")
    bus.submit(5, READ, 1)
    bus.submit(5, OTHER, 2)
    now, frame = run_until_write(bus)
    eq((now, bus.deadline()), (0, TIMEOUT))
    bus.receive(mbap(frame), 30)
    eq(only_result(bus).values, (1, 2))
    (port, op, second) = bus.outbox()[0]
    eq((port, op, bus.deadline()), (4, "write", 30 + TIMEOUT))
    bus.receive(mbap(frame), 40)  # a duplicate
    eq((bus.take_results(), bus.unsolicited), ([], 1))
    bus.receive(mbap(second), 50)
    eq(only_result(bus).tag, 2)


def test_tcp_invalid_reply_is_retried_immediately():
    bus = make_bus("tcp")
    bus.submit(5, READ, 1)
    _, frame = run_until_write(bus)
    bus.receive(mbap(frame, unit=6), 30)
    again = bus.outbox()[0][2]
    assert again[:2] != frame[:2]
    bus.receive(mbap(again, body=b"\x04\x04\x00\x01\x00\x02"), 60)
    result = only_result(bus)
    eq((result.status, result.reason, bus.deadline()), ("mismatch", "function", NEVER))


def test_tcp_late_reply_after_timeout():
    bus = make_bus("tcp")
    bus.submit(5, READ, 1, retries=0)
    bus.submit(5, OTHER, 2, retries=0)
    _, frame = run_until_write(bus)
    now, frames = wake_once(bus)
    # the next request goes out in the same call
    eq((only_result(bus).status, len(frames)), ("timeout", 1))
    bus.receive(mbap(frame), now + 10)
    eq(bus.take_results(), [])
    bus.receive(mbap(frames[0], body=b"\x03\x04\x00\x63\x00\x64"), now + 20)
    eq(only_result(bus).values, (99, 100))


def test_broken_stream_is_closed():
    bus = make_bus("tcp")
    bus.submit(5, READ, 1)
    bus.submit(5, READ, 2)
    _, frame = run_until_write(bus)
    bus.receive(mbap(frame) + b"garbage", 30)
    results = [(r.tag, r.status, r.reason) for r in bus.take_results()]
    eq(results, [(1, "ok", ""), (2, "lost", "stream broken: protocol id")])
    eq(bus.outbox(), [(4, "close", b"")])
    eq((bus.stream_closes, bus.deadline(), bus.submit(5, READ, 3)), (1, NEVER, False))
    bus.receive(b"more garbage", 40)
    eq(bus.outbox(), [])
    bus.event("closed", 50)
    bus.event("opened", 60)
    bus.submit(5, READ, 4)
    now, frame = run_until_write(bus)
    bus.receive(mbap(frame), now + 5)
    eq(only_result(bus).tag, 4)


def test_invalid_unit_is_rejected():
    text = str(raises(EncodeError, make_bus().submit, 0, READ, 1))
    eq(text, "unit 0 is not 1 to 247")
    raises(EncodeError, make_bus("tcp").submit, 256, READ, 1)


class FaultyLine:
    """Faulty servers; each reply identifies its request."""

    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF
        self.pending_data = []  # (time, order, bytes)
        self.order = 0

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n

    def schedule(self, when, data):
        self.order += 1
        self.pending_data.append((when, self.order, data))

    def answer_request(self, frame, now):
        """Answer a read with registers (unit, address), a write with its echo, or apply a fault."""
        unit, function, address = struct.unpack(">BBH", frame[:4])
        body = frame[:2] + b"\x04" + struct.pack(">HH", unit, address)
        reply = with_crc(body if function == 3 else frame[:6])
        done = now + (len(frame) + len(reply)) * CHAR + 5_000
        kind = self.below(12)
        if kind == 0:
            return  # no reply
        if kind == 1:
            reply = self.noise() + reply
        elif kind == 2:
            reply = reply[:-1] + bytes((reply[-1] ^ 64,))
        elif kind == 3:
            reply = with_crc(bytes((unit, function | 0x80, 4)))
        elif kind == 4:
            self.schedule(done + len(reply) * CHAR + self.below(16 * CHAR), reply)
        elif kind == 5:
            reply = with_crc(bytes((unit + 100,)) + reply[1:-2]) + reply
        elif kind in (6, 7, 8):
            done += TIMEOUT + self.below(LATE - TIMEOUT)  # late, during a later request
        cut = self.below(len(reply))
        if cut:
            self.schedule(done - (len(reply) - cut) * CHAR, reply[:cut])
        self.schedule(done, reply[cut:])

    def noise(self):
        return bytes([self.below(256) for _ in range(1 + self.below(20))])


def run_faulty_line(seed, requests):
    """Serve `requests` on a faulty line; return [(request, result)] and the virtual end time."""
    bus = Bus(4, "rtu", 19200, 10, TIMEOUT)
    bus.event("opened", 0)
    line = FaultyLine(seed)
    results = []
    for tag, (unit, request, urgent) in enumerate(requests):
        bus.submit(unit, request, tag, urgent)
    now = 0
    for _ in range(4000):
        line.pending_data.sort()
        due = bus.deadline()
        if line.pending_data and line.pending_data[0][0] <= due:
            now, _, data = line.pending_data.pop(0)
            bus.receive(data, now)
        elif due == NEVER:
            break
        else:
            now = max(now, due)
            bus.wake(now)
        for _, _, frame in bus.outbox():
            line.answer_request(frame, now)
        results.extend(bus.take_results())
    eq(bus.deadline(), NEVER)
    return results, now, bus


def test_faulty_lines_give_no_wrong_value():
    good = 0
    for seed in range(150):
        requests = []
        line = FaultyLine(seed + 1000)
        for _ in range(20):
            unit, address = 1 + line.below(2), 10 + line.below(3)
            if line.below(4):
                requests.append((unit, pdu.read_holding(address, 2), False))
            else:
                request = pdu.write_multiple(address, (line.below(4), 0))
                requests.append((unit, request, True))
        decided, end, bus = run_faulty_line(seed, requests)
        eq(sorted({result.tag for result in decided}), list(range(20)))
        for result in decided:
            unit, request, _ = requests[result.tag]
            if result.status == "ok":
                good += 1
                want = struct.unpack(">H", request[1:3])[0]
                eq(result.values, (unit, want) if request[0] == 3 else ())
        assert end < 60_000_000
        assert len(decided) - 20 <= bus.probes  # a good probe is a second result
    assert good > 1500, good


def test_silent_or_partial_stream_is_closed():
    bus = make_bus("tcp")
    for tag in range(9):
        bus.submit(5, READ, tag, WRITE, retries=0)
        if bus.open:
            run_until_write(bus)
            wake_once(bus)
    eq((bus.open, bus.stream_closes), (False, 1))
    bus = make_bus("tcp")
    bus.submit(5, READ, 1)
    _, frame = run_until_write(bus)
    bus.receive(mbap(frame)[:9], 500)
    wake_once(bus)
    eq((bus.open, bus.stream_closes, only_result(bus).status), (False, 1, "lost"))
