# SPDX-License-Identifier: Apache-2.0
"""Late, duplicate and ambiguous replies: none matches another request."""

from drivers.modbus.transaction import WRITE
from protocols.modbus import pdu
from protocols.modbus.ascii_mode import parse_frame
from protocols.modbus.crc import with_crc
from protocols.time_units import NEVER
from tests.portable.drivers.modbus.bus_rig import (
    CHAR,
    DRAIN,
    LATE,
    OTHER,
    READ,
    REPLY,
    make_bus,
    only_result,
    run_until_write,
    wake_once,
)
from tests.portable.drivers.modbus.test_cut_frames import build
from tests.portable.support.check import eq

OTHER_REPLY = with_crc(b"\x05\x03\x04\x00\x63\x00\x64")


def run_timeout(bus):
    """Let READ time out, with OTHER in the queue; return the time of the time-out."""
    bus.submit(5, READ, "read", retries=0)
    bus.submit(5, OTHER, "other", retries=0)
    run_until_write(bus)
    timed_out, _ = wake_once(bus)
    eq(only_result(bus).status, "timeout")
    return timed_out


def test_late_reply_does_not_match_other_request():
    """A late reply, also a second copy of it within LATE, is not the reply to the next request."""
    bus = make_bus()
    timed_out = run_timeout(bus)
    bus.receive(REPLY, timed_out + 4_000)
    bus.receive(REPLY, timed_out + 400_000)
    now, frame = run_until_write(bus)
    assert now >= timed_out + LATE
    eq(frame, with_crc(b"\x05" + OTHER))
    bus.receive(OTHER_REPLY, now + 20_000)
    result = only_result(bus)
    eq((result.tag, result.values), ("other", (99, 100)))
    eq(bus.unsolicited, 2)


def test_same_reply_shape_waits_for_disambiguating_read():
    bus = make_bus()
    timed_out = run_timeout(bus)
    now, frame = run_until_write(bus)
    assert now >= timed_out + LATE
    eq(frame, with_crc(b"\x05" + pdu.read_holding(99, 1)))  # its reply has another length
    bus.receive(REPLY, now + 15_000)
    eq(bus.take_results(), [])
    bus.receive(with_crc(b"\x05\x03\x02\x00\x63"), now + 20_000)
    now, frame = run_until_write(bus)
    eq((now < timed_out + 2 * LATE, frame), (True, with_crc(b"\x05" + OTHER)))
    bus.receive(OTHER_REPLY, now + 20_000)
    eq((only_result(bus).status, bus.client.counters.mismatches), ("ok", 1))


def test_reply_is_ambiguous_without_disambiguation():
    """Without a reply to a disambiguating read the request is sent after four times LATE."""
    bus = make_bus()
    timed_out = run_timeout(bus)
    for _ in range(8):  # a shorter read, then other functions
        now, frame = run_until_write(bus)
        if frame == with_crc(b"\x05" + OTHER):
            break
        bus.unit_health(5).reply_received(10_000, False, 0)  # it stays online
    assert timed_out + 4 * LATE <= now < timed_out + 6 * LATE
    bus.receive(OTHER_REPLY, now + 20_000)
    eq(only_result(bus).status, "unsure")


def test_fast_polls_pause_for_a_disambiguating_request():
    """Two polls of one reply shape in fast sequence: each reply would keep its request open.

    The first one is lost, and for a time the unit answers polls only.
    """
    bus = make_bus()
    polls = [pdu.read_holding(address, 1) for address in (16, 99)]
    now, number, statuses = 0, 0, []
    while now < 20 * LATE and "ok" not in statuses[-1:]:
        if not bus.pending_count:
            number += 1
            bus.submit(5, polls[number % 2], number, retries=0)
        now, frames = wake_once(bus)
        is_poll = frames != [] and frames[0][1:6] in polls and number > 1
        if is_poll or (frames and now > 8 * LATE):
            now += 20_000
            function, size = frames[0][1], 2 * frames[0][5]
            is_read = function == 3
            body = bytes((3, size)) + bytes(size) if is_read else bytes((function | 0x80, 1))
            bus.receive(with_crc(b"\x05" + body), now)
        statuses += [result.status for result in bus.take_results()]
    eq((statuses[0], statuses[-1], "unsure" in statuses), ("timeout", "ok", True))


