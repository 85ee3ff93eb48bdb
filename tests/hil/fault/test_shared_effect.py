# SPDX-License-Identifier: Apache-2.0
"""Two faults on the same thing: the end of one leaves the other."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop
from typing import Any

import pytest

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.fault.registry import EVENTS
from hil.fault.shared_effect import _GROUPS, _START_ONCE
from hil.kernel.world import World
from hil.scenario.model import Scenario, ScenarioEvent
from hil.scenario.timeline import schedule

SECOND = 1_000_000

Event = tuple[str, float | None, float | None]
"""Word, value and duration, s; each event of a list starts 1 s after the last one."""


def run_events(events: list[Event], seconds: float) -> Testbed:
    """Start the events, and advance the row to `seconds`."""
    settings = TestbedSettings(
        it_kw=60.0, meters=1, humidity_sensors=2, fans=2, parts="cooling, safety, throttle"
    )
    testbed = Testbed(World(1, 0), settings)
    listed = tuple(
        ScenarioEvent(float(i), word, value, for_s) for i, (word, value, for_s) in enumerate(events)
    )
    schedule(Scenario("two", "two faults", 60, settings, listed), testbed)
    end, heap = int(seconds * SECOND), testbed.world.heap
    while heap and heap[0][0] <= end:
        testbed.world.now, _, _, call, arguments = heappop(heap)
        call(*arguments)
    testbed.world.now = end
    testbed.plant.advance(end)
    return testbed


def fans(testbed: Testbed) -> list[bool]:
    return [drive.has_power for drive in testbed.surroundings.fans]


def leak_lpm(testbed: Testbed) -> float:
    return testbed.plant.inventory.leak_lpm


def facility(testbed: Testbed) -> float:
    return testbed.plant.fws_pressure


def seized(testbed: Testbed) -> list[bool]:
    return [pump.seized for pump in testbed.plant.pumps]


def volts(testbed: Testbed) -> float:
    return testbed.surroundings.grid.voltage


def other_masters(testbed: Testbed) -> int:
    return len(testbed.bus.other_devices)


PAIRS: list[tuple[Event, Event, Callable[[Testbed], Any], Any, Any]] = [
    (("fan_lost", 1, None), ("grid_outage", None, 8), fans, [False, False], [False, True]),
    (("fan_lost", 1, 9), ("grid_outage", None, None), fans, [False, False], [False, False]),
    (("fan_lost", 1, 9), ("fan_lost", 2, None), fans, [False, False], [True, False]),
    (("grid_outage", None, 9), ("grid_dip", 50, None), volts, 0.0, 0.5),
    (("grid_dip", 50, 9), ("grid_outage", None, None), volts, 0.0, 0.0),
    (("grid_generator", 30, 9), ("grid_outage", None, None), volts, 0.0, 0.0),
    (("grid_outage", None, None), ("fan_lost", 2, 8), fans, [False, False], [False, False]),
    (("pumps_seized", None, 9), ("pump_seized", 1, None), seized, [True, True], [True, False]),
    (("leak", 5, 9), ("hidden_leak", 3, None), leak_lpm, 3.0, 3.0),
    (("fws_pressure", 20, None), ("facility_flow_lost", None, 8), facility, 0.0, 0.2),
    (("foreign_write", 50, None), ("other_master", 500, 8), other_masters, 2, 1),
]


@pytest.mark.parametrize(
    ("first", "second", "read", "during", "after"),
    PAIRS,
    ids=[f"{first[0]}-{second[0]}" for first, second, *_ in PAIRS],
)
def test_a_fault_leaves_the_other(
    first: Event, second: Event, read: Callable[[Testbed], Any], during: Any, after: Any
) -> None:
    """One of them ends at 9 s."""
    assert read(run_events([first, second], 5)) == during
    assert read(run_events([first, second], 12)) == after


def test_groups_name_faults_that_end() -> None:
    words = {word for group in _GROUPS for word in group} | set(_START_ONCE)
    assert words <= set(EVENTS)
    assert all(EVENTS[word].undo is not None for word in words)
