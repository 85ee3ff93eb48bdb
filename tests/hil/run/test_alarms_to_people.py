# SPDX-License-Identifier: Apache-2.0
"""Alarms of whole scenarios that reach a person: few messages, first the root."""

import pytest

from agent.alarms.alarm_filter import WINDOW_MS, AlarmFilter, Notice
from agent.alarms.catalogue import catalogue
from agent.alarms.grouping import MAX_SHOWN, buses_of
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find, parse

SILENT = """
name = "silent"
title = "silent bus"
seconds = 60

[[event]]
at_s = 20
do = "bus_silent"
"""


def notices_of(run: VirtualRun) -> list[Notice]:
    """Run a scenario, and give each change of the list of alarms to a filter."""
    found: list[AlarmFilter] = []
    notices: list[Notice] = []
    before: dict[str, str] = {}

    def follow(second: int) -> None:
        if run.status is None:
            return
        if not found:
            found.append(AlarmFilter(buses_of(run.status)))
        now = {alarm["code"]: alarm["text"] for alarm in run.status["alarms"]}
        for code in before.keys() - now.keys():
            found[0].change(second * 1000, False, code)
        for code in [code for code in now if code not in before]:
            found[0].change(second * 1000, True, code, now[code])
        before.clear()
        before.update(now)
        notices.extend(found[0].poll(second * 1000))

    run.run(follow)
    return [notice for notice in notices if notice.event != "cleared"]


def test_a_silent_bus_is_one_message_with_a_count() -> None:
    notices = notices_of(VirtualRun(parse(SILENT, "x"), 1))
    first = notices[0]
    assert first.code == "bus_lost:bus"
    assert first.first_out
    assert len(notices) <= 3, [notice.code for notice in notices]


@pytest.mark.parametrize("name", ["bus-loss", "all-at-once", "bus-noise"])
def test_a_scenario_has_at_most_10_messages_in_10_minutes(name: str) -> None:
    notices = notices_of(VirtualRun(find(name), 1))
    times = [n.time_ms for n in notices if catalogue().priority(n.code or "contact") != 1]
    assert all(sum(at <= t < at + WINDOW_MS for t in times) <= MAX_SHOWN for at in times)