def test_function_8_ends_ambiguity_of_single_registers():
    """A read of one register has no shorter read; an exception to function 8 serves as well."""
    for reply in (b"", b"\x05\x88\x01"):
        bus = make_bus()
        bus.submit(5, READ, "read")
        now, _ = run_until_write(bus)
        bus.receive(REPLY, now + 20_000)  # the line has no echo
        eq(only_result(bus).status, "ok")
        bus.submit(5, pdu.read_holding(16, 1), "first", retries=0)
        bus.submit(5, pdu.read_holding(99, 1), "second")
        run_until_write(bus)
        wake_once(bus)
        eq(only_result(bus).status, "timeout")
        now, frame = run_until_write(bus)
        eq(frame[:4], b"\x05\x08\x00\x00")
        bus.receive(with_crc(b"\x05\x03\x02\x00\x10"), now + 15_000)  # late, counted
        bus.receive(with_crc(reply) if reply else frame, now + 20_000)
        now, frame = run_until_write(bus)
        eq(frame, with_crc(b"\x05" + pdu.read_holding(99, 1)))
        bus.receive(with_crc(b"\x05\x03\x02\x00\x63"), now + 20_000)
        eq(only_result(bus).values, (99,))


def test_write_is_sent_and_its_echo_is_ambiguous():
    bus = make_bus()
    writes = [pdu.write_multiple(0, (1151, speed)) for speed in (1, 2)]
    bus.submit(5, writes[0], "w1", WRITE, retries=0)
    run_until_write(bus)
    wake_once(bus)
    bus.submit(5, writes[1], "w2", WRITE, retries=0)
    only_result(bus)
    now, frame = run_until_write(bus)
    eq(frame, with_crc(b"\x05" + writes[1]))
    bus.receive(with_crc(frame[:6]), now + 9_000)
    result = only_result(bus)
    eq((result.tag, result.status), ("w2", "unsure"))
    bus.submit(5, READ, "read")  # its reply ends both guards
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 20_000)
    eq(only_result(bus).status, "ok")
    bus.submit(5, writes[0], "w3", WRITE)
    now, frame = run_until_write(bus)
    bus.receive(with_crc(frame[:6]), now + 20_000)
    eq(only_result(bus).status, "unsure")  # as the first, but the second can be written last
    bus.submit(6, READ, "read")
    bus.wake(now + 3 * LATE)
    bus.outbox()
    bus.receive(with_crc(b"\x06\x03\x04\x00\x01\x00\x02"), now + 3 * LATE + 20_000)
    bus.submit(5, writes[0], "w4", WRITE)
    now, frame = run_until_write(bus)
    bus.receive(with_crc(frame[:6]), now + 20_000)
    eq([(r.tag, r.status) for r in bus.take_results()], [("read", "ok"), ("w4", "unsure")])
    bus.submit(5, READ, "read")  # unit 6 has shown nothing about unit 5
    now += 2 * LATE
    bus.wake(now)
    bus.outbox()
    bus.receive(REPLY, now + 20_000)
    bus.submit(5, writes[0], "w5", WRITE)
    now, frame = run_until_write(bus)
    bus.receive(with_crc(frame[:6]), now + 20_000)
    eq([(r.tag, r.status) for r in bus.take_results()], [("read", "ok"), ("w5", "ok")])


def test_same_request_is_repeated_and_can_get_two_replies():
    bus = make_bus()
    bus.submit(5, READ, "first", retries=1)
    run_until_write(bus)
    wake_once(bus)
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 10_000)  # possibly the late reply to the first request: the same block
    eq(only_result(bus).status, "ok")
    bus.submit(5, OTHER, "other")
    eq(
        run_until_write(bus)[1], with_crc(b"\x05" + pdu.read_holding(99, 1))
    )  # the reply to the second request can still come


