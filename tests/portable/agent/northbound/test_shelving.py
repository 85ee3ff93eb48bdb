# SPDX-License-Identifier: Apache-2.0
"""Shelving after ISA-18.2: it belongs to the alarm, not to one occurrence of it."""

from agent.core.alarm_list import AlarmList
from agent.core.alarm_record import DEGRADED, SAFE, AlarmRecord
from agent.core.errors import CommandError
from agent.northbound.alarm_states import AlarmStates
from protocols.time_units import SECOND
from tests.portable.support.check import eq, raises

MINOR = AlarmRecord("minor", DEGRADED, "m", "", True)
MAJOR = AlarmRecord("minor", SAFE, "M", "", True)
MINUTE = 60 * SECOND
CODE = "minor:a"


class UnitClock:
    """UTC is `ahead` of the monotonic time; None: it is not known."""

    def __init__(self, ahead=None):
        self.ahead = ahead

    def utc(self, now):
        return None if self.ahead is None else now + self.ahead


class ShelvingBench:
    def __init__(self, clock=None, urgent=()):
        self.alarms = AlarmList()
        self.states = AlarmStates(self.alarms, clock or UnitClock(), urgent)
        self.states.start(0)
        self.now = 0

    def toggle(self, active, record=MINOR):
        self.alarms.update(record, "a", active, self.now)

    def pass_time(self, minutes):
        for _ in range(minutes * 6):
            self.now += 10 * SECOND
            self.states.end_shelvings(self.now)

    def state(self):
        return [entry.state(self.now) for entry in self.states.entries]


def shelved(minutes=60, clock=None):
    bench = ShelvingBench(clock)
    bench.toggle(True)
    bench.states.shelve(CODE, minutes, bench.now)
    return bench


def test_a_shelved_alarm_that_toggles_stays_shelved():
    bench = shelved()
    for _ in range(10):
        bench.pass_time(1)
        bench.toggle(False)
        eq(bench.state(), ["shelved"])
        eq(bench.states.entries[0].cleared_at, bench.now)
        bench.pass_time(1)
        bench.toggle(True)
        eq(bench.state(), ["shelved"])
        eq(bench.states.entries[0].cleared_at, None)
        eq(bench.states.count(bench.now), 0)
    bench.pass_time(39)
    eq(bench.state(), ["shelved"])
    bench.pass_time(2)
    eq(bench.state(), ["active_unacknowledged"])


def test_the_end_of_shelving_shows_an_active_alarm_again():
    bench = shelved()
    bench.states.acknowledge(CODE)
    bench.pass_time(61)
    eq(bench.state(), ["active_unacknowledged"])
    bench.states.acknowledge(CODE)
    bench.states.shelve(CODE, 60, bench.now)
    bench.states.unshelve(CODE)
    eq(bench.state(), ["active_unacknowledged"])


def test_the_end_of_shelving_removes_an_alarm_that_has_ended():
    bench = shelved()
    bench.toggle(False)
    bench.states.acknowledge(CODE)
    eq(bench.state(), ["shelved"])
    bench.pass_time(61)
    eq(bench.state(), [])
    bench.toggle(True)
    bench.states.shelve(CODE, 60, bench.now)
    bench.toggle(False)
    bench.states.unshelve(CODE)
    eq(bench.state(), [])
    bench.toggle(True)
    eq(bench.state(), ["active_unacknowledged"])


def test_a_shelved_alarm_that_has_ended_can_be_shelved_for_longer():
    bench = shelved(10)
    bench.toggle(False)
    bench.states.shelve(CODE, 60, bench.now)
    bench.pass_time(30)
    bench.toggle(True)
    eq(bench.state(), ["shelved"])


def test_an_alarm_that_comes_again_more_severe_is_not_shelved():
    bench = shelved()
    bench.toggle(False)
    bench.toggle(True, MAJOR)
    eq(bench.state(), ["active_unacknowledged"])


def test_shelved_alarms_are_bounded():
    bench = ShelvingBench()
    for i in range(17):
        bench.alarms.update(MINOR, "s%d" % i, True, 0)
    for i in range(16):
        bench.states.shelve("minor:s%d" % i, 60, 0)
    raises(CommandError, bench.states.shelve, "minor:s16", 60, 0)
    bench.states.shelve("minor:s3", 30, 0)
    eq(bench.states.count(0), 1)


