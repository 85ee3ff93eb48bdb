# SPDX-License-Identifier: Apache-2.0
"""Late and double replies, and the queue of requests, without a bus; both sides of each limit.

9600 baud and 10 bits: 1041.67 us a character.
"""

from drivers.modbus.duplicate_filter import DuplicateFilter
from drivers.modbus.request_queue import RequestQueue
from drivers.modbus.stale_reply.guard import StaleReplyGuard
from drivers.modbus.stale_reply.unit_guard import (
    FORGET_US,
    FORGOTTEN,
    HELD,
    SUSPECT,
    SYNCED,
    TABLE,
    UNCOUNTED_US,
    next_state,
)
from drivers.modbus.transaction import Transaction, reply_prefix_of, same_reply_shape, supersedes
from drivers.modbus.unit_health import UnitHealth
from drivers.modbus.wire_time import WireTime
from protocols.modbus import pdu
from protocols.time_units import NEVER, SECOND
from tests.portable.support.check import eq, raises

READ4 = bytes((3, 0, 0, 0, 4))
READ4_AT9 = bytes((3, 0, 9, 0, 4))
READ2 = bytes((3, 0, 0, 0, 2))
READ1 = bytes((3, 0, 0, 0, 1))
NOW = 100 * SECOND


def wire(**options):
    return WireTime(9600, 10, **options)


def request(pdu=READ4, unit=7, tag="t", priority=0, health=None):
    return Transaction(unit, pdu, tag, priority, 0, health or UnitHealth(20_000, 200_000))


def taught_filter():
    """Return a filter that has seen eight replies in their wire time."""
    made = DuplicateFilter(wire(), 50_000)
    for _ in range(8):
        eq(made.is_premature(request(), -2083), False)
    return made


def test_a_reply_is_premature_before_its_wire_time():
    made = DuplicateFilter(wire(), 50_000)
    for margin, count in ((0, 1), (-2083, 2), (-2084, 0), (5, 1)):
        eq((made.is_premature(request(), margin), made.timing_valid_count), (False, count))
    made, slow = taught_filter(), UnitHealth(20_000, 200_000)
    slow.min_response_us = 5_000
    poll = request(health=slow)
    eq((made.is_premature(poll, 2_917), poll.is_premature), (False, False))
    eq((made.is_premature(poll, 2_916), poll.is_premature, poll.margin_us), (True, True, 4_999))
    made.accept_premature(poll)
    eq((slow.fastest_us, made.timing_valid_count), (4_999, 8))
    poll.margin_us = -1
    made.accept_premature(poll)
    eq((slow.fastest_us, made.timing_valid_count), (0, 0))
    made = taught_filter()
    made.line_opened()
    eq(made.timing_valid_count, 0)


def test_a_duplicate_blocks_requests_with_its_shape():
    made, other = DuplicateFilter(wire(), 50_000), request(READ2)
    made.expect_duplicate(request(), 13, NOW)
    until = NOW + 13_541 + 50_000
    for now, blocked in ((NOW, until), (until - 1, until), (until, 0)):
        eq(
            (made.blocked_until(request(READ4_AT9), now), made.blocked_until(other, now)),
            (blocked, 0),
        )
        eq(made.is_expected(b"\x07\x03\x08\x01", now), blocked > 0)
        eq(made.is_expected(b"\x07\x03\x04\x01", now), False)
    made.expect(b"\x07\x03\x04", NOW + 5, NOW)
    eq((made.blocked_until(other, NOW + 4), made.blocked_until(other, NOW + 5)), (NOW + 5, 0))
    made.expect(b"\x07\x03\x04", NOW + 3, NOW)
    eq(made.blocked_until(other, NOW + 4), NOW + 5)
    eq(
        (made.is_expected(b"\x07\x03\x04", NOW + 4), made.is_expected(b"\x07\x03\x04", NOW + 5)),
        (True, False),
    )
    made.expect(b"\x07\x03\x04", until + 9, until)  # the others are over
    eq(made._expected, {b"\x07\x03\x04": until + 9})
    for i in range(31):
        made.expect(bytes((i,)), until + 9, until)
    eq(len(made._expected), 32)
    made.expect(b"\x40", until + 9, until)
    eq(len(made._expected), 1)


