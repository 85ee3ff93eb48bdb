"""A scenario's timeline put on the world's heap."""

from hil.bench.testbed import Row
from hil.fault.registry import EVENTS
from hil.scenario.model import Scenario

_SECOND = 1_000_000


def schedule(scenario: Scenario, row: Row, begin: int = 0) -> None:
    """Let every event of `scenario` happen to `row` at its time, and be undone at its end.

    `begin` is the world's time at which the scenario begins, microseconds.
    """
    for event in scenario.events:
        word = EVENTS[event.do]
        at = begin + int(event.at_s * _SECOND)
        row.world.at(at, word.do, row, event.value if event.value is not None else 0.0)
        if event.for_s is not None and word.undo is not None:
            row.world.at(at + int(event.for_s * _SECOND), word.undo, row)
