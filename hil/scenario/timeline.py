# SPDX-License-Identifier: Apache-2.0
"""Schedules the events of a scenario in the world."""

from hil.bench.testbed import Testbed
from hil.fault.registry import EVENTS
from hil.scenario.model import Scenario

_SECOND = 1_000_000


def _start(testbed: Testbed, word: str, value: float, *texts: str) -> None:
    """Start an event now."""
    testbed.history.add_event(testbed.world.now, word)
    EVENTS[word].do(testbed, value, *texts)


def schedule(scenario: Scenario, testbed: Testbed, start_us: int = 0) -> None:
    """Schedule start and end of each event of `scenario` for `testbed`.

    `start_us` is the world time at which the scenario begins, µs.
    """
    for event in scenario.events:
        fault_type = EVENTS[event.do]
        at_us = start_us + int(event.at_s * _SECOND)
        value = event.value if event.value is not None else 0.0
        texts = () if fault_type.check_text is None else (event.text,)
        testbed.world.schedule(at_us, _start, testbed, event.do, value, *texts)
        if event.for_s is not None and fault_type.undo is not None:
            end_us, numbers = at_us + int(event.for_s * _SECOND), [value] * fault_type.is_numbered
            testbed.world.schedule(end_us, fault_type.undo, testbed, *numbers)
