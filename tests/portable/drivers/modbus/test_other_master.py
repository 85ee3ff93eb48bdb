# SPDX-License-Identifier: Apache-2.0
"""Another master on the line: its reply is never taken as the reply to our request."""

from drivers.modbus.stale_reply.guard import StaleReplyGuard
from drivers.modbus.transaction import WRITE, Transaction
from protocols.modbus import pdu
from protocols.modbus.ascii_mode import build_frame as ascii_frame
from protocols.modbus.crc import with_crc
from tests.portable.drivers.modbus.bus_rig import (
    LATE,
    OTHER,
    READ,
    REPLY,
    TIMEOUT,
    make_bus,
    only_result,
    run_until_write,
)
from tests.portable.support.check import eq

REASON = "another master is on the line"
THEIR_REQUEST = with_crc(b"\x05" + OTHER)
THEIR_REPLY = with_crc(b"\x05\x03\x04\x00\x63\x00\x64")


class NoDuplicates:
    """A duplicate filter that expects nothing."""

    def is_expected(self, start, now):
        return False


def start_read(retries=0):
    """Send READ; return (bus, time)."""
    bus = make_bus()
    bus.submit(5, READ, "read", retries=retries)
    return bus, run_until_write(bus)[0]


def statuses(bus):
    return [(result.status, result.reason) for result in bus.take_results()]


def test_the_order_of_the_replies_does_not_matter():
    """The device answers ours first or theirs first; each reply comes alone or with the request."""
    for first, second in ((REPLY, THEIR_REPLY), (THEIR_REPLY, REPLY)):
        for chunks in (
            (THEIR_REQUEST, first, second),
            (THEIR_REQUEST + first, second),
            (THEIR_REQUEST + first + second,),
            (THEIR_REQUEST[:3], THEIR_REQUEST[3:] + first + second),
        ):
            bus, now = start_read()
            for i, chunk in enumerate(chunks):
                bus.receive(chunk, now + 5_000 + 10_000 * i)
            eq(statuses(bus), [("unsure", REASON)])
            eq(bus.client.counters.other_unit_frames, 1)


def test_the_read_is_repeated_when_the_line_is_quiet():
    bus, now = start_read(retries=1)
    bus.receive(THEIR_REQUEST, now + 2_000)
    bus.receive(REPLY, now + 30_000)
    eq(statuses(bus), [])
    bus.receive(THEIR_REPLY, now + 40_000)
    again, frame = run_until_write(bus)
    eq((again > now + 40_000, frame), (True, with_crc(b"\x05" + READ)))
    bus.receive(REPLY, again + 30_000)
    result = only_result(bus)
    eq((result.status, result.values), ("ok", (1, 2)))


def test_a_request_before_ours_without_its_reply():
    """It came while the line was idle, and its reply takes longer than the bus waits for it."""
    for pause in (0, 150_000):
        bus = make_bus()
        bus.receive(THEIR_REQUEST, 1_000)
        if pause:  # the bus had its own turn
            bus.submit(9, READ, "other unit", retries=0)
            now, _ = run_until_write(bus)
            bus.receive(with_crc(b"\x09\x03\x04\x00\x01\x00\x02"), now + 20_000)
            bus.receive(THEIR_REQUEST, now + 30_000)
            eq(only_result(bus).status, "ok")
        bus.submit(5, READ, "read", retries=0)
        now, frame = run_until_write(bus)
        assert frame != with_crc(b"\x05" + READ) or now > LATE, (pause, now)


def test_a_request_that_our_reply_cannot_answer():
    """Another length, another function or another unit: our reply is clear."""
    for request in (b"\x05" + pdu.read_holding(99, 3), b"\x05" + pdu.read_input(99, 2)):
        bus, now = start_read()
        bus.receive(with_crc(request), now + 5_000)
        bus.receive(REPLY, now + 30_000)
        eq(only_result(bus).values, (1, 2))
    bus, now = start_read()
    bus.receive(with_crc(b"\x06" + OTHER), now + 5_000)
    bus.receive(REPLY, now + 30_000)
    eq(only_result(bus).values, (1, 2))


