# SPDX-License-Identifier: Apache-2.0
"""A frame of another master that comes in two parts, with an event of our bus between them.

An adapter can deliver the first bytes of a frame long before the rest. The reply to a request that
was cut in two must not count as the reply to ours.
"""

from drivers.modbus.transaction import WRITE
from protocols.modbus.ascii_mode import build_frame as ascii_frame
from protocols.modbus.ascii_mode import parse_frame
from protocols.modbus.crc import with_crc
from tests.portable.drivers.modbus.bus_rig import (
    LATE,
    OTHER,
    READ,
    TIMEOUT,
    make_bus,
    run_until_write,
)
from tests.portable.support.check import eq

ASCII_WIRE_US = 25_000  # the reply in ASCII is longer
WIRE_US = 45_000  # of request and reply, also in ASCII
NOISE = b"\xf0" * 256
THEIR_VALUES = b"\x03\x04\x00\x63\x00\x64"
OUR_VALUES = b"\x03\x04\x00\x01\x00\x02"


def build(framing, unit, pdu):
    return ascii_frame(unit, pdu) if framing == "ascii" else with_crc(bytes((unit,)) + pdu)


def ask_other_unit(bus):
    """Put a request to unit 9 on the wire; return the time."""
    bus.submit(9, READ, "nine", retries=0)
    return run_until_write(bus)[0]


def at_our_start(bus, framing, parts):
    bus.receive(parts[0], 1_000)
    bus.submit(5, READ, "read", retries=0)
    now, frame = run_until_write(bus)
    eq(frame, build(framing, 5, READ))
    bus.receive(parts[1], now + 3_000)
    return now + 3_000


def at_our_time_out(bus, framing, parts):
    now = ask_other_unit(bus)
    bus.receive(parts[0], now + TIMEOUT)
    bus.wake(bus.deadline())
    eq([result.tag for result in bus.take_results()], ["nine"])
    bus.receive(parts[1], now + TIMEOUT + 2 * ASCII_WIRE_US)
    return now + TIMEOUT + 2 * ASCII_WIRE_US


def at_two_time_outs(bus, framing, parts):
    now = ask_other_unit(bus)
    bus.receive(parts[0], now + TIMEOUT)
    bus.wake(bus.deadline())
    bus.submit(8, READ, "eight", retries=0)
    now = run_until_write(bus)[0] + TIMEOUT + 2 * ASCII_WIRE_US
    bus.wake(bus.deadline())
    eq([result.tag for result in bus.take_results()], ["nine", "eight"])
    bus.receive(parts[1], now)
    return now


def after_our_reply(bus, framing, parts):
    now = ask_other_unit(bus) + 40_000
    bus.receive(build(framing, 9, OUR_VALUES) + parts[0], now)
    eq([result.status for result in bus.take_results()], ["ok"])
    bus.receive(parts[1], now + 5_000)
    return now + 5_000


def at_a_second_start(bus, framing, parts):
    """Our request to unit 9 began between the parts of ours and theirs; it is answered."""
    bus.receive(parts[0], 1_000)
    now = ask_other_unit(bus) + 40_000
    bus.receive(parts[1] + build(framing, 9, OUR_VALUES), now)
    results = bus.take_results()
    if not results:  # the rest could be the start of a longer frame: silence decides
        now = bus.deadline()
        bus.wake(now)
        results = bus.take_results()
    eq([result.status for result in results], ["ok"])
    return now


def at_the_limit_of_the_buffer(bus, framing, parts):
    """So many bytes come during our request that the first ones leave the buffer."""
    now = ask_other_unit(bus)
    bus.receive(NOISE[: 256 - len(parts[0])] + parts[0], now + 20_000)
    bus.receive(parts[1] + NOISE[: 256 - len(parts[1])], now + 30_000)
    bus.receive(b"\xf0", now + 31_000)
    now = bus.deadline()
    bus.wake(now)
    eq([result.tag for result in bus.take_results()], ["nine"])
    return now


EVENTS = (
    at_our_start,
    at_our_time_out,
    at_two_time_outs,
    after_our_reply,
    at_a_second_start,
    at_the_limit_of_the_buffer,
)


def answer(framing, frame):
    """Return the reply of unit 5, which has function 8."""
    pdu = frame[1:-2] if framing == "rtu" else parse_frame(frame[1:-2])[1:]
    if pdu[0] == 8:
        return build(framing, 5, pdu)
    size = 2 * pdu[4]
    return build(framing, 5, bytes((3, size)) + OUR_VALUES[2 : 2 + size])


