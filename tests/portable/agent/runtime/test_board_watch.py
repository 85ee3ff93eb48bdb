# SPDX-License-Identifier: Apache-2.0
"""What the runtime does for a board: watchdog, calm run, the confirmed configuration."""

import sys

from agent.core.alarm_record import STATES
from agent.runtime.board.board_watch import BoardWatch
from agent.runtime.boot_loop import CALM_US, BootLoop
from drivers.ports.address import parse_address
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


class StepJournal:
    """A journal in which the end of a start takes three steps."""

    def __init__(self):
        self.is_recording = False
        self.steps = 0

    def record(self):
        self.is_recording = True

    def stop(self):
        self.is_recording = False
        self.steps = 3

    def need(self):
        return 50_000 if self.steps else 0

    def step(self):
        self.steps -= 1


def test_a_calm_run_is_recorded_between_ticks():
    board, needs, is_open = SlotBoard(), [], [False]
    board.journal = journal = StepJournal()
    recorded = []
    board.mark_calm = lambda: recorded.append(journal.is_recording)

    def gap(need):
        needs.append(need)
        return is_open[0]

    watch = BoardWatch(board, SteppedAgent(), BootLoop(None), gap)
    watch.check(0)
    watch.check(CALM_US - 1)
    eq(needs, [])
    watch.check(CALM_US)
    eq((recorded, needs), ([], [35_000]))
    is_open[0] = True
    for now in range(6):
        watch.check(CALM_US + now)
    eq((recorded, journal.steps, needs[1:]), ([True], 0, [35_000] + [50_000] * 3))


def test_start_up_code_of_an_earlier_firmware_gets_no_calls():
    watch = BoardWatch(object(), SteppedAgent(), BootLoop(None))
    eq(watch.check(2 * CALM_US), False)
    eq(BoardWatch(None, SteppedAgent(), BootLoop(None)).check(0), False)


class StateSupervisor:
    state = "normal"


class LedBoard:
    """A board with a LED."""

    def __init__(self):
        self.changes = []

    def set_led(self, is_lit):
        self.changes.append(is_lit)


def count_flashes(state):
    """Return the number of flashes in each of two periods, as a person sees them."""
    board, agent = LedBoard(), SteppedAgent()
    agent.supervisor = StateSupervisor()
    agent.supervisor.state = state
    watch = BoardWatch(board, agent, BootLoop(None))
    counts = []
    for period in range(2):
        board.changes.clear()
        for now in range(0, 24 * SECOND // 10, SECOND // 10):  # each tick
            watch.check(period * 24 * SECOND // 10 + now)
        counts.append(board.changes.count(True))
    return counts


def test_the_led_shows_the_unit_state():
    for number, state in enumerate(STATES):
        eq((state, count_flashes(state)), (state, [number + 1, number + 1]))
    eq(count_flashes("unknown"), [0, 0])


def test_the_parser_of_addresses_leaves_when_the_ports_are_open():
    parse_address("tcp:h:1")
    name = "drivers.ports.address_text"
    watch = BoardWatch(SlotBoard(), SteppedAgent(), BootLoop(None))
    for now, is_loaded in ((3, True), (4, True), (9, False)):
        watch.check(now * SECOND)
        eq(name in sys.modules, is_loaded)
    parse_address("tcp:h:2")
    watch.check(20 * SECOND)
    assert name in sys.modules