def test_their_reply_does_not_answer_our_next_request():
    """Their request came during our exchange of another shape; its reply is still due."""
    bus, now = start_read()
    bus.receive(with_crc(b"\x05" + pdu.read_holding(99, 3)), now + 5_000)
    bus.receive(REPLY, now + 30_000)
    eq(only_result(bus).status, "ok")
    bus.submit(5, pdu.read_holding(16, 3), "three", retries=0)
    next_at, frame = run_until_write(bus)
    assert frame != with_crc(b"\x05" + pdu.read_holding(16, 3)) or next_at > now + LATE


def test_our_echo_is_not_another_master():
    bus, now = start_read()
    bus.receive(with_crc(b"\x05" + READ), now + 1_000)
    bus.receive(REPLY, now + 30_000)
    eq(only_result(bus).values, (1, 2))


def test_bits_are_compared_by_the_bytes_of_the_reply():
    for count, status in ((5, "unsure"), (9, "ok")):
        bus = make_bus()
        bus.submit(5, pdu.read_coils(0, 3), "bits", retries=0)
        now, _ = run_until_write(bus)
        bus.receive(with_crc(b"\x05" + pdu.read_coils(70, count)), now + 5_000)
        bus.receive(with_crc(b"\x05\x01\x01\x02"), now + 30_000)
        eq(only_result(bus).status, status)


def test_a_write_of_the_same_block():
    """The reply to a write of several registers does not contain their values."""
    bus = make_bus()
    bus.submit(5, pdu.write_multiple(40, (1, 2)), "write", WRITE, retries=0)
    now, frame = run_until_write(bus)
    bus.receive(with_crc(b"\x05" + pdu.write_multiple(40, (3, 4))), now + 5_000)
    bus.receive(with_crc(frame[:6]), now + 30_000)
    eq(statuses(bus), [("unsure", REASON)])


def test_an_exception_can_be_theirs():
    bus, now = start_read()
    bus.receive(with_crc(b"\x05" + pdu.read_holding(99, 3)), now + 5_000)
    bus.receive(with_crc(b"\x05\x83\x02"), now + 30_000)
    eq(statuses(bus), [])
    bus.receive(REPLY, now + 40_000)
    eq(only_result(bus).values, (1, 2))


