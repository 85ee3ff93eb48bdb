# SPDX-License-Identifier: Apache-2.0
"""Requests that are held back, put first, or made by the bus: pairs, flash writes, probes."""

from drivers.modbus.bus_state import CLOSED, IDLE, WAIT_REPLY
from drivers.modbus.request_queue import RequestQueue
from drivers.modbus.transaction import POLL, STOP, WRITE, Transaction
from drivers.modbus.unit_health import UnitHealth
from protocols.modbus.crc import with_crc
from protocols.time_units import MILLISECOND, NEVER, SECOND
from tests.portable.drivers.modbus.bus_rig import (
    GAP,
    OTHER,
    READ,
    REPLY,
    TIMEOUT,
    make_bus,
    only_result,
    run_until_write,
    wake_once,
)
from tests.portable.support.check import eq

SET, SET_AGAIN, SET_OTHER = (
    bytes((6, 0, 20, 0, 1)),
    bytes((6, 0, 20, 0, 2)),
    bytes((6, 0, 30, 0, 1)),
)


def frame(pdu, unit=5):
    return with_crc(bytes((unit,)) + pdu)


def reply(bus, now, pdu=REPLY):
    """Reply to the request on the wire at `now`; return the time of the last byte."""
    bus.receive(pdu, now)
    return now


def statuses(bus):
    return [(result.tag, result.status) for result in bus.take_results()]


def item(name, pdu, priority=WRITE):
    return Transaction(5, pdu, name, priority, 0, UnitHealth(1, TIMEOUT))


def tags(transactions):
    return [transaction.tag for transaction in transactions]


# A pair: the controller that is not active keeps its writes.


def test_held_writes_wait_and_polls_go_on():
    bus = make_bus()
    bus.submit(5, SET, "set", WRITE)
    bus.hold_writes(True, 0)
    bus.submit(5, READ, "read")
    bus.submit(5, SET_OTHER, "other", WRITE)
    eq(run_until_write(bus)[1], frame(READ))
    reply(bus, 30_000)
    eq((statuses(bus), bus.pending_count), ([("read", "ok")], 0))
    bus.wake(40_000)
    eq((bus.outbox(), bus.deadline()), ([], NEVER))
    bus.hold_writes(False, 50_000)
    eq(bus.deadline(), 50_000)
    eq((run_until_write(bus), bus.pending_count), ((50_000, frame(SET)), 2))
    reply(bus, 60_000, frame(SET))
    eq(run_until_write(bus)[1], frame(SET_OTHER))


def test_a_release_without_a_write_or_on_a_closed_port_wakes_nothing():
    bus = make_bus()
    bus.hold_writes(True, 0)
    bus.hold_writes(False, 10_000)
    eq(bus.deadline(), NEVER)
    bus.hold_writes(False, 20_000)  # it is not held
    eq(bus.deadline(), NEVER)
    bus.hold_writes(True, 20_000)
    bus.submit(5, SET, "set", WRITE)
    bus.event("closed", 30_000)
    eq(statuses(bus), [("set", "lost")])
    bus.hold_writes(False, 40_000)
    eq((bus.deadline(), bus.pending_count), (NEVER, 0))


def test_a_release_does_not_delay_what_is_due():
    bus = make_bus()
    bus.submit(5, READ, "read")
    due = bus.deadline()
    bus.hold_writes(True, 0)
    bus.submit(5, SET, "set", WRITE)
    bus.hold_writes(False, due + 5_000)
    eq(bus.deadline(), due)


def test_held_writes_keep_their_order_and_supersede_each_other():
    queue = RequestQueue()
    eq(queue.add_urgent(item("set", SET)), [])
    eq(queue.hold_urgent(True), False)
    eq((tags(queue.urgent), queue.hold_urgent(True)), ([], False))  # twice is once
    eq(tags(queue.add_urgent(item("again", SET_AGAIN))), ["set"])
    queue.add_urgent(item("other", SET_OTHER))
    queue.add_urgent(item("stop", bytes((6, 0, 40, 0, 0)), STOP))
    eq(queue.requeue(item("late", SET), False), False)  # a newer write of these registers waits
    eq(queue.requeue(item("third", bytes((6, 0, 50, 0, 1))), True), True)
    eq(tags(queue.urgent), [])
    eq(queue.hold_urgent(False), True)
    eq(tags(queue.urgent), ["stop", "third", "again", "other"])
    eq(queue.hold_urgent(False), False)


def test_all_requests_end_with_the_port_also_those_that_are_held():
    queue = RequestQueue()
    queue.hold_urgent(True)
    queue.add_urgent(item("held", SET))
    queue.requeue(item("poll", READ, POLL), False)
    eq(tags(queue.take_all()), ["held", "poll"])
    eq(queue.take_all(), [])
    eq(queue.hold_urgent(False), False)
    queue.add_urgent(item("set", SET))
    queue.requeue(item("poll", READ, POLL), True)
    queue.requeue(item("first", OTHER, POLL), True)
    queue.requeue(item("last", OTHER, POLL), False)
    eq(tags(queue.take_all()), ["set", "first", "poll", "last"])
    eq((queue.urgent, queue.polls), ([], []))


