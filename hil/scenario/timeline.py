# SPDX-License-Identifier: Apache-2.0
"""Schedules the events of a scenario in the world.

A fault ends without an effect on another one that is still active; see `hil.fault.shared_effect`.
"""

from hil.bench.testbed import Testbed
from hil.fault.registry import EVENTS
from hil.fault.shared_effect import share_effect
from hil.scenario.model import Scenario, ScenarioEvent

_SECOND = 1_000_000


def _start(testbed: Testbed, event: ScenarioEvent) -> None:
    """Start an event now."""
    testbed.history.add_event(testbed.world.now, event.do)
    testbed.active_faults.append(event)
    _apply(testbed, event)


def _apply(testbed: Testbed, event: ScenarioEvent) -> None:
    fault_type = EVENTS[event.do]
    texts = () if fault_type.check_text is None else (event.text,)
    fault_type.do(testbed, _value(event), *texts)


def _value(event: ScenarioEvent) -> float:
    return event.value if event.value is not None else 0.0


def _end(testbed: Testbed, event: ScenarioEvent) -> None:
    """End a fault now. Others that its end removes from the row start again."""
    testbed.active_faults.remove(event)
    fault_type = EVENTS[event.do]
    if fault_type.undo is not None:
        fault_type.undo(testbed, *[_value(event)] * fault_type.is_numbered)
    for other in testbed.active_faults:
        if not fault_type.is_numbered and share_effect(event.do, other.do):
            _apply(testbed, other)


def schedule(scenario: Scenario, testbed: Testbed, start_us: int = 0) -> None:
    """Schedule start and end of each event of `scenario` for `testbed`.

    `start_us` is the world time at which the scenario begins, µs.
    """
    for event in scenario.events:
        at_us = start_us + int(event.at_s * _SECOND)
        testbed.world.schedule(at_us, _start, testbed, event)
        if event.for_s is not None and EVENTS[event.do].undo is not None:
            end_us = at_us + int(event.for_s * _SECOND)
            testbed.world.schedule(end_us, _end, testbed, event)