def result_after(bus, framing, now, is_pending):
    """Return status and values of our read. Unit 5 is slow and owes the reply to their request."""
    if not is_pending:
        bus.submit(5, READ, "read", retries=0)
    due = [build(framing, 5, THEIR_VALUES)]
    if is_pending:
        due.append(build(framing, 5, OUR_VALUES))
    for _ in range(500):
        now += 20_000
        while bus.deadline() <= now:
            bus.wake(now)
            for _, _, frame in bus.outbox():
                due.append(answer(framing, frame))
        if len(due) > 1:
            bus.receive(due.pop(0), now)
        for result in bus.take_results():
            return (result.status, result.values)
    return ("", ())


def test_a_request_in_two_parts():
    for framing in ("rtu", "ascii"):
        theirs = build(framing, 5, OTHER)
        for event in EVENTS:
            for at in range(1, len(theirs)):
                bus = make_bus(framing)
                now = event(bus, framing, (theirs[:at], theirs[at:]))
                result = result_after(bus, framing, now, event is at_our_start)
                case = (framing, event.__name__, at, result)
                assert result[0] not in ("", "ok") or result[1] == (1, 2), case


def test_a_reply_in_two_parts():
    """Their request came whole; our request goes out between the parts of the reply to it."""
    for framing in ("rtu", "ascii"):
        their_reply = build(framing, 5, THEIR_VALUES)
        for at in range(1, len(their_reply)):
            bus = make_bus(framing)
            bus.receive(build(framing, 5, OTHER), 1_000)
            now = ask_other_unit(bus)
            bus.receive(build(framing, 9, OUR_VALUES) + their_reply[:at], now + 40_000)
            eq([result.status for result in bus.take_results()], ["ok"])
            bus.submit(8, READ, "eight", retries=0)
            now = run_until_write(bus)[0]
            bus.receive(their_reply[at:], now + 3_000)
            bus.receive(build(framing, 8, OUR_VALUES), now + 40_000)
            eq([result.status for result in bus.take_results()], ["ok"])
            bus.submit(5, READ, "read", retries=0)
            sent_at, frame = run_until_write(bus)
            eq((framing, at, frame), (framing, at, build(framing, 5, READ)))
            assert sent_at < LATE + 10_000, (framing, at, sent_at)  # as after a whole reply


def exchange(bus, framing, request, values):
    """Send a read to unit 5 and answer it in wire time; return the time."""
    bus.submit(5, request, "exchange", retries=0)
    now = run_until_write(bus)[0] + WIRE_US
    bus.receive(build(framing, 5, values), now)
    eq([result.values for result in bus.take_results()], [(values[3], values[5])])
    return now


def test_a_second_copy_in_two_parts_is_no_reply():
    """Our next request goes out before its first part comes, and the rest is late."""
    for framing in ("rtu", "ascii"):
        bus = make_bus(framing)
        for _ in range(20):  # the line delivers in wire time
            exchange(bus, framing, OTHER, THEIR_VALUES)
        copy = build(framing, 5, THEIR_VALUES)
        for at in range(1, len(copy)):
            exchange(bus, framing, OTHER, THEIR_VALUES)
            bus.submit(5, READ, "read", retries=0)
            now = run_until_write(bus)[0]
            bus.receive(copy[:at], now + 300)
            bus.receive(copy[at:], now + WIRE_US)
            bus.receive(build(framing, 5, OUR_VALUES), now + WIRE_US + 15_000)
            result = bus.take_results()[0]
            eq((framing, at, result.status, result.values), (framing, at, "ok", (1, 2)))


def run_cut_late_reply(framing, at, pause):
    """Our urgent request cuts the late reply in two, and its copy follows, with a pause inside."""
    late = build(framing, 5, THEIR_VALUES)
    bus = make_bus(framing)
    bus.submit(5, OTHER, "other", retries=0)
    now = run_until_write(bus)[0]
    bus.wake(bus.deadline())
    eq([result.tag for result in bus.take_results()], ["other"])
    now += LATE + 2 * TIMEOUT
    bus.receive(late[:at], now)
    bus.submit(5, READ, "read", WRITE, retries=0)
    now = run_until_write(bus)[0]
    bus.receive(late[at:], now + 20_000)
    bus.receive(late[:3], now + 23_000)
    bus.receive(late[3:], now + 26_000 + pause)
    bus.receive(build(framing, 5, OUR_VALUES), now + 60_000 + pause)
    while bus.deadline() < now + TIMEOUT + WIRE_US:
        bus.wake(bus.deadline())
    return bus.take_results()[0]