def after_restart(lines, clock, now=0, active=False, urgent=()):
    bench = ShelvingBench(clock, urgent)
    bench.now = now
    if active:
        bench.toggle(True)
    restored = [bench.states.shelve_again(line, now) for line in lines]
    return bench, restored


def test_shelving_survives_a_restart_until_its_time():
    for active in (True, False):
        before = shelved(60, UnitClock(1000 * MINUTE))
        before.pass_time(10)
        lines = before.states.shelvings(before.now)
        eq(lines, ["minor:a %d 50" % (1060 * 60)])
        eq(before.states.shelvings(before.now), lines)  # no write while nothing has changed
        bench, restored = after_restart(lines, UnitClock(1025 * MINUTE), 0, active)
        eq((restored, bench.state()), ([True], ["shelved"]))
        bench.toggle(True)
        bench.pass_time(34)
        eq(bench.state(), ["shelved"])
        bench.pass_time(2)
        eq(bench.state(), ["active_unacknowledged"])


def restarts(minutes, every, clock):
    """Return for how long an alarm is shelved while the agent restarts without UTC."""
    bench, total = shelved(minutes, clock), 0
    while total < 1000:
        for _ in range(every):
            bench.pass_time(1)
            total += 1
            if bench.state() != ["shelved"]:
                return total
        lines = bench.states.shelvings(bench.now)
        bench, restored = after_restart(lines, UnitClock(), 5 * SECOND, True)
        if restored != [True]:
            break
    return total


def test_restarts_make_a_shelving_no_longer():
    for clock in (UnitClock(1000 * MINUTE), UnitClock()):
        for minutes, every in ((480, 420), (480, 7), (60, 59), (10, 9)):
            total = restarts(minutes, every, clock)
            eq(total <= minutes, True)
        eq(restarts(480, 420, clock), 480)


def test_the_rest_is_kept_in_steps():
    before = shelved(60, UnitClock(1000 * MINUTE))
    lines = set()
    for _ in range(59):
        before.pass_time(1)
        lines.add(before.states.shelvings(before.now)[0])
    eq(len(lines), 6)  # each one is a write


def test_a_shelving_whose_time_ended_in_the_meantime_is_not_restored():
    bench, restored = after_restart(["minor:a %d 60" % (1060 * 60)], UnitClock(1061 * MINUTE))
    eq((restored, bench.state()), ([False], []))


def test_without_utc_the_rest_counts_from_the_restart():
    before = shelved(60)
    before.pass_time(15)
    lines = before.states.shelvings(before.now)
    eq(lines, ["minor:a 0 40"])  # rounded down: an alarm is shown too early, never too late
    bench, restored = after_restart(lines, UnitClock(), 0, True)
    eq(restored, [True])
    bench.pass_time(39)
    eq(bench.state(), ["shelved"])
    bench.pass_time(2)
    eq(bench.state(), ["active_unacknowledged"])


def test_utc_that_is_known_later_corrects_the_rest():
    clock = UnitClock()
    bench, restored = after_restart(["minor:a %d 60" % (1060 * 60)], clock, 0, True)
    eq((restored, bench.state()), ([True], ["shelved"]))
    bench.pass_time(5)
    clock.ahead = 1045 * MINUTE
    bench.pass_time(9)
    eq(bench.state(), ["shelved"])
    bench.pass_time(2)
    eq(bench.state(), ["active_unacknowledged"])


def test_a_damaged_line_has_no_effect():
    lines = (
        "",
        "minor:a",
        "minor:a x 60",
        "minor:a 0 -1",
        "minor:a 0 0",
        "minor:a 0 9999999999999",
    )
    bench, restored = after_restart(lines, UnitClock(), 0, True)
    eq(restored, [False] * len(lines))
    eq(bench.state(), ["active_unacknowledged"])
    bench, restored = after_restart(["minor:a 0 60"], UnitClock(), 0, True, ["minor"])
    eq(restored, [False])
    bench, restored = after_restart(["minor:a 0 999"], UnitClock(), 0, True)
    bench.pass_time(481)
    eq(bench.state(), ["active_unacknowledged"])