def test_ascii_mode():
    bus = make_bus("ascii")
    bus.submit(5, READ, "read", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(ascii_frame(5, OTHER), now + 5_000)
    bus.receive(ascii_frame(5, b"\x03\x04\x00\x63\x00\x64"), now + 30_000)
    eq(statuses(bus), [("unsure", REASON)])


def test_two_requests_of_theirs_are_due():
    """A slow device owes two replies; after the first one the second can still come."""
    bus = make_bus()
    bus.receive(THEIR_REQUEST, 1_000)
    bus.receive(THEIR_REQUEST, 120_000)
    bus.receive(THEIR_REPLY, 151_000)
    bus.submit(5, READ, "read", retries=0)
    now, frame = run_until_write(bus)
    assert frame != with_crc(b"\x05" + READ) or now > 151_000 + LATE, (now, frame)


ECHOED = (
    pdu.write_coil(40, 1),
    pdu.write_single(40, 7),
    pdu.diagnostics_echo(7),
    pdu.mask_write(40, 1, 2),
)
"""Requests whose reply is equal to them."""


def test_their_write_of_one_value_gets_the_time_of_its_reply():
    """The bus waits for their reply; then the line is free. Without a reply it goes on."""
    for request in ECHOED:
        for has_reply in (True, False):
            bus = make_bus()
            bus.receive(with_crc(b"\x05" + request), 1_000)
            if has_reply:
                bus.receive(with_crc(b"\x05" + request), 20_000)
            bus.submit(5, READ, "read", retries=0)
            now, _ = run_until_write(bus)
            eq((request[0], now > 90_000), (request[0], not has_reply))


def test_an_exception_to_a_write_can_be_theirs():
    """It is no result: our write is repeated, or stays without a reply."""
    for own, theirs in (
        (pdu.write_single(40, 8), pdu.write_single(40, 7)),
        (pdu.write_coil(40, 0), pdu.write_coil(40, 1)),
        (pdu.mask_write(40, 1, 3), pdu.mask_write(40, 1, 2)),
        (pdu.read_write(40, 1, 9, (3,)), pdu.read_write(40, 2, 9, (1, 2))),
    ):
        bus = make_bus()
        bus.submit(5, own, "write", WRITE, retries=0)
        now, _ = run_until_write(bus)
        bus.receive(with_crc(b"\x05" + theirs), now + 2_000)
        bus.receive(with_crc(bytes((5, own[0] | 0x80, 2))), now + 20_000)
        eq((own[0], statuses(bus)), (own[0], []))


def test_function_23_of_both():
    """Their reply has the byte count of ours, and nothing shows which one it is."""
    own, theirs = pdu.read_write(40, 2, 9, (3,)), pdu.read_write(70, 2, 9, (1, 2, 3))
    for is_ascii in (False, True):
        bus = make_bus("ascii" if is_ascii else "rtu")
        frame = (lambda body: ascii_frame(body[0], body[1:])) if is_ascii else with_crc
        bus.submit(5, own, "both", WRITE, retries=0)
        now, _ = run_until_write(bus)
        bus.receive(frame(b"\x05" + theirs), now + 2_000)
        bus.receive(frame(b"\x05\x17\x04\x00\x63\x00\x64"), now + 40_000)
        eq(statuses(bus), [("unsure", REASON)])


def test_a_late_reply_to_our_write_is_not_another_master():
    """The first write of two is late, and its echo comes on the idle line."""
    bus = make_bus()
    bus.submit(5, pdu.write_single(40, 7), "first", WRITE, retries=0)
    now, frame = run_until_write(bus)
    late_at = now + TIMEOUT + 60_000
    bus.wake(now + TIMEOUT + 20_000)
    eq(only_result(bus).status, "timeout")
    bus.submit(6, READ, "other unit", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(with_crc(b"\x06\x03\x04\x00\x01\x00\x02"), now + 20_000)
    eq(only_result(bus).status, "ok")
    bus.receive(frame, late_at)
    bus.submit(5, READ, "read", retries=0)
    now, _ = run_until_write(bus)
    assert now < late_at + 50_000, now - late_at
    bus.receive(REPLY, now + 20_000)
    result = only_result(bus)
    eq((result.status, result.reason), ("ok", ""))


def test_two_masters_of_this_kind_do_not_use_the_same_numbers():
    """The request of one, a function 8, is equal to its reply: it must not prove anything to the
    other."""
    numbers = []
    for start in (0, 400_000):
        guard = StaleReplyGuard(LATE)
        transaction = Transaction(5, pdu.read_holding(16, 1), "read", 0, 0, None)
        guard.expect_late(5, pdu.read_holding(99, 1), start)
        found = guard.proof_request(transaction, start + 600_000, NoDuplicates(), True)
        numbers.append(found)
    assert numbers[0] != numbers[1], numbers


def test_two_requests_to_different_units_are_due():
    """The later request must not hide the earlier one."""
    bus = make_bus()
    bus.receive(THEIR_REQUEST, 1_000)
    bus.receive(with_crc(b"\x06" + OTHER), 50_000)
    bus.submit(9, READ, "other unit", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(with_crc(b"\x09\x03\x04\x00\x01\x00\x02"), now + 20_000)
    for unit in (5, 6):
        bus.submit(unit, READ, unit, retries=0)
    frames = []
    while len(frames) < 2:
        now, frame = run_until_write(bus)
        assert frame[1:6] != READ or now > LATE, (now, frame)
        frames.append(frame)


def test_a_master_that_never_pauses_does_not_keep_polls_back():
    """It asks the same unit for as many registers, again and again, and gets its replies."""
    bus = make_bus()
    now, sent_at, theirs = 0, [], 0
    bus.submit(5, READ, "read", retries=0)
    while now < 20_000_000:
        now += 10_000
        phase = now % 200_000
        if phase == 0:
            bus.receive(THEIR_REQUEST, now)
        elif phase == 150_000:
            bus.receive(THEIR_REPLY, now)
        if bus.deadline() <= now:
            bus.wake(now)
        sent_at += [now for _, _, data in bus.outbox() if data == with_crc(b"\x05" + READ)]
        for result in bus.take_results():
            assert result.status != "ok", result.values
            theirs += 1
            bus.submit(5, READ, "read", retries=0)
    gaps = [b - a for a, b in zip(sent_at, sent_at[1:])]
    assert len(sent_at) > 5, (sent_at, theirs)
    assert gaps[0] < 6_000_000, gaps[0]  # four disambiguating requests, until it is recognised
    assert max(gaps[1:]) < 2_000_000, max(gaps)


def test_a_master_of_long_ago_does_not_end_waits():
    """Without another master on the line, a recovered device proves that it is in step."""
    waits = []
    for had_master in (False, True):
        guard = StaleReplyGuard(300_000)
        if had_master:
            guard.expect_foreign(5, OTHER, 0)
            guard.update(1_000_000_000)
            guard.update(2_000_000_000)
        poll = Transaction(5, READ, "read", 0, 0, None)
        waits.append([])
        for now in range(2_100_000_000, 2_110_000_000, 100_000):
            guard.expect_late(5, OTHER, now)
            guard.update(now)
            waits[-1].append(guard.blocked_until(poll, now))
    eq(waits[0], waits[1])
    assert waits[0][-1]


def test_more_open_requests_than_are_kept():
    """A slow device with a queue answers all of them before ours, seconds later.

    Without function 8 the bus has good values again 30 s after the last of their requests.
    """
    for count, waits_for_ours, has_function_8 in (
        (20, False, True),
        (60, True, True),
        (30, False, False),
    ):
        bus = make_bus()
        now = 1_000
        if waits_for_ours:
            bus.submit(5, pdu.read_holding(16, 9), "nine", retries=0)
            now, _ = run_until_write(bus)
        for _ in range(count):
            now += 9_000
            bus.receive(THEIR_REQUEST, now)
            if now >= bus.deadline():
                bus.wake(now)
                bus.outbox()
        due, good = [THEIR_REPLY] * count, 0
        step = 0
        while good < 4 and step < 400:
            step += 1
            now += 150_000
            if not step % 4:
                bus.submit(5, READ, step, retries=0)
            if due:
                bus.receive(due.pop(0), now)
            while bus.deadline() <= now:
                bus.wake(now)
                due += [_answer(data) for _, op, data in bus.outbox() if op == "write"]
            if not has_function_8:
                due = [frame for frame in due if frame[1] != 8]
            for result in bus.take_results():
                if result.status == "ok":
                    good += 1
                    eq(result.values, (1, 2))
        assert good == 4, (count, good)


def test_the_reply_to_an_older_request_does_not_answer_a_newer_one():
    """A slow device: their first request was noted, its reply comes after their second request.

    The third case is a late reply to a request of our own.
    """
    other_shape = with_crc(b"\x05" + pdu.read_holding(99, 1))
    for first, its_reply in (
        (other_shape, with_crc(b"\x05\x03\x02\x00\x63")),
        (THEIR_REQUEST, THEIR_REPLY),
        (b"", REPLY),
    ):
        bus = make_bus()
        bus.receive(first, 1_000)
        bus.submit(9, READ, "other unit", retries=0)
        if not first:
            bus.submit(5, READ, "late", retries=0)
        now = 0
        while bus.pending_count:  # each request times out
            now = bus.deadline()
            bus.wake(now)
        bus.outbox()
        bus.take_results()
        bus.receive(THEIR_REQUEST, now + 10_000)
        bus.receive(its_reply, now + 90_000)
        bus.submit(5, READ, "read", retries=0)
        due, results, step = [THEIR_REPLY], [], 0
        now += 100_000
        while not results and step < 300:
            step += 1
            now += 75_000
            if due and step > 1:  # ours can be on the wire before their reply
                bus.receive(due.pop(0), now)
            while bus.deadline() <= now:
                bus.wake(now)
                due += [_answer(data) for _, op, data in bus.outbox() if op == "write"]
            results = bus.take_results()
        assert results[0].status == "unsure" or results[0].values == (1, 2), results[0].values


def _answer(frame):
    """A device with the values of REPLY, and function 8."""
    if frame[1] == 8:
        return frame
    size = 2 * frame[5]
    return with_crc(bytes((5, 3, size)) + (b"\x00\x01\x00\x02" * 5)[:size])


def test_a_poll_yields_while_a_write_waits_for_a_busy_unit():
    """Their request comes on the idle line; their reply is no reply to our poll."""
    bus = make_bus()
    bus.submit(5, pdu.write_single(600, 7), "write", WRITE)
    now, _ = run_until_write(bus)
    now += 20_000
    bus.receive(with_crc(b"\x05\x86\x06"), now)
    bus.receive(THEIR_REQUEST, now + 8_000)
    bus.submit(5, READ, "poll", retries=0)
    while bus.deadline() <= now + 25_000:
        bus.wake(bus.deadline())
    eq([op for _, op, _ in bus.outbox()], [])
    bus.receive(THEIR_REPLY, now + 30_000)
    eq([result.tag for result in bus.take_results()], [])


def test_their_request_that_looks_like_its_reply_closes_nothing():
    """It comes beside our disambiguating request; then the late reply to an older poll of ours."""
    for body in (
        b"\x05\x06\x01\x90\0\6",
        b"\x05\x05\x01\x90\xff\0",
        b"\x05\x08\0\0\x12\x34",
        b"\x05\x16\x01\x90\0\1\0\2",
    ):
        bus = make_bus()
        bus.submit(5, pdu.read_holding(16, 1), "first")
        now, _ = run_until_write(bus)
        bus.receive(with_crc(b"\x05\x03\x02\0\x01"), now + 20_000)
        bus.submit(5, pdu.read_holding(99, 1), "late", retries=0)
        run_until_write(bus)
        bus.submit(5, pdu.read_holding(16, 1), "poll")
        now, frame = run_until_write(bus)
        eq(frame[1], 8)
        bus.receive(with_crc(body), now + 30_000)
        while frame[1] == 8 and now < 9_000_000:
            now, frame = run_until_write(bus)
        bus.receive(with_crc(b"\x05\x03\x02\x14\x77"), now + 15_000)
        eq([r.tag for r in bus.take_results() if r.status == "ok"], ["first"])


def test_frames_behind_a_reply_count_after_it():
    """In ASCII one chunk can have the late reply to an older poll, and exceptions behind it."""
    bus = make_bus("ascii")
    bus.submit(5, pdu.read_holding(16, 1), "first")
    now, _ = run_until_write(bus)
    bus.receive(ascii_frame(5, b"\x03\x02\0\x01"), now + 40_000)
    bus.submit(5, pdu.read_holding(99, 1), "late", retries=0)
    run_until_write(bus)
    bus.submit(5, pdu.read_holding(16, 1), "poll", retries=0)
    frame = b""
    while frame[3:5] != b"03":
        now, frame = run_until_write(bus)
    late, refused = ascii_frame(5, b"\x03\x02\x14\x77"), ascii_frame(5, b"\x88\x01")
    bus.receive(late + 3 * refused, now + 40_000)
    eq([r.tag for r in bus.take_results() if r.status == "ok"], ["first"])