def test_the_copy_of_a_late_reply_in_two_parts_is_no_good_reply():
    for framing in ("rtu", "ascii"):
        for at in range(1, len(build(framing, 5, THEIR_VALUES))):
            for pause in (0, 50_000):
                result = run_cut_late_reply(framing, at, pause)
                case = (framing, at, pause, result.status, result.values)
                assert result.status != "ok" or result.values == (1, 2), case


def test_a_second_copy_in_two_parts_closes_no_request():
    """Its rest comes after our next request, which times out; the reply to that is still due."""
    for framing in ("rtu", "ascii"):
        copy = build(framing, 5, OUR_VALUES)
        for at in range(1, len(copy)):
            bus = make_bus(framing)
            now = exchange(bus, framing, READ, OUR_VALUES)
            bus.receive(copy[:at], now + 5_000)
            bus.submit(5, OTHER, "other", retries=0)
            now = run_until_write(bus)[0]
            bus.receive(copy[at:], now + 30_000)
            bus.wake(bus.deadline())
            status = bus.take_results()[0].status
            assert status in ("timeout", "mismatch"), (framing, at, status)
            result = result_after(bus, framing, now + 150_000, False)
            case = (framing, at, result)
            assert result[0] not in ("", "ok") or result[1] == (1, 2), case


def time_out(bus):
    """Wake the bus until a request ends without a reply; return the time."""
    while True:
        now = bus.deadline()
        bus.wake(now)
        results = [result.status for result in bus.take_results()]
        if results:
            assert results[0] in ("timeout", "mismatch"), results
            bus.outbox()
            return now


def ask_silent_units(bus, parts):
    """Ask silent units; after each of them a part of the frame comes."""
    for unit, part in zip((20, 21, 22, 23, 24), parts):
        bus.submit(unit, READ, unit, retries=0)
        run_until_write(bus)
        now = time_out(bus) + 1_000
        if part:
            bus.receive(part, now)


def test_a_request_in_more_than_two_parts():
    """A time-out and the start of our requests are between them; the last one has its reply."""
    for framing in ("rtu", "ascii"):
        theirs = build(framing, 5, OTHER)
        for at in range(1, len(theirs) - 1):
            for end in range(at + 1, len(theirs)):
                bus = make_bus(framing)
                bus.receive(theirs[:1], 1_000)
                ask_silent_units(bus, [theirs[1:at], theirs[at:end]])
                bus.submit(8, READ, "eight", retries=0)
                now = run_until_write(bus)[0] + 2 * WIRE_US
                bus.receive(theirs[end:], now - WIRE_US)
                bus.receive(build(framing, 8, OUR_VALUES), now)
                while bus.deadline() <= now + WIRE_US:  # the reply can wait for silence
                    bus.wake(bus.deadline())
                eq([result.status for result in bus.take_results()], ["ok"])
                bus.outbox()
                result = result_after(bus, framing, now + WIRE_US, False)
                case = (framing, at, end, result)
                assert result[0] not in ("", "ok") or result[1] == (1, 2), case


def test_a_copy_in_more_than_two_parts_closes_no_request():
    """Its first part is older than our request, its last one comes after the time-out of this."""
    for framing in ("rtu", "ascii"):
        copy = build(framing, 5, OUR_VALUES)
        for at in range(1, len(copy) - 1):
            for end in range(at + 1, len(copy)):
                bus = make_bus(framing)
                now = exchange(bus, framing, READ, OUR_VALUES)
                bus.receive(copy[:at], now + 5_000)
                ask_silent_units(bus, [b""] * 5)  # longer than a late reply takes
                bus.submit(5, OTHER, "other", retries=0)
                bus.receive(copy[at:end], run_until_write(bus)[0] + 30_000)
                now = time_out(bus)
                bus.receive(copy[end:], now + 1_000)
                result = result_after(bus, framing, now + 50_000, False)
                case = (framing, at, end, result)
                assert result[0] not in ("", "ok") or result[1] == (1, 2), case
