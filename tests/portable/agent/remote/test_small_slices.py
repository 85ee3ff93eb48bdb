# SPDX-License-Identifier: Apache-2.0
"""Messages on a board: small slices between two ticks give the same result, and none in a tick."""

from agent.remote.message_queue import LONG_SLICE_US, MessageQueue
from agent.remote.report import BOARD_SLICE_US, next_slice
from protocols.time_units import MILLISECOND
from tests.portable.agent.remote.test_power_cut import (
    SETPOINT,
    make_command,
    make_patch,
    start_rig,
)
from tests.portable.support.check import eq


def test_a_change_is_accepted_in_small_slices_between_ticks():
    rig = start_rig()
    rig.manager.boot.use_small_slices()
    rooms, whole = [], MessageQueue._check_slice

    def check_slice(self, verification, now):
        rooms.append(rig.agent.ticks.due - now)
        whole(self, verification, now)

    MessageQueue._check_slice = check_slice
    try:
        rig.send(make_patch(rig, [(SETPOINT, 33)]))
        rig.run(60)
    finally:
        MessageQueue._check_slice = whole
    eq((rig.manager.accepted_count, rig.manager.rejections.count), (1, 0))
    assert len(rooms) > 500, len(rooms)
    assert min(rooms) >= BOARD_SLICE_US, min(rooms)


class SliceHost:
    """A board whose next tick is due at 100 ms."""

    small_slices = True

    def __init__(self):
        self.agent = self.boot = self.ticks = self
        self.due = 100 * MILLISECOND


def test_no_slice_begins_before_an_overdue_tick():
    host = SliceHost()
    for now_ms, begin_ms in ((40, 40), (41, 104), (102, 104), (104, 108), (130, 134)):
        begin = next_slice(host, now_ms * MILLISECOND, 60 * MILLISECOND)
        eq((now_ms, begin), (now_ms, begin_ms * MILLISECOND))


def time_before_tick(rig):
    """Return the time to the next tick when the new configuration begins to run."""
    times, whole = [], rig.manager._run_config

    def run_config(config, data):
        times.append(rig.agent.ticks.due - rig.now)
        whole(config, data)

    rig.manager._run_config = run_config
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(60)
    eq((len(times), rig.agent.supply_loop.setpoint), (1, 33))
    eq(rig.manager.write_queue.is_busy(), False)
    return times[0]


def test_a_board_acts_on_a_durable_record_between_ticks():
    """A trial loads code when its records are durable, wherever the next tick is then."""
    for delay_ms in (2, 40, 80):
        rig = start_rig()
        rig.manager.boot.use_small_slices()
        rig.delay_us = delay_ms * MILLISECOND
        before = time_before_tick(rig)
        assert before >= LONG_SLICE_US, before


def test_a_board_executes_a_change_in_slices():
    """In one slice it took 115 ms of an RP2040, 52 ms beyond the next tick."""
    rig = start_rig()
    manager = rig.manager
    manager.boot.use_small_slices()
    slices, whole = [], manager.act_slices

    def act_slices(verification, now):
        for _ in whole(verification, now):
            slices.append((rig.agent.ticks.due - rig.now, manager.queue.is_busy()))
            yield

    manager.act_slices = act_slices
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(60)
    eq(rig.agent.supply_loop.setpoint, 33)
    eq(len(slices), 4)
    assert min(slices) >= (LONG_SLICE_US, True), slices
    eq(manager.queue.is_busy(), False)
    rig.send(make_command("confirm"))
    rig.run(60)
    eq(manager.boot.slots.version, 1)
