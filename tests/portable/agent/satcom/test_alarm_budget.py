# SPDX-License-Identifier: Apache-2.0
"""Alarms by satellite: what chatters, is rejected or is repeated delays no new alarm."""

from agent.satcom.budget import Budget
from agent.satcom.persistence import SatcomStore
from agent.satcom.ram_queue import AlarmWatch, RamQueue
from agent.satcom.session_timer import HOUR, WAIT, SessionTimer
from agent.satcom.spend_guard import SpendGuard
from agent.satcom.transfer import MessageTransfer
from protocols.datagram import ALARM, LIVE
from protocols.modem import sbd
from protocols.time_units import SECOND
from tests.portable.support.check import eq

KEY = bytes(range(32))
DAY = 86_400 * SECOND


class _ActiveAlarm:
    def __init__(self, code):
        self.code = code
        self.text = ""


class _AgentWithAlarms:
    """An agent with a list of alarms only."""

    def __init__(self):
        self.alarms = self
        self.active = []

    def set(self, *codes):
        self.active = [_ActiveAlarm(code) for code in codes]


def _changes(watch, agent, now, is_short=False):
    """Return the reported changes: code, 1 for raised."""
    data = watch.changes(agent, now, None, is_short)
    found = []
    while data:
        found.append((data[6 : 1 + data[0]].decode(), data[1]))
        data = data[1 + data[0] :]
    return found


def _toggle(watch, agent, code, times, every):
    """Raise and clear an alarm; return the time and the raised state of each reported change."""
    reported = []
    for i in range(times):
        agent.set(*(() if i % 2 else (code,)))
        reported += [(i * every, raised) for _, raised in _changes(watch, agent, i * every)]
    return reported


def test_alarm_that_chatters_is_held_on():
    watch, agent = AlarmWatch(), _AgentWithAlarms()
    reported = _toggle(watch, agent, "x", 4 * 24 * 60, 15 * SECOND)
    eq([raised for _, raised in reported[:5]], [1, 0, 1, 0, 1])
    assert 5 < len(reported) <= 6 + 12, len(reported)
    for (at, raised), (later, _) in zip(reported, reported[1:]):
        if not raised:
            assert later - at <= 15 * SECOND, "a raise never waits"
    agent.set("new")
    later = _changes(watch, agent, DAY) + _changes(watch, agent, 3 * DAY)
    eq(sorted(later), [("new", 1), ("x", 0)])


def test_alarms_that_do_not_chatter_are_sent_as_they_come():
    watch, agent = AlarmWatch(), _AgentWithAlarms()
    eq(len(_toggle(watch, agent, "x", 24, 2 * 3_600 * SECOND)), 24)


def test_what_is_left_of_the_reserve_is_for_new_alarms():
    watch, agent = AlarmWatch(), _AgentWithAlarms()
    agent.set("a", "b")
    eq(_changes(watch, agent, 0), [("a", 1), ("b", 1)])
    agent.set("b")
    eq(_changes(watch, agent, 1), [("a", 0)])
    agent.set("a", "c")
    eq(_changes(watch, agent, 2, True), [("c", 1)])
    eq(_changes(watch, agent, 3, True), [])
    eq(_changes(watch, agent, 4), [("a", 1), ("b", 0)])
    agent.set()
    eq(_changes(watch, agent, DAY), [("a", 0), ("c", 0)])
    agent.set("a")
    eq(_changes(watch, agent, 2 * DAY, True), [("a", 1)])


def test_reserve_of_alarms_is_short_at_its_half():
    budget = Budget(1000, 0, 20)
    budget.spend(900)
    eq(budget.is_alarm_short(), False)
    budget.spend(1)
    eq(budget.is_alarm_short(), True)
    eq(Budget(1000, 0, 0).is_alarm_short(), False)


def _due_after(timer, alarm):
    for seconds in range(2 * 3_600):
        if timer.is_due(seconds * SECOND, alarm):
            return seconds
    return None


def test_an_alarm_does_not_wait_for_a_row_that_is_rejected():
    timer = SessionTimer(1)
    timer.on_send_failed(0, sbd.REJECTED)
    assert _due_after(timer, True) <= 1
    eq(_due_after(timer, False), 600)