def test_a_duplicate_of_a_slow_unit_blocks_nothing():
    for min_response, has_min, doubles, blocked in (
        (6_770, True, False, 0),
        (6_769, True, False, NOW + 10_416 - 6_769),
        (6_770, False, False, NOW + 63_541),
        (6_770, True, True, NOW + 63_541),
    ):
        made, unit = taught_filter(), UnitHealth(20_000, 200_000)
        unit.min_response_us, unit.has_min_response = min_response, has_min
        unit.sends_duplicates = doubles
        made.expect_duplicate(request(health=unit), 13, NOW)
        eq(made.blocked_until(request(), NOW), blocked)
    made = DuplicateFilter(wire(), 9_000)
    made.timing_valid_count, unit = 8, UnitHealth(1, 2)
    unit.has_min_response = True
    made.expect_duplicate(request(health=unit), 13, NOW)
    eq(made.blocked_until(request(), NOW), 0)  # 9000 - 6250 us end before the gap of 3646 us


def write(address, tag, priority=1, unit=7):
    return request(bytes((6, 0, address, 0, 1)), unit, tag, priority)


def test_writes_replace_older_ones_to_the_same_register():
    for newer, older, replaced in (
        (write(1, "a"), write(1, "b"), True),
        (write(1, "a"), write(1, "a"), False),
        (write(1, "a"), write(2, "b"), False),
        (write(1, "a"), write(1, "b", unit=8), False),
        (request(READ4, tag="a"), write(1, "b"), False),
        (write(1, "a"), request(READ4, tag="b"), False),
    ):
        eq(supersedes(newer, older), replaced)
    eq(same_reply_shape(request(), request(READ4_AT9)), True)
    eq(
        (same_reply_shape(request(), request(READ2)), reply_prefix_of(request())),
        (False, b"\x07\x03\x08"),
    )


def test_order_of_the_queue():
    queue = RequestQueue()
    first, second, stop = write(1, "a"), write(2, "b"), write(3, "c", 2)
    for transaction in (first, second, stop):
        eq(queue.add_urgent(transaction), [])
    newer = write(1, "d")
    eq((queue.add_urgent(newer), queue.urgent), ([first], [stop, second, newer]))
    polls = [request(unit=7), request(unit=8), request(unit=7)]
    for poll in polls:
        eq(queue.requeue(poll, False), True)
    front = request(unit=9)
    eq((queue.requeue(front, True), queue.polls), (True, [front] + polls))
    eq((queue.requeue(write(2, "e"), True), queue.requeue(first, True)), (False, False))
    back, ahead = write(8, "f"), write(9, "g")
    eq((queue.requeue(back, False), queue.requeue(ahead, True)), (True, True))
    eq(queue.urgent, [stop, ahead, second, newer, back])
    eq((queue.take_polls(7), queue.polls), ([polls[0], polls[2]], [front, polls[1]]))
    eq(queue.take_all(), [stop, ahead, second, newer, back, front, polls[1]])
    eq((queue.urgent, queue.polls), ([], []))


def parts():
    return StaleReplyGuard(100_000), DuplicateFilter(wire(), 50_000)


