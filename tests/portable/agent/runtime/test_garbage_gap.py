# SPDX-License-Identifier: Apache-2.0
"""When a board collects garbage, in virtual time: a model of the memory of an RP2040."""

from agent.runtime.board.garbage_gap import HOLD, IF_IDLE, NOT, NOW, GarbageGap
from protocols.time_units import MILLISECOND as MS
from tests.portable.support.check import eq

TICK = 100 * MS
TOOK, WALK = 17 * MS, 7 * MS
"""Times of a collection, and of the count of the free bytes after it."""
FREE = 90_000
"""Free bytes after a collection (standard unit, RP2040)."""


class Memory:
    """The time and the heap of a board: work allocates, `collect` takes its time."""

    def __init__(self, free=FREE, bytes_per_ms=830):
        self.now, self.free, self._most = 0, free, free
        self._bytes_per_ms = bytes_per_ms
        self.due = self.period = TICK  # as the schedule of ticks
        self.collections = []
        self.late = 0
        self.gap = GarbageGap(self.collect, self.count_free, self)

    def clock(self):
        return self.now

    def count_free(self):
        self.now += WALK
        return self.free

    def collect(self):
        self.collections.append(self.now)
        self.now += TOOK
        self.free = self._most

    def work(self, milliseconds):
        """Work; an allocation without memory collects, whenever that is."""
        for _ in range(milliseconds):
            self.free -= self._bytes_per_ms
            self.now += MS
            if self.free < 0:
                self.collect()

    def tick_if_due(self, milliseconds=10):
        if self.now >= self.due:
            self.late = max(self.late, self.now - self.due)
            self.due += TICK
            self.work(milliseconds)

    def wait(self, deadline, is_ready):
        """Wait as the poller does."""
        due = self.gap.due(self.now, deadline)
        if due == NOW or (due == IF_IDLE and not is_ready):
            self.gap.collect(self.clock)
        if not is_ready and deadline > self.now:
            self.gap.waited(deadline - self.now)
            self.now = deadline


def test_no_collection_is_in_front_of_a_tick_while_bytes_always_wait():
    for step in (1, 2, 3, 5, 7, 9):
        board = Memory()
        while board.now < 3_000 * MS:
            board.tick_if_due()
            board.wait(board.due, True)
            board.work(step)
        assert board.late <= step * MS, (step, board.late)
        assert len(board.collections) >= 20, board.collections


def test_an_idle_board_collects_in_its_waits():
    board = Memory()
    while board.now < 3_000 * MS:
        board.tick_if_due()
        board.wait(board.due, False)
    eq(board.late, 0)
    assert 10 <= len(board.collections) <= 30, board.collections


def test_less_memory_means_more_collections_not_late_ticks():
    for free in (70_000, 60_000, 50_000, 45_000):
        for step in (1, 2, 3, 5):
            board = Memory(free=free)
            while board.now < 3_000 * MS:
                board.tick_if_due()
                board.wait(board.due, True)
                board.work(step)
            assert board.late <= step * MS, (free, step, board.late)


def test_no_collection_without_work_or_room():
    board = Memory()
    gap = board.gap
    gap.collect(board.clock)
    begun = board.now
    eq(gap.due(begun + 9 * MS, begun + 500 * MS), NOT)  # little work
    board.due = begun + 220 * MS
    eq(gap.due(begun + 110 * MS, begun + 111 * MS), NOW)  # long work, whatever waits
    gap.waited(90 * MS)
    eq(gap.due(begun + 110 * MS, begun + 111 * MS), NOT)  # a short wait
    eq(gap.due(begun + 110 * MS, begun + 220 * MS), IF_IDLE)
    board.due = begun + 130 * MS
    eq(gap.due(begun + 110 * MS, begun + 220 * MS), NOT)  # the tick is near


class CountingBoard(Memory):
    """A board that counts the allocated bytes, with three ports that always have data."""

    def __init__(self, free, bytes_per_ms):
        Memory.__init__(self, free, bytes_per_ms)
        self.forced = 0
        self.gap = GarbageGap(self.collect, self.count_free, self, lambda: self._most - self.free)

    def work(self, milliseconds):
        for _ in range(milliseconds):
            if self.free < self._bytes_per_ms:
                self.forced += 1
                self.collect()
            self.free -= self._bytes_per_ms
            self.now += MS

    def step(self, port_ms):
        """A step of the I/O loop: the poller, the ports, the tick."""
        due = self.gap.due(self.now, self.now)
        if due == NOW:
            self.gap.collect(self.clock)
        elif due == HOLD:
            self.now = self.due
        else:
            for _ in range(3):
                self.work(port_ms)
                if self.now >= self.due or self.gap.due(self.now, self.now) != NOT:
                    break
        self.tick_if_due(20)


def test_no_allocation_collects_on_a_board_whose_ports_always_have_data():
    """A line to the broker opens while receiver and field bus send: 35 ms of work in a step."""
    for free in (70_000, 56_000, 45_000):
        for port_ms in (6, 9, 12):
            for rate in (400, 700, 1_000):
                board = CountingBoard(free, rate)
                while board.now < 3_000 * MS:
                    board.step(port_ms)
                assert board.forced == 0, (free, port_ms, rate, board.forced)
                assert board.late <= port_ms * MS, (free, port_ms, rate, board.late)


def test_ports_wait_for_the_tick_if_the_memory_does_not_last_and_a_collection_is_too_long():
    board = CountingBoard(60_000, 1)
    gap = board.gap
    gap.collect(board.clock)
    board.due = board.now + 20 * MS
    board.free = 35_000
    eq(gap.due(board.now, board.due), HOLD)
    board.free = 45_000
    eq(gap.due(board.now, board.due), NOT)
    board.free, board.now = 10_000, board.due
    eq(gap.due(board.now, board.due), NOT)  # the tick is next


def test_without_a_schedule_each_deadline_is_a_tick():
    board = Memory()
    gap = GarbageGap(board.collect, lambda: FREE)
    eq(gap.due(200 * MS, 210 * MS), NOT)
    eq(gap.due(200 * MS, 240 * MS), NOW)


def test_the_count_of_the_free_bytes_belongs_to_the_collection():
    """A collection of 24 ms in the 23 ms before a tick would delay it."""
    board = Memory()
    board.gap.collect(board.clock)
    board.now += 120 * MS
    for rest, expected in ((TOOK + WALK - MS, HOLD), (2 * (TOOK + WALK), NOW)):
        board.due = board.now + rest
        eq(board.gap.due(board.now, board.due), expected)
