# SPDX-License-Identifier: Apache-2.0
"""When a board may write its flash, in virtual time: ticks, requests, bursts of a receiver."""

from agent.port_numbers import FIRST_BUS, RECEIVER
from agent.runtime.board.flash_gap import FlashGap
from protocols.time_units import MILLISECOND as MS
from protocols.time_units import NEVER
from tests.portable.drivers.modbus.bus_rig import GAP, READ, REPLY, make_bus, run_until_write
from tests.portable.support.check import eq

ERASE = 50 * MS


class GapTicks:
    due = 100 * MS
    period = 100 * MS


class GapClock:
    offset = None


class GapAgent:
    """The parts of an agent that a gap depends on."""

    def __init__(self, buses=()):
        self.ticks, self.clock, self.fieldbus = GapTicks(), GapClock(), self
        self.buses = buses
        self.listener = None

    def add_port_listener(self, listener):
        self.listener = listener


def first_gap(gap, start, need=ERASE, end=3_000 * MS, row=None):
    """Return the time of the first open gap, asked for each ms; ticks come each 100 ms."""
    for now in range(start, end, MS):
        if row is not None and now >= row.ticks.due:
            row.ticks.due += 100 * MS
        if gap.is_open(now, need):
            return now
    return None


def test_a_slice_ends_before_the_next_tick():
    row = GapAgent()
    gap = FlashGap(row)
    eq(gap.is_open(50 * MS, ERASE), True)
    eq(gap.is_open(51 * MS, ERASE), False)
    eq(first_gap(gap, 52 * MS, ERASE, row=row), 100 * MS)
    eq(gap.is_open(196 * MS, 4 * MS), True)  # a page
    eq(gap.is_open(197 * MS, 4 * MS), False)


def test_no_slice_over_the_pulse_of_a_second():
    row = GapAgent()
    row.ticks.due, row.clock.offset = 1_000 * MS, 40 * MS
    gap = FlashGap(row)
    eq(gap.is_open(909 * MS, ERASE), True)
    gap = FlashGap(row)
    eq(gap.is_open(911 * MS, ERASE), False)


def test_polls_wait_for_the_slice_and_the_slice_for_the_reply():
    bus = make_bus()
    row = GapAgent([bus])
    gap = FlashGap(row)
    bus.submit(5, READ, 1)
    bus.submit(5, READ, 2)
    run_until_write(bus)
    eq(gap.is_open(10 * MS, ERASE), False)
    bus.receive(REPLY, 30 * MS)
    eq(gap.is_open(30 * MS, ERASE), False)  # 3.5 characters of silence
    bus.wake(30 * MS + GAP)
    eq(bus.outbox(), [])  # the second poll waits
    eq(gap.is_open(30 * MS + GAP, ERASE), True)
    assert run_until_write(bus)[0] < 45 * MS


def test_a_write_goes_out_while_polls_wait():
    bus = make_bus()
    gap = FlashGap(GapAgent([bus]))
    bus.submit(5, READ, 1)
    eq(gap.is_open(60 * MS, ERASE), False)
    bus.submit(5, b"\x06\0\1\0\2", 2, 1)
    eq(gap.is_open(40 * MS, ERASE), False)  # it waits on the queue
    bus.wake(61 * MS)
    eq(len(bus.outbox()), 1)


def test_polls_are_free_after_a_while():
    """A receiver that is never silent must not stop the polls."""
    bus = make_bus()
    row = GapAgent([bus])
    gap = FlashGap(row)
    sent, asked = 0, 0
    for now in range(10 * MS, 2_010 * MS, MS):
        row.listener.on_receive(RECEIVER, b"$", now)
        if now >= row.ticks.due:
            row.ticks.due += 100 * MS
        eq(gap.is_open(now, ERASE), False)
        if now % (50 * MS) == 0 and not bus.pending_count:
            bus.submit(5, READ, asked)
            asked += 1
        if now >= bus.deadline():
            bus.wake(now)
        if bus.outbox():
            sent += 1
            bus.receive(REPLY, now)
    assert sent >= 16, sent
    eq(gap.is_open(2_010 * MS, ERASE), True)  # the receiver no longer matters


def test_a_slice_that_has_waited_long_still_ends_before_the_tick():
    bus = make_bus()
    row = GapAgent([bus])
    gap = FlashGap(row)
    for now in range(10 * MS, 2_060 * MS, MS):
        row.listener.on_receive(RECEIVER, b"$", now)
        if now >= row.ticks.due:
            row.ticks.due += 100 * MS
        is_open = gap.is_open(now, ERASE)
        eq(is_open and row.ticks.due - now < ERASE, False)
    gap = FlashGap(row)
    row.ticks.due = 0
    opened = []
    for now in range(0, 5_000 * MS, MS):
        row.ticks.due = now + 40 * MS  # no time for it at all
        if gap.is_open(now, ERASE):
            opened.append(now // MS)
            break
    eq(opened, [4_000])


def test_a_slice_without_an_erase_needs_only_time():
    bus = make_bus()
    row = GapAgent([bus])
    gap = FlashGap(row)
    bus.submit(5, READ, 1)
    run_until_write(bus)
    row.listener.on_receive(RECEIVER, b"$", 20 * MS)
    eq(gap.is_open(30 * MS, 35 * MS), True)
    eq(gap.is_open(70 * MS, 35 * MS), False)
    row.ticks.period, row.ticks.due = 20 * MS, 80 * MS
    eq(gap.is_open(70 * MS, 35 * MS), True)  # no gap of such a unit has 35 ms
    eq(gap.is_open(71 * MS, 35 * MS), False)


def test_a_slice_waits_for_the_burst_of_the_receiver():
    row = GapAgent()
    gap = FlashGap(row)
    for second in (0, 1_000, 2_000):
        for at in range(150, 230, 10):
            row.listener.on_receive(RECEIVER, b"$", (second + at) * MS)
    row.listener.on_receive(FIRST_BUS, b"x", 2_230 * MS)
    row.ticks.due = 2_300 * MS
    eq(first_gap(gap, 2_221 * MS, ERASE, row=row), 2_240 * MS)  # silent for 20 ms
    row.ticks.due = NEVER
    eq(gap.is_open(3_080 * MS, ERASE), True)
    eq(gap.is_open(3_091 * MS, ERASE), False)  # the next burst is due at 3150, 10 ms of jitter
    eq(first_gap(gap, 3_092 * MS, ERASE, 4_000 * MS), 3_160 * MS)  # it did not come


def test_records_are_written_when_the_agent_has_stopped():
    """No tick runs at the end of the loop; a restart must not wait for a gap."""
    gap = FlashGap(GapAgent())
    eq([gap.is_open(290 * MS, ERASE), gap.is_open(290 * MS, 4 * MS)], [False, False])
    eq([gap.is_open(301 * MS, ERASE), gap.is_open(301 * MS, 4 * MS)], [True, True])
