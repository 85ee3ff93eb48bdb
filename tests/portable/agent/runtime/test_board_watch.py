# SPDX-License-Identifier: Apache-2.0
"""What the runtime does for a board: watchdog, calm run, the confirmed configuration."""

from agent.runtime.board_watch import BoardWatch
from agent.runtime.boot_loop import CALM_US, BootLoop
from protocols.time_units import SECOND
from tests.portable.support.check import eq


class SlotBoard:
    """The slots of a board with a supervisor."""

    def __init__(self):
        self.fed = self.calm = 0

    def feed(self):
        self.fed += 1

    def mark_calm(self):
        self.calm += 1


class SteppedAgent:
    watched_step = None


def test_only_control_cycles_service_the_watchdog():
    board, agent = SlotBoard(), SteppedAgent()
    watch = BoardWatch(board, agent, BootLoop(None))
    for now in range(5):
        watch.check(now)
    eq(board.fed, 1)  # the start
    for step in (1, 2, 2, 2, 3):
        agent.watched_step = step
        watch.check(10)
    eq(board.fed, 4)


def test_calm_run_is_reported_once():
    board = SlotBoard()
    watch = BoardWatch(board, SteppedAgent(), BootLoop(None))
    for now in range(0, 2 * CALM_US, 100 * SECOND):
        watch.check(now)
        eq(board.calm, 1 if now >= CALM_US else 0)


def test_start_up_code_of_an_earlier_firmware_gets_no_calls():
    watch = BoardWatch(object(), SteppedAgent(), BootLoop(None))
    eq(watch.check(2 * CALM_US), False)
    eq(BoardWatch(None, SteppedAgent(), BootLoop(None)).check(0), False)
