# SPDX-License-Identifier: Apache-2.0
"""The requests that end an ambiguity: their kinds and the turn of each, without a bus."""

from drivers.modbus.duplicate_filter import DuplicateFilter
from drivers.modbus.stale_reply.guard import StaleReplyGuard
from drivers.modbus.transaction import Transaction
from drivers.modbus.unit_health import UnitHealth
from drivers.modbus.wire_time import WireTime
from protocols.modbus import pdu
from protocols.time_units import SECOND
from tests.portable.support.check import eq

READ4 = bytes((3, 0, 0, 0, 4))
READ2 = bytes((3, 0, 0, 0, 2))
READ1 = bytes((3, 0, 0, 0, 1))
WRITE = bytes((6, 0, 1, 0, 1))
NOW = 100 * SECOND


def request(pdu=READ4, tag="t"):
    return Transaction(7, pdu, tag, 0, 0, UnitHealth(20_000, 200_000))


def parts():
    return StaleReplyGuard(100_000), DuplicateFilter(WireTime(9600, 10), 50_000)


def number_of(request):
    """Return the number of a function 8; it begins with the time."""
    return request[3] << 8 | request[4]


def test_requests_that_prove_the_order():
    guard, duplicates = parts()
    poll = request()
    eq(guard.proof_request(poll, NOW, duplicates, True), None)
    guard.expect_late(7, READ1, NOW)
    eq(guard.proof_request(poll, NOW + 99_999, duplicates, True), None)
    later = NOW + 100_000
    found = [guard.proof_request(poll, later, duplicates, True) for _ in range(6)]
    first = number_of(found[1])
    echoes = [pdu.diagnostics_echo(first + more) for more in (0, 1)]
    other, longer = bytes((4, 0, 0, 0, 1)), bytes((3, 0, 0, 0, 5))
    eq(found, [READ2, echoes[0], other, longer, echoes[1], bytes((1, 0, 0, 0, 1))])
    guard, duplicates = parts()
    guard.expect_late(7, READ1, NOW)
    duplicates.expect(b"\x07\x03\x04", later + 1, later)
    eq(guard.proof_request(poll, later, duplicates, False), bytes((3, 0, 0, 0, 3)))
    eq(guard.proof_request(request(READ2), later, duplicates, False), other)
    guard, duplicates = parts()
    guard.expect_late(7, WRITE, NOW)
    eq(guard.proof_request(request(WRITE), later, duplicates, False), None)
    guard, duplicates = parts()
    guard.expect_late(7, READ1, NOW)
    found = guard.proof_request(request(WRITE), later, duplicates, True)
    eq(found, pdu.diagnostics_echo(number_of(found)))


def proofs_in_vain(poll, diagnostics):
    """Return the requests that are sent to a unit which answers its polls, but none of these."""
    guard, duplicates = parts()
    now, found = NOW, []
    for _ in range(7):
        now += SECOND
        guard.expect_late(7, poll, now)
        now += SECOND
        found.append(guard.proof_request(request(poll), now, duplicates, diagnostics))
        guard.expect_late(7, found[-1], now)
        guard.units[7].requests.pop()  # as if enough replies to polls had come
    return [(pdu[0], pdu[3] << 8 | pdu[4] if pdu[0] < 5 else 0) for pdu in found]


def test_the_kinds_take_turns():
    """A unit can ignore or refuse some of them: each of the others comes within four requests."""
    for poll, found in (
        (READ1, [(8, 0), (4, 1), (3, 2), (8, 0), (1, 1), (3, 2), (8, 0)]),
        (READ2, [(3, 1), (8, 0), (4, 1), (3, 3), (3, 1), (8, 0), (1, 1)]),
        (bytes((1, 0, 9, 0, 8)), [(8, 0), (3, 1), (1, 16), (8, 0), (4, 1), (1, 16), (8, 0)]),
        (bytes((1, 0, 9, 0, 12)), [(1, 8), (8, 0), (3, 1), (1, 20), (1, 8), (8, 0), (4, 1)]),
        (  # there is no longer one
            bytes((3, 0, 0, 0, 125)),
            [(3, 1), (8, 0), (4, 1), (3, 1), (8, 0), (1, 1), (3, 1)],
        ),
    ):
        eq((poll, proofs_in_vain(poll, True)), (poll, found))
        without = [kind for kind in found if kind[0] != 8]
        eq((poll, proofs_in_vain(poll, False)[: len(without)]), (poll, without))


def proofs_in_order(guard, duplicates, poll, times):
    """Return the requests that are sent, none of which is answered."""
    found, now = [], NOW
    for _ in range(times):
        now += SECOND
        sent = guard.proof_request(request(poll), now, duplicates, False)
        if sent is not None:
            guard.expect_late(7, sent, now, request(sent, tag=None))
        found.append(sent)
    return found


def test_one_read_in_vain_of_each_kind_is_open():
    guard, duplicates = parts()
    guard.expect_late(7, READ1, NOW)
    found = proofs_in_order(guard, duplicates, READ1, 3)
    eq(found, [bytes((4, 0, 0, 0, 1)), bytes((3, 0, 0, 0, 2)), None])


def test_the_polls_take_turns():
    """A unit can refuse or ignore what is no part of one of its polls."""
    guard, duplicates = parts()
    guard.expect_late(7, READ1, NOW)
    inputs = bytes((4, 0, 9, 0, 3))
    guard.expect_late(7, inputs, NOW, request(inputs))
    guard.expect_foreign(7, bytes((2, 0, 0, 0, 99)), NOW)
    found = proofs_in_order(guard, duplicates, READ1, 8)
    parts_of = [bytes((4, 0, 9, 0, count)) for count in (1, 2)]
    longer = [bytes((4, 0, 9, 0, 4)), bytes((3, 0, 0, 0, 2))]
    eq([sent for sent in found if sent in parts_of + longer], parts_of[:1] + longer + parts_of[1:])


def test_a_longer_read_is_longer_than_all_open_ones():
    """A unit that refuses shorter reads can refuse those that are shorter than another block."""
    guard, duplicates = parts()
    for poll in (READ1, READ4, READ2):
        guard.expect_late(7, poll, NOW)
    found = [guard.proof_request(request(READ1), NOW + SECOND, duplicates, False) for _ in "12"]
    eq(found[1], bytes((4, 0, 0, 0, 1)))
    found = guard.proof_request(request(READ1), NOW + SECOND, duplicates, False)
    eq(found, bytes((3, 0, 0, 0, 5)))


def test_a_refused_function_8_is_sent_again_when_none_is_open():
    """An exception to it can be the one to an older one, for ever if each follows the other."""
    guard, duplicates = parts()
    guard.expect_late(7, READ1, NOW)
    guard.expect_late(7, pdu.diagnostics_echo(1), NOW)
    guard.expect_late(7, pdu.diagnostics_echo(2), NOW)
    guard.expect_late(7, READ1, NOW)
    for functions in ([4, 3, 1], [3, 8, 2]):
        guard.frame_seen(b"\x07\x88\x01\0\0", NOW + SECOND, NOW + SECOND)
        found = [guard.proof_request(request(READ1), NOW + SECOND, duplicates, True) for _ in "123"]
        eq([sent[0] for sent in found], functions)