def test_duplicate_reply_does_not_match_next_request():
    gap = len(REPLY) * 10 * 1_000_000 // 19200 + DRAIN
    for second in (OTHER, READ):
        bus = make_bus()
        bus.submit(5, READ, 1)
        bus.submit(5, second, 2)
        now, _ = run_until_write(bus)
        bus.receive(REPLY, now + 20_000)
        only_result(bus)
        eq(run_until_write(bus)[0], now + 20_000 + gap)
    bus = make_bus()
    bus.submit(5, READ, 1)
    bus.submit(5, OTHER, 2)
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 20_000)
    bus.receive(REPLY, now + 25_000)
    eq(len(bus.take_results()), 1)
    bus.submit(5, pdu.read_holding(3, 1), 3)  # a request that is not ambiguous goes first
    eq(run_until_write(bus)[1], with_crc(b"\x05" + pdu.read_holding(3, 1)))


def test_late_exception_does_not_match_other_request():
    bus = make_bus()
    bus.submit(5, pdu.read_holding(0, 9), "gone", retries=0)
    bus.submit(5, READ, "read", retries=0)
    run_until_write(bus)
    wake_once(bus)
    only_result(bus)
    now, _ = run_until_write(bus)
    bus.receive(with_crc(b"\x05\x83\x02"), now + 5_000)
    eq(bus.take_results(), [])
    bus.receive(REPLY, now + 20_000)
    eq(only_result(bus).status, "ok")


def test_late_reply_can_be_duplicated():
    for idle in (False, True):
        bus = make_bus()
        bus.submit(5, READ, "gone", retries=0)
        run_until_write(bus)
        wake_once(bus)
        only_result(bus)
        bus.submit(5, OTHER, "other")
        if idle:
            late = bus.deadline() - 5_000
            bus.receive(REPLY, late)
            now, frame = run_until_write(bus)
            eq((frame, now > late + DRAIN), (with_crc(b"\x05" + OTHER), True))
            continue
        now, frame = run_until_write(bus)
        eq(frame, with_crc(b"\x05" + pdu.read_holding(99, 1)))
        bus.receive(REPLY, now + 9_000)
        bus.receive(with_crc(b"\x05\x03\x02\x00\x63"), now + 15_000)
        eq(bus.take_results(), [])
        again, _ = run_until_write(bus)
        assert again >= now + DRAIN + len(REPLY) * CHAR, again - now


def test_the_echo_of_the_line_is_no_reply():
    """Before a read has shown that the line does not echo, an echo can be the line's own."""
    bus = make_bus()
    write = pdu.write_single(3, 9)
    bus.submit(5, write, "write", WRITE, retries=0)
    now, frame = run_until_write(bus)
    bus.receive(frame, now + 20_000)
    eq(only_result(bus).status, "unsure")
    bus.submit(5, READ, "read", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 20_000)
    eq(only_result(bus).status, "ok")
    bus.submit(5, write, "write", WRITE, retries=0)
    now, frame = run_until_write(bus)
    bus.receive(frame, now + 20_000)
    eq(only_result(bus).status, "unsure")  # it can be the reply to the first write
    bus.event("closed", now + 30_000)
    bus.event("opened", now + 30_000)
    assert not bus.client.echo_known  # another adapter can be there


def run_retry(bus):
    """Let READ time out once; give the retry its reply; return the time."""
    bus.submit(5, READ, "read", retries=1)
    run_until_write(bus)
    wake_once(bus)
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 20_000)
    eq(only_result(bus).status, "ok")
    return now + 20_000


def check_first_attempt_is_open(bus, now):
    """The reply to the first attempt still can come: OTHER gets a disambiguating request."""
    bus.submit(5, OTHER, "other", retries=0)
    bus.wake(now + LATE + 100_000)
    (frame,) = [data for _, _, data in bus.outbox()]
    eq(frame[:6], bytes((5,)) + pdu.read_holding(99, 1))


def test_a_copy_on_the_idle_line_is_no_further_reply():
    bus = make_bus()
    now = run_retry(bus)
    bus.receive(REPLY, now + 4_000)
    check_first_attempt_is_open(bus, now)