def test_the_first_request_that_can_be_sent():
    queue, (guard, duplicates) = RequestQueue(), parts()
    eq(queue.take_first_ready(NOW, guard, duplicates, True), (None, NEVER))
    late, poll, other = request(tag="a"), request(READ4_AT9, tag="b"), request(READ2, tag="c")
    for transaction in (late, poll, other):
        queue.requeue(transaction, False)
    late.not_before = NOW + 5
    eq(queue.take_first_ready(NOW, guard, duplicates, True), (other, 0))  # `poll` keeps its order
    eq(queue.take_first_ready(NOW, guard, duplicates, True), (None, NOW + 5))
    paused = write(1, "w")
    paused.not_before = NOW + 3
    queue.add_urgent(paused)
    eq(queue.take_first_ready(NOW, guard, duplicates, True), (None, NOW + 3))
    eq(queue.take_first_ready(NOW + 3, guard, duplicates, True), (paused, 0))
    eq(queue.take_first_ready(NOW + 5, guard, duplicates, True), (late, 0))
    duplicates.expect(reply_prefix_of(poll), NOW + 90, NOW)
    eq(queue.take_first_ready(NOW + 5, guard, duplicates, True), (None, NOW + 90))
    eq(queue.take_first_ready(NOW + 90, guard, duplicates, True), (poll, 0))


def test_transitions_of_the_guard():
    for before, event, after in TABLE:
        eq(next_state(before, event), after)
    error = raises(ValueError, next_state, SYNCED, FORGOTTEN)
    eq(str(error), "no transition from state 0 by event 3")


def test_a_poll_waits_for_a_late_reply_of_its_shape():
    guard, _ = parts()
    owner, poll = request(), request(READ4_AT9)
    eq((guard.blocked_until(poll, NOW), guard.reply_accepted(poll, False, NOW)), (0, True))
    guard.expect_late(7, READ4, NOW, owner)
    for transaction, blocked in (
        (poll, NOW + 100_000),
        (owner, 0),
        (request(READ2), 0),
        (request(unit=8), 0),
    ):
        eq(guard.blocked_until(transaction, NOW + 99_999), blocked)
    eq(guard.blocked_until(poll, NOW + 100_000), NOW + 400_000)
    eq(
        (guard.blocked_until(poll, NOW + 399_999), guard.blocked_until(poll, NOW + 400_000)),
        (NOW + 400_000, 0),
    )
    guard.update(NOW + 399_999)
    eq(guard.units[7].state, HELD)
    guard.update(NOW + 400_000)
    eq(guard.units[7].state, SUSPECT)
    guard.update(NOW + 1_000 * FORGET_US)
    eq(7 in guard.units, True)


def test_a_guard_is_forgotten_only_if_we_never_asked():
    """A unit that is one reply behind answers a probe with the reply to the one before.

    With several offline units the pause between two probes has no limit.
    """
    guard, _ = parts()
    guard.expect_foreign(7, READ4, NOW)
    guard.update(NOW + FORGET_US + 99_999)
    eq(guard.units[7].state, SUSPECT)
    guard.update(NOW + FORGET_US + 100_000)
    eq(guard.units, {})
    guard.expect_foreign(7, READ4, NOW)
    guard.expect_late(7, READ2, NOW)
    guard.update(NOW + 2 * FORGET_US)
    eq(guard.units[7].state, SUSPECT)


def test_an_entry_for_any_request_ends():
    """It fits each reply, so the unit would never be in step again."""
    guard, _ = parts()
    for i in range(33):
        guard.expect_late(7, bytes((3, 0, i, 0, 4)), NOW + i)
    until = NOW + 32 + 100_000 + UNCOUNTED_US
    guard.update(until - 1)
    eq((len(guard.units[7].requests), guard.units[7].requests[-1].pdu), (32, b""))
    guard.update(until)
    eq((len(guard.units[7].requests), guard.units[7].fitting(b"\x07\x99")), (31, []))


def frame(pdu_reply, unit=7):
    return bytes((unit,)) + pdu_reply + b"\0\0"