def test_a_write_that_is_sent_again_keeps_its_place_by_priority():
    queue = RequestQueue()
    queue.add_urgent(item("set", SET))
    queue.add_urgent(item("stop", bytes((6, 0, 40, 0, 0)), STOP))
    queue.requeue(item("front", SET_OTHER), True)
    queue.requeue(item("back", bytes((6, 0, 50, 0, 1))), False)
    eq(tags(queue.urgent), ["stop", "front", "set", "back"])
    eq(tags(queue.take_polls(5)), [])
    queue.requeue(item("mine", READ, POLL), False)
    other = Transaction(6, READ, "theirs", POLL, 0, UnitHealth(1, TIMEOUT))
    queue.requeue(other, False)
    eq((tags(queue.take_polls(5)), tags(queue.polls)), (["mine"], ["theirs"]))


# Polls wait while a flash memory is erased.


def test_held_polls_wait_and_writes_go_on():
    bus = make_bus()
    bus.submit(5, READ, "read")
    bus.hold_polls(80_000)
    bus.submit(5, SET, "set", WRITE)
    now, sent = run_until_write(bus)
    eq((now, sent), (GAP, frame(SET)))
    bus = make_bus()
    bus.submit(5, READ, "read")
    bus.hold_polls(80_000)
    eq(run_until_write(bus), (80_000, frame(READ)))
    bus = make_bus()
    bus.hold_polls(GAP - 1)  # the line is not idle before
    bus.submit(5, READ, "read")
    eq(bus.deadline(), GAP)
    bus.event("closed", 10_000)
    bus.hold_polls(SECOND)
    bus.event("opened", 20_000)
    bus.submit(5, READ, "read")
    eq(bus.deadline(), 20_000 + GAP)


def test_a_byte_ends_the_wait_of_the_polls():
    bus = make_bus()
    bus.submit(5, READ, "read")
    bus.hold_polls(SECOND)
    bus.receive(b"\x00", 40_000)
    eq(run_until_write(bus), (40_000 + GAP, frame(READ)))


def test_a_line_is_at_rest_between_requests():
    bus = make_bus()
    eq([bus.is_at_rest(now) for now in (GAP - 1, GAP)], [False, True])
    bus.submit(5, READ, "read")
    eq(bus.is_at_rest(GAP), True)  # a poll can wait
    bus.submit(5, SET, "set", WRITE)
    eq(bus.is_at_rest(GAP), False)
    run_until_write(bus)
    eq((bus.state, bus.is_at_rest(50_000)), (WAIT_REPLY, False))
    reply(bus, 50_000, frame(SET))
    eq([bus.is_at_rest(now) for now in (50_000 + GAP - 1, 50_000 + GAP)], [False, True])
    run_until_write(bus)
    eq(bus.is_at_rest(SECOND), False)
    bus.event("closed", 60_000)
    eq((bus.state, bus.is_at_rest(0)), (CLOSED, True))


# The pair reads the block of the other controller first.


def test_a_first_request_goes_before_polls_and_writes():
    for priority, pdu in ((POLL, OTHER), (WRITE, SET)):
        bus = make_bus()
        bus.submit(5, pdu, "own", priority)
        bus.submit_first(5, READ)
        eq((run_until_write(bus), bus.pending_count), ((GAP, frame(READ)), 2))
        reply(bus, 30_000)
        eq((statuses(bus), run_until_write(bus)[1]), ([], frame(pdu)))  # it has no result


def test_a_first_request_wakes_an_idle_bus():
    bus = make_bus()
    bus.submit_first(5, READ)
    eq((bus.deadline(), bus.pending_count), (GAP, 1))
    eq(run_until_write(bus), (GAP, frame(READ)))
    deadline = bus.deadline()
    bus.submit_first(5, OTHER)  # a request is on the wire: its deadline stays
    eq((bus.state, bus.deadline(), bus.pending_count), (WAIT_REPLY, deadline, 2))
    bus.event("failed", 30_000)
    bus.submit_first(5, READ)
    eq((bus.deadline(), bus.pending_count, bus.take_results()), (NEVER, 0, []))


def test_the_listener_is_called_after_each_timeout_before_the_next_request():
    bus, calls = make_bus(), []

    def put_first():
        calls.append(bus.state)
        bus.submit_first(7, OTHER)

    bus.set_timeout_listener(put_first)
    bus.submit(5, READ, "read", retries=1)
    sent = [run_until_write(bus)[1] for _ in range(2)]
    eq((sent, len(calls)), ([frame(READ), frame(OTHER, 7)], 1))
    reply(bus, bus.deadline() - 1, with_crc(b"\x07\x03\x04\x00\x01\x00\x02"))
    eq((run_until_write(bus)[1], len(calls), bus.take_results()), (frame(READ), 1, []))