def test_a_copy_during_another_transaction_is_no_further_reply():
    bus = make_bus()
    now = run_retry(bus)
    bus.submit(6, READ, "unit 6", retries=0)
    bus.wake(now + 2_000)
    eq(len(bus.outbox()), 1)
    bus.receive(REPLY, now + 4_000)
    timed_out, _ = wake_once(bus)
    eq(only_result(bus).status, "timeout")
    check_first_attempt_is_open(bus, timed_out)


def test_the_duplicate_of_a_late_reply_after_noise_is_no_second_reply():
    """Noise comes 24 ms before the late reply, and a time-out between the reply and its copy."""
    bus = make_bus()
    bus.submit(5, READ, "twice", retries=1)
    for _ in range(2):  # both attempts time out
        run_until_write(bus)
    while bus.pending_count:
        bus.wake(bus.deadline())
    bus.take_results()
    bus.submit(9, READ, "other unit", retries=0)
    sent, _ = run_until_write(bus)
    bus.receive(b"\xff", sent + 80_000)
    bus.receive(REPLY, sent + 104_000)
    eq(bus.deadline() < sent + 112_000, True)
    bus.wake(bus.deadline())
    eq([result.tag for result in bus.take_results()], ["other unit"])
    bus.receive(REPLY, sent + 112_000)
    bus.submit(9, OTHER, "next", retries=0)
    run_until_write(bus)
    (request,) = bus._stale_replies.units[5].requests
    eq(request.first <= request.last, True)  # the reply to the second attempt is still due


def test_early_replies_behind_the_start_of_a_frame():
    """Each of three waits for more bytes, the last of them until the time-out."""
    bus = make_bus()
    for i in range(14):  # then the bus knows that replies take their time on the wire
        bus.submit(5, READ, i, retries=0)
        now, _ = run_until_write(bus)
        now += 8 * CHAR + 5_000
        for byte in REPLY:
            now += CHAR
            bus.receive(bytes((byte,)), now)
    bus.take_results()
    bus.submit(5, READ, "early", retries=0)
    now, _ = run_until_write(bus)
    bus.receive((b"\x4d\x03\x28" + REPLY) * 3, now + 100)
    for _ in range(3):
        if bus.deadline() != NEVER:
            bus.wake(bus.deadline())
    eq([(result.tag, result.status) for result in bus.take_results()], [("early", "timeout")])


def answer_of(request, known):
    """Return the PDU of the reply of a unit that ignores the functions that it does not have."""
    if request[0] not in known:
        return b""
    if request[0] == 8:
        return request
    size = (request[4] + 7) // 8 if request[0] < 3 else 2 * request[4]
    return bytes((request[0], size)) + bytes(size)


def good_seconds(framing, poll, known, lost_s):
    """Poll once a second; the unit is silent from the third second on, for `lost_s` seconds.

    Return the seconds in which the value was good.
    """
    bus, good, due = make_bus(framing), [], []
    for second in range(60):
        bus.submit(5, poll, second)
        now = second * 1_000_000
        while min(bus.deadline(), due[0][0] if due else NEVER) < (second + 1) * 1_000_000:
            if due and due[0][0] <= bus.deadline():
                now, data = due.pop(0)
                bus.receive(data, now)
            else:
                now = max(now, bus.deadline())
                bus.wake(now)
            for _, _, frame in bus.outbox():
                body = answer_of(
                    frame[1:-2] if framing == "rtu" else parse_frame(frame[1:-2])[1:], known
                )
                if body and not 3 <= second < 3 + lost_s:
                    due.append((now + 40_000, build(framing, 5, body)))
            good += [second for result in bus.take_results() if result.status == "ok"]
    return good


def test_a_unit_that_ignores_function_8_is_in_step_again():
    """Also if it has the function of its polls only, and if the polls read bits."""
    for framing in ("rtu", "ascii"):
        for poll in (pdu.read_holding(16, 1), pdu.read_input(16, 1), pdu.read_coils(16, 24)):
            for known in ((poll[0],), (1, 2, 3, 4), (poll[0], 8)):
                for lost_s in (1, 4):
                    good = good_seconds(framing, poll, known, lost_s)
                    assert good[-20:] == list(range(40, 60)), (framing, poll, known, lost_s, good)
