# SPDX-License-Identifier: Apache-2.0
"""Messages on a board: small slices between two ticks give the same result, and none in a tick."""

from agent.remote.message_queue import MessageQueue
from agent.remote.report import BOARD_SLICE_US
from tests.portable.agent.remote.test_power_cut import SETPOINT, make_patch, start_rig
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