def test_the_longest_wait_for_a_unit():
    bus = make_bus()
    bus.limit_timeout(5, 7_000)
    bus.submit(5, READ, "read", retries=0)
    start = run_until_write(bus)[0]
    eq(bus.unit_health(5) is bus.unit_health(5), True)
    assert bus.deadline() < start + 30_000, bus.deadline() - start
    wake_once(bus)
    eq(statuses(bus), [("read", "timeout")])


# Probes of units that do not answer.


def lose_unit(bus, unit=5):
    """Let polls of the unit time out until it is offline; return the time."""
    now = 0
    for _ in range(10):
        if not bus.submit(unit, READ, "read", retries=0):
            return now
        run_until_write(bus)
        now = bus.deadline()
        bus.wake(now)
        bus.take_results()
        bus.outbox()
    raise AssertionError("the unit is still online")


def test_an_offline_unit_is_probed_and_answers():
    bus = make_bus()
    lost_at = lose_unit(bus)
    eq((bus.offline_units, bus.skipped_polls, bus.probes), (1, 1, 0))
    now, sent = run_until_write(bus)
    eq((sent, bus.probes, now > lost_at), (frame(READ), 1, True))
    reply(bus, now + 10_000)
    eq((bus.take_results(), bus.offline_units), ([], 0))  # it can be a late one: once more
    proof_at, sent = run_until_write(bus)
    eq(sent[:2], b"\x05\x08")  # no late reply looks like its reply
    reply(bus, proof_at + 10_000, sent)
    again, sent = run_until_write(bus)
    eq(sent, frame(READ))
    reply(bus, again + 10_000)
    result = only_result(bus)
    eq((result.tag, result.status, result.values), ("read", "ok", (1, 2)))
    eq(bus.offline_units, 0)


def test_a_probe_that_would_delay_the_next_cycle_waits():
    bus = make_bus()
    lose_unit(bus)
    due = bus.deadline()
    for _ in range(3):  # the time after the flush, then that of the probe
        bus.wake(due)
        if bus.outbox():
            break
        due = bus.deadline()
    for offset, delay in ((-1, 0), (0, 1), (20_000, 1)):
        bus = make_bus()
        lose_unit(bus)
        cycle_at = due + offset
        bus.expect_cycle(cycle_at)
        want = cycle_at + MILLISECOND if delay else due
        eq((offset, run_until_write(bus)[0]), (offset, want))


def test_a_probe_goes_out_although_the_line_is_never_free():
    """A poll of another unit always waits: the probe comes 7 s after it is due."""
    body = b"\x06" + REPLY[1:-2]
    for framing in ("rtu", "tcp"):
        bus = make_bus(framing)
        now = lost_at = lose_unit(bus)
        bus.submit(6, READ, "first")
        while not bus.probes and now < lost_at + 10 * SECOND:
            sent = [data for _, _, data in bus.outbox()]
            if not sent:
                now, sent = wake_once(bus)
            if sent and not bus.probes:
                bus.submit(6, READ, "next")
                now += 20_000
                header = sent[0][:4] + bytes((0, len(body)))
                bus.receive(header + body if framing == "tcp" else with_crc(body), now)
                eq(only_result(bus).status, "ok")
        eq((framing, bus.probes), (framing, 1))
        assert 7 * SECOND < now - lost_at < 8 * SECOND, (framing, now - lost_at)


def test_a_limit_of_the_wait_forgets_that_the_unit_is_offline():
    bus = make_bus()
    lose_unit(bus)
    bus.limit_timeout(5, 50_000)
    eq((bus.offline_units, bus.submit(5, READ, "read")), (0, True))
    bus.limit_timeout(6, 50_000)  # one that was never offline
    eq(bus.offline_units, 0)
    bus = make_bus()
    lose_unit(bus)
    bus.reset_health()
    eq((bus.offline_units, bus.submit(5, READ, "read"), bus.state != IDLE), (0, True, True))


def test_a_unit_that_stays_busy_ends_with_its_code():
    for code in (5, 6):
        bus = make_bus()
        bus.submit(5, READ, "read", retries=0)
        for _ in range(20):
            now = run_until_write(bus)[0]
            bus.receive(with_crc(bytes((5, 0x83, code))), now + 5_000)
            results = bus.take_results()
            if results:
                break
        eq([(result.status, result.code) for result in results], [("busy", code)])
        bus.submit_first(5, READ)  # a request of the bus itself is not repeated
        now = run_until_write(bus)[0]
        bus.receive(with_crc(bytes((5, 0x83, code))), now + 5_000)
        eq((bus.take_results(), bus.pending_count), ([], 0))


def test_a_silent_network_is_closed_with_its_reason():
    bus = make_bus("tcp")
    for unit in range(1, 13):
        bus.submit(unit, READ, unit, retries=0)
    for _ in range(20):
        bus.wake(bus.deadline())
        if "close" in [action for _, action, _ in bus.outbox()]:
            break
    eq(bus.state, CLOSED)
    found = [(result.status, result.reason) for result in bus.take_results()]
    eq((found[0], found[-1]), (("timeout", ""), ("lost", "stream silent")))
