# SPDX-License-Identifier: Apache-2.0
"""Ticks: period, alignment, slot, cycles, and the counters of late ticks."""

from agent.core.tick_scheduler import LATENESS_EDGES, TickScheduler
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.check import eq

PERIOD = 100 * MILLISECOND


def test_without_utc_the_ticks_keep_their_period():
    ticks = TickScheduler(PERIOD, 0, 10)
    ticks.start(123_456)
    for i in range(50):
        eq(ticks.due, 123_456 + i * PERIOD)
        ticks.run(ticks.due, None)
    eq(ticks.count, 50)
    eq(ticks.missed, 0)


def test_ticks_align_to_utc_without_a_step():
    ticks = TickScheduler(PERIOD, 0, 10)
    ticks.start(0)
    offset = 1_795_500_000 * SECOND + 37_000
    for _ in range(60):
        before = ticks.due
        ticks.run(before, offset)
        assert abs(ticks.due - before - PERIOD) <= PERIOD // 100
    eq((ticks.due + offset) % PERIOD, 0)


def test_phase_moves_in_the_shorter_direction():
    ticks = TickScheduler(PERIOD, 0, 10)
    ticks.start(0)
    for _ in range(30):
        ticks.run(ticks.due, 90_000)
    eq((ticks.due + 90_000) % PERIOD, 0)
    assert ticks.due > 30 * PERIOD


def test_a_slot_shifts_the_unit_within_the_second():
    ticks = TickScheduler(PERIOD, 20 * MILLISECOND, 10)
    ticks.start(0)
    for _ in range(60):
        ticks.run(ticks.due, 5 * SECOND)
    eq((ticks.due + 5 * SECOND) % PERIOD, 20 * MILLISECOND)


def test_cycles_begin_on_whole_seconds_of_utc():
    ticks = TickScheduler(PERIOD, 0, 10)
    ticks.start(0)
    starts = []
    for _ in range(200):
        due = ticks.due
        ticks.run(due, 40_000)
        if ticks.cycle_starts:
            starts.append(due)
    for start in starts[-5:]:
        eq((start + 40_000) % SECOND, 0)
    eq([b - a for a, b in zip(starts[-5:], starts[-4:])], [SECOND] * 4)


def test_cycles_continue_while_the_phase_moves():
    for offset in range(-500_000, 500_000, 50_000):
        ticks = TickScheduler(PERIOD, 0, 10)
        ticks.start(0)
        since = 0
        for i in range(150):
            ticks.run(ticks.due, None if i < 25 else offset)
            since = 0 if ticks.cycle_starts else since + 1
            assert since <= 19
        eq(ticks.cycle_index, since)


def test_missed_ticks_are_counted_and_skipped():
    ticks = TickScheduler(PERIOD, 0, 10)
    ticks.start(0)
    ticks.run(0, None)
    ticks.run(PERIOD + 350 * MILLISECOND, None)
    eq(ticks.missed, 3)
    eq(ticks.due, 5 * PERIOD)
    eq(ticks.count, 2)


def test_tick_late_by_a_period_is_missed():
    for late, missed in ((99, 0), (100, 1), (199, 1), (200, 2)):
        ticks = TickScheduler(PERIOD, 0, 10)
        ticks.start(0)
        ticks.run(late * MILLISECOND, None)
        eq(ticks.missed, missed)


def test_lateness_is_kept_as_a_histogram():
    ticks = TickScheduler(PERIOD, 0, 10)
    ticks.start(0)
    for late in (0, 100, 101, 60_000):
        ticks.run(ticks.due + late, None)
    eq(sum(ticks.lateness), 4)
    eq(ticks.lateness[0], 2)
    eq(ticks.lateness[1], 1)
    eq(ticks.lateness[len(LATENESS_EDGES)], 1)
    eq(ticks.max_late_us, 60_000)