def test_an_alarm_waits_three_minutes_at_most():
    for code, other in ((sbd.BLOCKED, HOUR), (sbd.REJECTED, 600 * SECOND), (sbd.WAIT, WAIT)):
        timer = SessionTimer(1)
        timer.on_send_failed(0, code, True)
        eq((_due_after(timer, True), _due_after(timer, False)), (180, other // SECOND))


def _make_transfer(key):
    queue = RamQueue()
    return queue, MessageTransfer(queue, 340, key, "s/u")


def test_a_message_that_is_always_rejected_ends():
    for key in (b"", KEY):
        queue, messages = _make_transfer(key)
        queue.put(LIVE, b"bad", 0)
        queue.put(LIVE, b"good", 0)
        bad = messages.next_message((LIVE,), 9, 200)
        for _ in range(3):
            eq(messages.next_message((LIVE,), 9, 200) is bad, True)
            messages.on_part_rejected(bad, 5)
        good = messages.next_message((LIVE,), 9, 200)
        eq(good.parts[0][4:], b"good")
        messages.on_part_sent(good, 6)
        eq((messages.rejected, messages.acknowledged), (1, 0 if key else 1))
        eq(len(messages.unacknowledged), 2 if key else 0)
        messages.repeat_overdue(100, 90)
        eq(messages.next_message((LIVE,), 9, 200) is bad, key != b"")


def test_a_new_alarm_comes_before_one_that_is_repeated():
    queue, messages = _make_transfer(KEY)
    queue.put(ALARM, b"old", 0)
    old = messages.next_message((ALARM,), 9, 200)
    messages.on_part_sent(old, 0)
    messages.repeat_overdue(100, 90)
    eq(messages.next_message((ALARM,), 9, 200) is old, True)
    queue.put(ALARM, b"new", 101)
    new = messages.next_message((ALARM,), 9, 200)
    eq(new.parts[0][4:], b"new")
    messages.repeat_overdue(102, 90)
    eq(messages.repeated, 1)
    messages.on_part_sent(new, 103)
    messages.repeat_overdue(104, 90)
    eq(messages.next_message((ALARM,), 9, 200) is old, True)
    eq((messages.repeated, old.repeats), (2, 2))


def test_alarms_are_not_repeated_from_the_reserve():
    queue, messages = _make_transfer(KEY)
    queue.put(ALARM, b"old", 0)
    messages.on_part_sent(messages.next_message((ALARM,), 9, 200), 0)
    queue.put(LIVE, b"row", 0)
    row = messages.next_message((LIVE,), 9, 200)
    messages.on_part_sent(row, 0)
    messages.repeat_overdue(100, 90, False)
    eq(messages.next_message((ALARM, LIVE), 9, 200) is row, True)


def test_an_alarm_does_not_wait_for_a_store_that_fails():
    store = SatcomStore(None, {}, 0)
    budget = Budget(5_000, 0, 20)
    guard = SpendGuard(budget, store)
    store.event("opened", 0)
    for _ in range(4):
        store.receive(b"", 0)
    guard.restore(None)
    store.event("drained", 0)
    eq(guard.may_spend(370, True), False)  # only requested
    store.event("failed", 1)
    eq((guard.may_spend(370, True), guard.may_spend(370, False)), (True, False))
    budget.spend(370)
    store.event("opened", 2)
    eq(guard.may_spend(370, True), True)
    eq(guard.may_spend(5_000, True), False)
    store.event("drained", 3)
    eq((store.has_failed, store.durable.spent >= 370), (False, True))
    eq(guard.may_spend(4_000, True), False)  # only requested, again


def test_after_a_restart_a_store_that_fails_gives_no_numbers():
    store = SatcomStore(None, {}, 0)
    guard = SpendGuard(Budget(5_000, 0, 20), store)
    eq(guard.restore(None), False)
    store.event("opened", 0)
    for _ in range(4):
        store.receive(b"", 0)
    eq(guard.restore(None), True)
    store.event("failed", 0)
    eq((guard.may_spend(370, True), guard.number_limit), (True, guard.first_number))
