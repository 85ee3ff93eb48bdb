# SPDX-License-Identifier: Apache-2.0
"""Bytes that the bus discards beside another master: a request of that master can be among them.

The port is opened again, or an exception in the bus made it drop its input. The device then answers
a request that the bus does not know.
"""

from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from tests.portable.drivers.modbus.bus_rig import OTHER, READ, REPLY, make_bus, run_until_write
from tests.portable.support.check import eq

ONE = pdu.read_holding(16, 1)
THEIR_REQUEST = with_crc(b"\x05" + OTHER)
THEIR_REPLY = with_crc(b"\x05\x03\x04\x00\x63\x00\x64")


def drop(bus, now):
    bus.drop_input(now)


def reopen(bus, now):
    bus.event("failed", now)
    bus.event("opened", now + 100)


def shared_bus(request=READ, reply=REPLY):
    """Return (bus, time): one of our reads was answered, and another master was noticed."""
    bus = make_bus()
    bus.submit(5, request, "first", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(with_crc(b"\x09" + OTHER), now + 1_000)
    bus.receive(reply, now + 20_000)
    eq([result.status for result in bus.take_results()], ["ok"])
    return bus, now + 40_000


def in_turn(replies):
    return lambda _frame: replies.pop(0) if replies else b""


def bus_beside_new_master():
    """Return (bus, time): their first request is in the buffer while ours to unit 9 is pending."""
    bus = make_bus()
    bus.submit(5, READ, "first", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 20_000)
    eq([result.status for result in bus.take_results()], ["ok"])
    bus.submit(9, READ, "nine", retries=0)
    return bus, run_until_write(bus)[0] + 10_000


def answers(bus, now, until, answer):
    """Let `answer` reply to each frame after 20 ms, up to a time; return the results."""
    results, due = [], []
    while now < until:
        now += 5_000
        while due and due[0][0] <= now:
            bus.receive(due.pop(0)[1], now)
        while bus.deadline() <= now:
            bus.wake(now)
            frames = [data for _, op, data in bus.outbox() if op == "write"]
            due += [(now + 20_000, answer(frame)) for frame in frames]
        results += bus.take_results()
    return results


def test_their_reply_is_not_ours_after_the_loss_of_their_request():
    for lose in (drop, reopen):
        for arrived in (THEIR_REQUEST, THEIR_REQUEST[:5]):
            bus, now = shared_bus()
            bus.receive(arrived, now)
            lose(bus, now + 1_000)
            bus.submit(5, READ, "read", retries=0)
            results = answers(bus, now + 1_000, now + 3_000_000, lambda _frame: THEIR_REPLY)
            assert "ok" not in [result.status for result in results], (lose, len(arrived))


def test_their_first_request_is_noticed_among_the_discarded_bytes():
    """The bus discards it before it has classified it."""
    for lose in (drop, reopen):
        for noise in (b"", b"\xf0\x05"):
            bus, now = bus_beside_new_master()
            bus.receive(noise + THEIR_REQUEST, now)
            lose(bus, now + 1_000)
            bus.submit(5, READ, "read", retries=0)
            results = answers(bus, now + 1_000, now + 3_000_000, lambda _frame: THEIR_REPLY)
            assert "ok" not in [result.status for result in results], (lose, noise)


def test_their_first_request_of_which_the_first_part_is_discarded():
    for count in range(1, len(THEIR_REQUEST)):
        bus, now = bus_beside_new_master()
        bus.receive(THEIR_REQUEST[:count], now)
        drop(bus, now + 1_000)
        bus.receive(THEIR_REQUEST[count:], now + 2_000)
        bus.submit(5, READ, "read", retries=0)
        results = answers(bus, now + 2_000, now + 3_000_000, in_turn([THEIR_REPLY, REPLY]))
        values = [result.values for result in results if result.status == "ok"]
        assert (0x63, 0x64) not in values, count


def test_the_discarded_echo_of_our_request_is_no_other_master():
    bus, now = bus_beside_new_master()
    bus.receive(with_crc(b"\x09" + READ), now)
    drop(bus, now + 1_000)
    bus.submit(5, READ, "read", retries=0)
    results = answers(bus, now + 1_000, now + 1_000_000, lambda _frame: REPLY)
    assert ("read", "ok") in [(result.tag, result.status) for result in results]


def test_their_request_that_our_own_cuts_in_two():
    """An adapter delivers its first bytes, then our request goes out, then the rest comes."""
    for count in range(1, len(THEIR_REQUEST)):
        bus, now = shared_bus()
        bus.receive(THEIR_REQUEST[:count], now)
        bus.submit(5, READ, "read", retries=0)
        sent, frame = run_until_write(bus)
        eq(frame, with_crc(b"\x05" + READ))
        bus.receive(THEIR_REQUEST[count:], sent + 1_000)
        bus.receive(THEIR_REPLY, sent + 40_000)
        assert "ok" not in [result.status for result in bus.take_results()], count
    eq(bus.client.counters.other_unit_frames > 0, True)


def test_alone_on_the_line_nothing_is_held_back():
    bus = make_bus()
    bus.submit(5, READ, "first", retries=0)
    now, _ = run_until_write(bus)
    bus.receive(REPLY, now + 20_000)
    drop(bus, now + 30_000)
    bus.submit(5, READ, "second", retries=0)
    results = answers(bus, now + 30_000, now + 300_000, lambda _frame: REPLY)
    eq([result.status for result in results], ["ok", "ok"])


def one_register(frame):
    """A device with one register and no function but 3."""
    if frame[1] != 3:
        return with_crc(bytes((5, frame[1] | 0x80, 1)))
    return with_crc(b"\x05\x03\x02\x00\x07")


def test_a_device_without_function_8_is_in_step_again():
    """Its exceptions to function 8 are all alike, so a read of another function decides."""
    bus, now = shared_bus(ONE, with_crc(b"\x05\x03\x02\x00\x07"))
    good = 0
    for second in range(100):
        if second < 20:  # requests are lost again and again, replies too
            bus.receive(THEIR_REQUEST, now)
            drop(bus, now + 1_000)
        for address in (16, 17, 18):
            bus.submit(5, pdu.read_holding(address, 1), address, retries=0)
        is_silent = second < 20 and second % 3 == 0
        for result in answers(bus, now, now + 1_000_000, silent if is_silent else one_register):
            if result.status == "ok":
                good += second >= 20
                eq(result.values, (7,))
        now += 1_000_000
    assert good > 20, good


def silent(_frame):
    return b""
