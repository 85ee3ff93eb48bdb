# SPDX-License-Identifier: Apache-2.0
"""Second copies of a reply beside another master: none of them answers a request."""

from drivers.modbus.transaction import WRITE
from protocols.modbus import pdu
from tests.portable.drivers.modbus.bus_rig import OTHER, READ, make_bus, run_until_write
from tests.portable.drivers.modbus.test_cut_frames import OUR_VALUES, THEIR_VALUES, answer, build
from tests.portable.support.check import eq

FRAMINGS = ("rtu", "ascii")
THIRD = pdu.read_holding(120, 2)
THIRD_VALUES = b"\x03\x04\x00\x78\x00\x79"
FRAME_US = 40_000  # of a reply, also in ASCII
AFTER = (20_000, 60_000, 90_000, 200_000, 510_000, 540_000, 580_000)


def good_values(bus, framing, now, owed, after):
    """Poll for 3 s; return the good values. The unit sends the `owed` replies first, `after` us."""
    good, arriving, next_at = [], [], now + after
    end = now + 3_000_000
    while now < end:
        now += 5_000
        if owed and now >= next_at:
            bus.receive(owed.pop(0), now)
            next_at = now + FRAME_US
        elif not owed and arriving and arriving[0][0] <= now:
            bus.receive(arriving.pop(0)[1], now)
        while bus.deadline() <= now:
            bus.wake(now)
            for _, op, frame in bus.outbox():
                if op == "write":
                    arriving.append((max(now, next_at) + FRAME_US, answer(framing, frame)))
        good += [result.values for result in bus.take_results() if result.status == "ok"]
        if not bus.pending_count:
            bus.submit(5, READ, "again", retries=0)
    return good


def check(make, chunks, framing, owed, case):
    """No value but ours is good, and ours are good in the end.

    `make` returns (bus, time) before the chunks.
    """
    for after in AFTER:
        bus, now = make(framing)
        for i, chunk in enumerate(chunks):
            bus.receive(chunk, now + 2_000 * i)
        good = good_values(bus, framing, now + 4_000, [owed], after)
        eq((case, after, set(good)), (case, after, {(1, 2)}))


def divisions(frames):
    """Return the frames one by one, all in one chunk, and the last two in one chunk."""
    return (list(frames), [b"".join(frames)], frames[:-2] + [frames[-2] + frames[-1]])


def our_request(framing):
    bus = make_bus(framing)
    bus.submit(5, READ, "read", retries=1)
    return bus, run_until_write(bus)[0] + 30_000


def two_of_theirs(framing):
    bus = make_bus(framing)
    bus.receive(build(framing, 5, OTHER), 1_000)
    bus.receive(build(framing, 5, THIRD), 60_000)
    return bus, 120_000


def test_the_copy_of_a_reply_that_can_be_to_either():
    """Their request came beside ours. Which reply was copied is unknown; the other one is due."""
    for framing in FRAMINGS:
        theirs = build(framing, 5, OTHER)
        ours, other = build(framing, 5, OUR_VALUES), build(framing, 5, THEIR_VALUES)
        for first, second in ((ours, other), (other, ours)):
            for number, chunks in enumerate(divisions([theirs, first, first])):
                case = (framing, first == ours, number)
                check(our_request, chunks, framing, second, case)


def test_the_copy_of_their_reply_on_the_idle_line():
    """Two requests of theirs are due. The first reply comes twice, the second while ours waits."""
    for framing in FRAMINGS:
        first, second = build(framing, 5, THEIR_VALUES), build(framing, 5, THIRD_VALUES)
        for number, chunks in enumerate(divisions([first, first])):
            check(two_of_theirs, chunks, framing, second, (framing, number))


def test_equal_replies_to_two_of_their_requests():
    """A value that does not change: the second reply follows a second request, so it counts."""
    for framing in FRAMINGS:
        bus = make_bus(framing)
        theirs, reply = build(framing, 5, OTHER), build(framing, 5, THEIR_VALUES)
        for at in range(1_000, 2_000_000, 100_000):
            bus.receive(theirs, at)
            bus.receive(reply, at + 30_000)
        eq((framing, bus.client.others), (framing, []))


def test_their_write_is_seen_beside_a_read_whose_exception_is_unclear():
    """The unit owes us an exception of function 3. Their write is a request, not a late echo."""
    for framing in FRAMINGS:
        for theirs in (pdu.write_single(40, 7), pdu.mask_write(40, 1, 2)):
            bus = make_bus(framing)
            for values in (OUR_VALUES, b""):  # the first reply shows that the line has no echo
                bus.submit(5, OTHER, "late", retries=0)
                now, _ = run_until_write(bus)
                if values:
                    bus.receive(build(framing, 5, values), now + FRAME_US)
            bus.take_results()
            bus.wake(bus.deadline())
            eq([result.status for result in bus.take_results()], ["timeout"])
            bus.submit(5, pdu.read_holding(16, 1), "read", retries=0)
            now, frame = run_until_write(bus)
            bus.receive(build(framing, 5, theirs), now + 20_000)
            bus.receive(answer(framing, frame), now + 50_000)
            bus.submit(5, theirs, "write", WRITE, retries=0)
            bus.take_results()
            now, frame = run_until_write(bus)
            eq((framing, frame), (framing, build(framing, 5, theirs)))
            bus.receive(frame, now + 20_000)  # can be the reply to theirs
            statuses = [r.status for r in bus.take_results() if r.tag == "write"]
            eq((framing, theirs[0], statuses), (framing, theirs[0], ["unsure"]))
