# SPDX-License-Identifier: Apache-2.0
"""The measure `messages`: the filter that follows a run gives what a new filter gives."""

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from agent.alarms.alarm_filter import AlarmFilter
from agent.alarms.catalogue import catalogue
from agent.alarms.grouping import buses_of
from hil.kernel.run_history import RunHistory
from hil.measure.hazard import HAZARD_MEASURES

_SECOND = 1_000_000


def count_by_new_filter(history: RunHistory, status: Any, since_us: int, now: int) -> int:
    """Play all changes through a new filter."""
    people, found = AlarmFilter(buses_of(status)), []
    for at_us, is_raised, code in history.changes:
        found += people.poll(at_us // 1000)
        people.change(at_us // 1000, is_raised, code)
    found += people.poll(now // 1000)
    return sum(n.event != "cleared" and n.time_ms * 1000 >= since_us - 1000 for n in found)


@pytest.mark.parametrize("seed", range(2))
def test_each_reading_is_that_of_a_new_filter(seed: int) -> None:
    """Readings between the changes must not change a later count; the buses become known late."""
    rng, history = Random(seed), RunHistory()
    testbed: Any = SimpleNamespace(history=history, world=SimpleNamespace(now=0))
    read = HAZARD_MEASURES["messages"].read
    effects = [name for name, entry in catalogue().entries.items() if entry.suppressed_by]
    names = rng.sample(effects, 5)
    names += [root for name in names for root in catalogue().entries[name].suppressed_by]
    codes = [f"{name}:d{rng.randrange(3)}" for name in names]
    status: Any = {}
    assert read(testbed, status, "@leak") is None
    history.add_event(20 * _SECOND, "leak")
    counts = set()
    for second in range(1, 300):
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            word, code = rng.choice(("raised", "cleared")), rng.choice(codes)
            history.add_console(
                second * _SECOND - rng.randrange(_SECOND), f"alarm {word} {code}: x"
            )
        if second == 70:
            status = {"modbus": {"devices": [{"name": f"d{n}", "bus": f"b{n}"} for n in range(3)]}}
        testbed.world.now = second * _SECOND
        expected = count_by_new_filter(history, status, 20 * _SECOND, testbed.world.now)
        assert read(testbed, status, "@leak") == expected
        counts.add(expected)
    assert len(counts) > 5
