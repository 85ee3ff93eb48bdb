"""The bus in virtual time: silence, timeouts, order, late replies, closed ports."""

import struct

from drivers.modbus.bus import Bus
from drivers.modbus.transaction import STOP, WRITE
from protocols.errors import EncodeError
from protocols.modbus import pdu
from protocols.modbus.crc import sealed
from protocols.time_units import NEVER
from tests.portable.support.check import eq, raises

CHAR = 521  # microseconds of 10 bits at 19200 baud, rounded up
GAP = 1823  # 3.5 of them
TIMEOUT = 100_000
DRAIN = 10_000
LATE = 500_000
READ = pdu.read_holding(16, 2)
OTHER = pdu.read_holding(99, 2)  # its replies look the same
REPLY = sealed(b"\x05\x03\x04\x00\x01\x00\x02")


def opened(framing="rtu", **more):
    bus = Bus(4, framing, 19200, 10, TIMEOUT, **more)
    bus.event("opened", 0)
    return bus


def turn(bus):
    """Let the bus have its next deadline; returns (when, what it wrote)."""
    now = bus.deadline()
    assert now != NEVER
    bus.wake(now)
    return now, [data for _, _, data in bus.outbox()]


def sent(bus):
    """Turn until something is written; returns (when, the frame)."""
    for _ in range(10):
        now, frames = turn(bus)
        if frames:
            eq(len(frames), 1)
            return now, frames[0]
    raise AssertionError("nothing was written")


def one(bus):
    results = bus.results()
    eq(len(results), 1)
    return results[0]