def test_a_late_reply_closes_its_request_and_those_before_it():
    guard, _ = parts()
    guard.expect_late(7, READ4, NOW)
    guard.expect_late(7, READ2, NOW + 1)
    eq(guard.frame_seen(frame(b"\x03\x08" + bytes(8), 8), NOW, NOW), None)
    eq(guard.frame_seen(frame(b"\x03\x02" + bytes(2)), NOW, NOW), None)
    eq(guard.frame_seen(frame(b"\x03\x08" + bytes(9)), NOW, NOW), None)  # another length
    later = NOW + 200_000
    eq(guard.frame_seen(frame(b"\x03\x04" + bytes(4)), later, later), b"\x07\x03\x04")
    eq(guard.units, {})
    guard.expect_late(7, READ4, NOW)
    guard.expect_late(7, READ2, NOW + 1)
    eq(guard.frame_seen(frame(b"\x03\x08" + bytes(8)), later, later), b"\x07\x03\x08")
    eq([r.pdu for r in guard.units[7].requests], [READ2])
    eq(guard.frame_seen(frame(b"\x83\x02"), later, later), b"\x07\x83")
    eq(guard.units, {})


def test_a_second_copy_can_come_within_the_stale_time():
    guard, _ = parts()
    guard.expect_late(7, READ4, NOW)
    for at, shape in ((1, b"\x07\x03\x08"), (99_999, b"\x07\x03\x08"), (100_000, b"\x07\x03\x08")):
        eq(guard.frame_seen(frame(b"\x03\x08" + bytes(8)), NOW + at, NOW + at), shape)
    eq(guard.units, {})


def test_a_reply_that_fits_only_the_present_request_proves_the_unit():
    guard, _ = parts()
    guard.expect_late(7, READ4, NOW)
    eq((guard.reply_accepted(request(READ2), False, NOW + 99_999), 7 in guard.units), (True, True))
    eq((guard.reply_accepted(request(READ2), False, NOW + 100_000), guard.units), (True, {}))
    owner = request()
    for other, is_own in ((owner, True), (request(), False)):
        guard.expect_late(7, READ4, NOW, owner)
        eq(guard.reply_accepted(other, False, NOW + 1), is_own)
    guard, _ = parts()
    guard.expect_late(7, READ4, NOW)
    eq(guard.reply_accepted(request(READ2), True, NOW + 1), False)  # an exception to function 3


def test_exceptions_of_a_function_are_ambiguous():
    guard, _ = parts()
    eq(guard.exception_ambiguous(request()), False)
    guard.expect_late(7, READ4, NOW)
    for read, ambiguous in ((READ4, False), (READ2, True), (bytes((4, 0, 0, 0, 4)), False)):
        eq(guard.exception_ambiguous(request(read)), ambiguous)


def test_an_attempt_is_open_until_it_would_be_late():
    """The reply to an older attempt ends the poll; the newest one has its time-out in a second."""
    guard, _ = parts()
    poll = request()
    guard.expect_late(7, READ4, NOW, poll)
    guard.due_at = NOW + SECOND
    eq(guard.reply_accepted(poll, False, NOW + 1, NOW), True)
    eq(guard.reply_accepted(request(READ2), False, NOW + SECOND), True)
    eq([r.pdu for r in guard.units[7].requests], [READ4])
    eq(guard.reply_accepted(request(READ2), False, NOW + SECOND + 100_000), True)
    eq(7 in guard.units, False)


def test_a_suspect_unit_is_tried_once_in_a_hold_time():
    guard, _ = parts()
    poll = request()
    guard.expect_late(7, READ4, NOW)
    eq(guard.is_retry_due(poll, NOW + 400_000), False)  # it is held
    guard.update(NOW + 400_000)
    eq(
        (
            guard.is_retry_due(request(READ2), NOW + 400_000),
            guard.is_retry_due(request(unit=8), NOW + SECOND),
        ),
        (False, False),
    )
    eq(guard.is_retry_due(poll, NOW + 399_999), False)
    eq(guard.is_retry_due(poll, NOW + 400_000), True)
    eq(
        [guard.is_retry_due(poll, NOW + at) for at in (400_001, 799_999, 800_000)],
        [False, False, True],
    )


