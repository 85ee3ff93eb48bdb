# SPDX-License-Identifier: Apache-2.0
"""Alarm list: each alarm is raised once and cleared once, in order. The list is bounded."""

from agent.core.alarm_list import AlarmList
from agent.core.alarm_record import DEGRADED, AlarmRecord
from tests.portable.support.check import eq

RECORD = AlarmRecord("a", DEGRADED, "text", "", True)


def test_raised_once_and_cleared_once():
    alarms = AlarmList()
    for _ in range(3):
        alarms.update(RECORD, "", True, 1)
    eq(alarms.codes(), ["a"])
    for _ in range(3):
        alarms.update(RECORD, "", False, 2)
    eq(alarms.codes(), [])
    eq(alarms.changes(), [(1, "raised", "a", "text"), (2, "cleared", "a", "text")])
    eq(alarms.changes(), [])


def test_order_is_the_order_of_raising():
    alarms = AlarmList()
    for code in ("c", "a", "b"):
        alarms.update(RECORD, code, True, 0, code)
    alarms.clear("a:a", 1)
    eq(alarms.codes(), ["a:c", "a:b"])
    eq([alarm.text for alarm in alarms.active], ["c", "b"])


def test_alternating_alarm_uses_bounded_memory():
    alarms = AlarmList()
    for i in range(1000):
        alarms.update(RECORD, "", i % 2 == 0, i)
    assert len(alarms.history) <= 32
    assert len(alarms.changes()) <= 32
    eq(alarms.raised_count, 500)