def test_a_transaction_from_submit_to_result():
    bus = opened()
    eq(bus.deadline(), NEVER)
    assert bus.submit(5, READ, ("rpu", 1))
    now, frame = sent(bus)
    eq(now, GAP)
    eq(frame, sealed(b"\x05" + READ))
    chars = len(frame) + len(REPLY)
    eq(bus.deadline(), now + TIMEOUT + chars * 10 * 1_000_000 // 19200)
    bus.receive(REPLY, now + 20_000)
    result = one(bus)
    eq((result.tag, result.unit, result.status), (("rpu", 1), 5, "ok"))
    eq((result.values, result.code, result.at), ((1, 2), 0, now + 20_000))
    eq(bus.deadline(), NEVER)
    eq((bus.outbox(), bus.results()), ([], []))
    eq((bus.transactions, bus.errors), (1, 0))


def test_silence_before_each_request():
    for baud, bits, gap in ((9600, 11, 4011), (19200, 11, 2006), (38400, 10, 1750)):
        bus = Bus(4, "rtu", baud, bits, TIMEOUT)
        bus.event("opened", 0)
        bus.submit(5, READ, 1)
        bus.submit(6, READ, 2)
        eq(sent(bus)[0], gap)
        bus.receive(REPLY, 50_000)
        eq(bus.deadline(), 50_000 + gap)
        bus.receive(b"\x00", 50_500)  # somebody still talks
        eq(bus.outbox(), [])
        eq(sent(bus)[0], 50_500 + gap)


def test_noise_without_end_does_not_stop_the_bus():
    bus = opened()
    now = 0
    bus.submit(5, READ, 1)
    while not bus.outbox():
        now += 1000
        assert now < 400_000
        bus.receive(b"\xaa", now)
        if bus.deadline() <= now:
            bus.wake(now)
    bus.receive(REPLY, now + 9000)
    eq(one(bus).status, "ok")


def test_idle_needs_no_wakes():
    bus = opened()
    for now in (5, 5000, 50_000):
        bus.receive(b"\xaa\xbb", now)
        eq(bus.deadline(), NEVER)
    eq(Bus(4, "rtu").deadline(), NEVER)


def test_urgent_first_and_bounded():
    bus = opened(queue_limit=3)
    for tag in range(5):
        eq(bus.submit(5, READ, tag), tag < 3)
    for tag in range(5):
        eq(bus.submit(5, pdu.write_single(tag, tag), 10 + tag, urgent=True), tag < 3)
    eq(bus.refused, 4)
    order = []
    for _ in range(6):
        now, frame = sent(bus)
        bus.receive(REPLY if frame[1] == 3 else frame, now + 20_000)
        order.append(one(bus).tag)
    eq(order, [10, 11, 12, 0, 1, 2])


def test_stop_goes_before_writes_and_replaces_what_it_writes_anew():
    bus = opened()
    run, stop = pdu.write_multiple(0, (1151, 9)), pdu.write_single(0, 1150)
    bus.submit(5, READ, "read")
    bus.submit(6, run, "6 runs", WRITE)
    bus.submit(5, run, "5 runs", WRITE)
    bus.submit(5, stop, "5 stops", STOP)
    eq([(r.tag, r.status) for r in bus.results()], [("5 runs", "superseded")])
    order = []
    for _ in range(3):
        now, frame = sent(bus)
        bus.receive(REPLY if frame[1] == 3 else sealed(frame[:6]), now + 20_000)
        order.append(one(bus).tag)
    eq(order, ["5 stops", "6 runs", "read"])


def test_the_retry_of_an_old_write_never_follows_a_newer_one():
    for busy in (False, True):
        bus = opened()
        bus.submit(5, pdu.write_multiple(0, (1151, 9)), "run", WRITE, retries=3)
        now, _ = sent(bus)
        bus.submit(5, pdu.write_single(0, 1150), "stop", STOP)
        if busy:
            bus.receive(sealed(bytes((5, 0x90, 6))), now + 9_000)
        frames = []
        for _ in range(4):
            if bus.deadline() != NEVER and bus.deadline() < now + 500_000:
                frames += turn(bus)[1]
        assert frames
        eq([frame[1] for frame in frames], [6] * len(frames))
        assert "run" in [r.tag for r in bus.results()]


def test_a_stop_waits_for_one_timeout_and_the_silence_but_for_no_drain():
    bus = opened()
    bus.submit(5, READ, "read", retries=0)
    now, _ = sent(bus)
    bus.submit(6, pdu.write_single(0, 0), "stop", STOP)
    due = bus.deadline()
    bus.wake(due)
    eq([data[0] for _, _, data in bus.outbox()], [6])
    assert due <= now + TIMEOUT + (8 + 9) * CHAR, due - now


def test_noise_does_not_hold_a_stop_for_long():
    bus = opened()
    bus.submit(6, pdu.write_single(0, 0), "stop", STOP)
    now = 0
    while not bus.outbox():
        now += 500
        assert now < 30_000
        bus.receive(b"\xaa", now)
        if bus.deadline() <= now:
            bus.wake(now)


def test_timeout_is_retried_and_drained():
    bus = opened()
    bus.submit(5, READ, 1, retries=2)
    for attempt in range(3):
        sent(bus)
        due = bus.deadline()
        bus.wake(due - 1)
        eq((bus.results(), bus.outbox()), ([], []))
        bus.wake(due)
        if attempt < 2:
            eq(bus.deadline(), due + DRAIN)
            bus.receive(b"\x00", due + 5_000)  # a byte makes the silence begin again
            eq(bus.deadline(), due + 5_000 + DRAIN)
    result = one(bus)
    eq((result.status, result.at, result.values), ("timeout", due, ()))
    eq((bus.timeouts, bus.retries, bus.transactions, bus.errors), (3, 2, 1, 1))


def test_what_came_instead_is_named():
    cases = (
        (sealed(b"\x05\x03\x02\x00\x01"), "mismatch", "byte count"),
        (sealed(b"\x05\x04\x04\x00\x01\x00\x02"), "mismatch", "function"),
        (REPLY[:-1] + b"\x00", "mismatch", "crc"),
        (sealed(b"\x06\x03\x04\x00\x01\x00\x02"), "timeout", ""),
        (b"\x01\x02", "timeout", ""),
    )
    for data, status, reason in cases:
        bus = opened()
        bus.submit(5, READ, 1, retries=0)
        now, _ = sent(bus)
        bus.receive(data, now + 20_000)
        eq(bus.results(), [])  # the right one may still come
        turn(bus)
        result = one(bus)
        eq((result.status, result.reason), (status, reason))
    eq((bus.timeouts, bus.mismatched, bus.dropped_bytes), (1, 0, 2))


def test_exceptions_are_results_and_not_retried():
    bus = opened()
    bus.submit(5, READ, 1)
    now, _ = sent(bus)
    bus.receive(sealed(b"\x05\x83\x02"), now + 20_000)
    result = one(bus)
    eq((result.status, result.code, result.values), ("exception", 2, ()))
    eq((bus.exceptions, bus.errors, bus.retries, bus.deadline()), (1, 1, 0, NEVER))


def late_reply(proof):
    bus = opened()
    bus.submit(5, READ, "read", retries=0)
    bus.submit(5, OTHER, "other", retries=0)
    sent(bus)
    timed_out, _ = turn(bus)
    eq(one(bus).status, "timeout")
    # The late reply comes while the line is drained, or any time within LATE: it meets nobody.
    bus.receive(REPLY, timed_out + 4_000)
    bus.receive(REPLY, timed_out + 400_000)
    now, frame = sent(bus)
    assert now >= timed_out + LATE
    eq(frame, sealed(b"\x05" + pdu.read_holding(99, 1)))  # its reply is of another length
    bus.receive(REPLY, now + 15_000)
    eq(bus.results(), [])
    if proof:
        bus.receive(sealed(b"\x05\x03\x02\x00\x63"), now + 20_000)
    now, frame = sent(bus)
    eq((now < timed_out + 2 * LATE, frame), (proof, sealed(b"\x05" + OTHER)))
    bus.receive(sealed(b"\x05\x03\x04\x00\x63\x00\x64"), now + 20_000)
    result = one(bus)
    eq((result.tag, result.values), ("other", (99, 100)))
    assert bus.late + bus.client.mismatches >= 2


def test_late_reply_is_not_taken_for_another_request():
    late_reply(True)


def test_without_a_proof_what_looks_the_same_waits():
    late_reply(False)


def test_a_write_is_not_held_but_its_echo_may_be_an_older_one():
    bus = opened()
    writes = [pdu.write_multiple(0, (1151, speed)) for speed in (1, 2)]
    bus.submit(5, writes[0], "w1", WRITE, retries=0)
    sent(bus)
    turn(bus)
    bus.submit(5, writes[1], "w2", WRITE, retries=0)
    one(bus)
    now, frame = sent(bus)
    eq(frame, sealed(b"\x05" + writes[1]))
    bus.receive(sealed(frame[:6]), now + 9_000)
    result = one(bus)
    eq((result.tag, result.status), ("w2", "unsure"))
    bus.submit(5, READ, "read")  # its reply proves that both echoes are over
    now, _ = sent(bus)
    bus.receive(REPLY, now + 20_000)
    eq(one(bus).status, "ok")
    bus.submit(5, writes[0], "w3", WRITE)
    now, frame = sent(bus)
    bus.receive(sealed(frame[:6]), now + 20_000)
    eq(one(bus).status, "ok")  # the same as the first: whichever's echo it is
    bus.submit(6, READ, "read")
    bus.wake(now + 3 * LATE)
    bus.outbox()
    bus.receive(sealed(b"\x06\x03\x04\x00\x01\x00\x02"), now + 3 * LATE + 20_000)
    bus.submit(5, writes[0], "w4", WRITE)
    now, frame = sent(bus)
    bus.receive(sealed(frame[:6]), now + 20_000)
    eq([(r.tag, r.status) for r in bus.results()], [("read", "ok"), ("w4", "ok")])


def test_the_same_request_goes_again_at_once_but_may_leave_a_second_reply():
    bus = opened()
    bus.submit(5, READ, "first", retries=1)
    sent(bus)
    turn(bus)
    now, _ = sent(bus)
    bus.receive(REPLY, now + 10_000)  # perhaps the late reply of the first: the same block
    eq(one(bus).status, "ok")
    bus.submit(5, OTHER, "other")
    eq(sent(bus)[1], sealed(b"\x05" + pdu.read_holding(99, 1)))  # the second's may still come


def test_a_second_copy_of_a_reply_is_not_taken_for_the_next():
    gap = len(REPLY) * 10 * 1_000_000 // 19200 + DRAIN
    for second in (OTHER, READ):
        bus = opened()
        bus.submit(5, READ, 1)
        bus.submit(5, second, 2)
        now, _ = sent(bus)
        bus.receive(REPLY, now + 20_000)
        one(bus)
        eq(sent(bus)[0], now + 20_000 + gap)
    bus = opened()
    bus.submit(5, READ, 1)
    bus.submit(5, OTHER, 2)
    now, _ = sent(bus)
    bus.receive(REPLY, now + 20_000)
    bus.receive(REPLY, now + 25_000)
    eq(len(bus.results()), 1)
    bus.submit(5, pdu.read_holding(3, 1), 3)  # what cannot be confused goes first
    eq(sent(bus)[1], sealed(b"\x05" + pdu.read_holding(3, 1)))


def test_late_exception_is_not_taken_for_another_request():
    bus = opened()
    bus.submit(5, pdu.read_holding(0, 9), "gone", retries=0)
    bus.submit(5, READ, "read", retries=0)
    sent(bus)
    turn(bus)
    one(bus)
    now, _ = sent(bus)
    bus.receive(sealed(b"\x05\x83\x02"), now + 5_000)
    eq(bus.results(), [])
    bus.receive(REPLY, now + 20_000)
    eq(one(bus).status, "ok")


def test_closing_loses_what_waits():
    for kind in ("closed", "failed"):
        bus = opened()
        for tag in range(3):
            bus.submit(5, READ, tag)
        sent(bus)
        bus.event(kind, 5_000)
        lost = [(r.tag, r.status, r.reason, r.at) for r in bus.results()]
        eq(lost, [(tag, "lost", "port " + kind, 5_000) for tag in range(3)])
        eq((bus.deadline(), bus.lost, bus.submit(5, READ, 9)), (NEVER, 3, False))
        bus.receive(REPLY, 6_000)
        bus.wake(7_000)
        eq((bus.results(), bus.outbox()), ([], []))
        bus.event("opened", 2_000_000)
        assert bus.submit(5, READ, 10)
        now, _ = sent(bus)
        bus.receive(REPLY, now + 20_000)
        eq(one(bus).tag, 10)


def mbap(frame, unit=5, body=b"\x03\x04\x00\x01\x00\x02"):
    return frame[:4] + struct.pack(">HB", len(body) + 1, unit) + body


def test_tcp_goes_on_at_once():
    bus = opened("tcp")
    bus.submit(5, READ, 1)
    bus.submit(5, OTHER, 2)
    now, frame = sent(bus)
    eq((now, bus.deadline()), (0, TIMEOUT))
    bus.receive(mbap(frame), 30)
    eq(one(bus).values, (1, 2))
    (port, op, second) = bus.outbox()[0]
    eq((port, op, bus.deadline()), (4, "write", 30 + TIMEOUT))
    bus.receive(mbap(frame), 40)  # a duplicate
    eq((bus.results(), bus.late), ([], 1))
    bus.receive(mbap(second), 50)
    eq(one(bus).tag, 2)


def test_tcp_mismatch_is_final_and_retried_at_once():
    bus = opened("tcp")
    bus.submit(5, READ, 1)
    _, frame = sent(bus)
    bus.receive(mbap(frame, unit=6), 30)
    again = bus.outbox()[0][2]
    assert again[:2] != frame[:2]
    bus.receive(mbap(again, body=b"\x04\x04\x00\x01\x00\x02"), 60)
    result = one(bus)
    eq((result.status, result.reason, bus.deadline()), ("mismatch", "function", NEVER))


def test_tcp_late_reply_after_timeout():
    bus = opened("tcp")
    bus.submit(5, READ, 1, retries=0)
    bus.submit(5, OTHER, 2, retries=0)
    _, frame = sent(bus)
    now, frames = turn(bus)
    eq((one(bus).status, len(frames)), ("timeout", 1))  # the next goes out in the same turn
    bus.receive(mbap(frame), now + 10)
    eq(bus.results(), [])
    bus.receive(mbap(frames[0], body=b"\x03\x04\x00\x63\x00\x64"), now + 20)
    eq(one(bus).values, (99, 100))


def test_broken_stream_is_closed():
    bus = opened("tcp")
    bus.submit(5, READ, 1)
    bus.submit(5, READ, 2)
    _, frame = sent(bus)
    bus.receive(mbap(frame) + b"garbage", 30)
    results = [(r.tag, r.status, r.reason) for r in bus.results()]
    eq(results, [(1, "ok", ""), (2, "lost", "stream broken: protocol id")])
    eq(bus.outbox(), [(4, "close", b"")])
    eq((bus.closes, bus.deadline(), bus.submit(5, READ, 3)), (1, NEVER, False))
    bus.receive(b"more garbage", 40)
    eq(bus.outbox(), [])
    bus.event("closed", 50)
    bus.event("opened", 60)
    bus.submit(5, READ, 4)
    now, frame = sent(bus)
    bus.receive(mbap(frame), now + 5)
    eq(one(bus).tag, 4)


def test_a_bad_unit_is_refused_at_once():
    text = str(raises(EncodeError, opened().submit, 0, READ, 1))
    eq(text, "unit 0 is not 1 to 247")
    raises(EncodeError, opened("tcp").submit, 256, READ, 1)


class Line:
    """Slaves of every kind of bad manners; each reply says which request it belongs to."""

    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF
        self.coming = []  # (when, order, bytes)
        self.order = 0

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n

    def put(self, when, data):
        self.order += 1
        self.coming.append((when, self.order, data))

    def hear(self, frame, now):
        """Answer a read with registers (unit, address), a write with its echo; or do worse."""
        unit, function, address = struct.unpack(">BBH", frame[:4])
        body = frame[:2] + b"\x04" + struct.pack(">HH", unit, address)
        reply = sealed(body if function == 3 else frame[:6])
        done = now + (len(frame) + len(reply)) * CHAR + 5_000
        kind = self.below(12)
        if kind == 0:
            return  # silent
        if kind == 1:
            reply = self.noise() + reply
        elif kind == 2:
            reply = reply[:-1] + bytes((reply[-1] ^ 64,))
        elif kind == 3:
            reply = sealed(bytes((unit, function | 0x80, 4)))
        elif kind == 4:
            self.put(done + len(reply) * CHAR + self.below(16 * CHAR), reply)
        elif kind == 5:
            reply = sealed(bytes((unit + 100,)) + reply[1:-2]) + reply
        elif kind in (6, 7, 8):
            done += TIMEOUT + self.below(LATE - TIMEOUT)  # late, among whatever is asked then
        cut = self.below(len(reply))
        if cut:
            self.put(done - (len(reply) - cut) * CHAR, reply[:cut])
        self.put(done, reply[cut:])

    def noise(self):
        return bytes([self.below(256) for _ in range(1 + self.below(20))])


def run(seed, jobs):
    """Serve `jobs` on a bad line; returns [(job, result)] and the virtual end."""
    bus = Bus(4, "rtu", 19200, 10, TIMEOUT)
    bus.event("opened", 0)
    line = Line(seed)
    decided = []
    for tag, (unit, request, urgent) in enumerate(jobs):
        bus.submit(unit, request, tag, urgent)
    now = 0
    for _ in range(4000):
        line.coming.sort()
        due = bus.deadline()
        if line.coming and line.coming[0][0] <= due:
            now, _, data = line.coming.pop(0)
            bus.receive(data, now)
        elif due == NEVER:
            break
        else:
            now = max(now, due)
            bus.wake(now)
        for _, _, frame in bus.outbox():
            line.hear(frame, now)
        decided.extend(bus.results())
    eq(bus.deadline(), NEVER)
    return decided, now, bus


def test_hundreds_of_bad_lines_give_no_wrong_value():
    good = 0
    for seed in range(150):
        jobs = []
        line = Line(seed + 1000)
        for _ in range(20):
            unit, address = 1 + line.below(2), 10 + line.below(3)
            if line.below(4):
                jobs.append((unit, pdu.read_holding(address, 2), False))
            else:
                request = pdu.write_multiple(address, (line.below(4), 0))
                jobs.append((unit, request, True))
        decided, end, bus = run(seed, jobs)
        eq(sorted({result.tag for result in decided}), list(range(20)))
        for result in decided:
            unit, request, _ = jobs[result.tag]
            if result.status == "ok":
                good += 1
                want = struct.unpack(">H", request[1:3])[0]
                eq(result.values, (unit, want) if request[0] == 3 else ())
        assert end < 60_000_000
        assert len(decided) - 20 <= bus.probes  # a good probe is a second result
    assert good > 1500, good


def test_a_silent_or_torn_stream_is_closed():
    bus = opened("tcp")
    for tag in range(9):
        bus.submit(5, READ, tag, WRITE, retries=0)
        if bus.open:
            sent(bus)
            turn(bus)
    eq((bus.open, bus.closes), (False, 1))
    bus = opened("tcp")
    bus.submit(5, READ, 1)
    _, frame = sent(bus)
    bus.receive(mbap(frame)[:9], 500)
    turn(bus)
    eq((bus.open, bus.closes, one(bus).status), (False, 1, "lost"))


def test_a_late_reply_may_come_twice():
    for idle in (False, True):
        bus = opened()
        bus.submit(5, READ, "gone", retries=0)
        sent(bus)
        turn(bus)
        one(bus)
        bus.submit(5, OTHER, "other")
        if idle:
            bus.receive(REPLY, bus.deadline() - 5_000)
        now, frame = sent(bus)
        eq(frame, sealed(b"\x05" + pdu.read_holding(99, 1)))
        if not idle:
            bus.receive(REPLY, now + 9_000)
        bus.receive(sealed(b"\x05\x03\x02\x00\x63"), now + 15_000)
        eq(bus.results(), [])
        again, _ = sent(bus)
        assert again >= now + DRAIN + len(REPLY) * CHAR, again - now