def test_open_requests_are_limited():
    guard, _ = parts()
    for i in range(33):
        guard.expect_late(7, bytes((3, 0, i, 0, 4)), NOW + i)
    requests = guard.units[7].requests
    eq((len(requests), requests[-1].pdu, requests[-1].first, requests[-1].last), (32, b"", 32, 33))
    guard.expect_late(7, bytes((3, 0, 99, 0, 4)), NOW + 40)
    last = guard.units[7].requests[-1]
    eq((last.pdu, last.first, last.last, last.open_until), (b"", 32, 34, NOW + 100_040))
    eq((last.fits(b"\x07\x99"), last.length), (True, 0))


def test_the_same_request_is_open_once():
    guard, _ = parts()
    first, second = request(), request()
    guard.expect_late(7, READ4, NOW, first)
    guard.expect_late(7, READ4, NOW + 5, first)
    entry = guard.units[7].requests[0]
    eq((entry.first, entry.last, entry.open_until), (1, 2, NOW + 100_005))
    eq((entry.owner is first, guard.units[7].hold_until), (True, NOW + 400_000))
    guard.expect_late(7, READ4, NOW + 6, second)
    eq((entry.owner, len(guard.units[7].requests)), (None, 1))
    for number in (1, 2):
        guard.expect_late(7, bytes((8, 0, 0, 0, number)), NOW + 7)
    eq([r.pdu for r in guard.units[7].requests], [READ4, bytes((8, 0, 0, 0, 2))])


def test_requests_of_another_master_are_joined():
    """The two that end first become one that can be any; ours stay apart from it."""
    guard, _ = parts()
    guard.expect_late(7, READ4, NOW)
    for i in range(31):
        guard.expect_foreign(7, bytes((3, 1, i, 0, 4)), NOW + 10 + i, NOW + 10 + i)
    write = bytes((6, 0, 1, 0, 2))
    guard.expect_late(7, write, NOW + 50)
    requests = guard.units[7].requests
    eq((len(requests), requests[0].pdu, requests[-1].pdu), (32, READ4, write))
    joined = requests[1]
    eq((joined.pdu, joined.first, joined.last, joined.beside), (b"", 2, 3, 1))
    eq((joined.open_until, joined.owner, joined.is_foreign), (NOW + 100_011, None, True))
    guard.expect_late(7, bytes((6, 0, 1, 0, 3)), NOW + 60)
    eq([r.pdu for r in requests].count(b""), 1)
    eq((joined.first, joined.last, joined.open_until), (2, 4, NOW + 100_012))


def test_no_more_polls_are_sent_than_are_kept_apart():
    guard, _ = parts()
    for i in range(28):
        eq(guard.blocked_until(request(bytes((3, 2, i, 0, 9))), NOW), 0)
        guard.expect_late(7, bytes((3, 0, i, 0, 4)), NOW)
    eq(guard.blocked_until(request(bytes((3, 2, 99, 0, 9))), NOW), NOW + 100_000)


def test_a_request_of_both_masters_keeps_older_ones_open():
    """The unit can have received theirs before our poll, also if we send an equal request later."""
    echo = pdu.diagnostics_echo
    for theirs, ours, reply in (
        (READ2, READ2, frame(b"\x03\x04\x00\x01\x00\x02")),
        (echo(5), echo(6), frame(b"\x88\x01")),
    ):
        guard = StaleReplyGuard(500)
        guard.expect_late(7, READ4, 1_000, None, 900)
        guard.expect_foreign(7, theirs, 1_000, 1_000)
        guard.expect_late(7, ours, 2_000, None, 1_900)
        guard.frame_seen(reply, 9_000, 9_000)
        guard.update(9_000)
        eq([r.pdu for r in guard.units[7].requests if r.first <= r.last], [READ4, ours])
