"""What a scenario's values mean, held against what the bench can do and measure.

Not the reading of the file (that is `hil.scenario`, which has seen to keys and types). A scenario
that could not run, or that could not fail because a word in it never comes true, is refused here:
`problem` names the first such place.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hil.extras import SECTIONS, names
from hil.faults import EVENTS
from hil.measures import ALARM_CODES, MEASURES
from hil.setting import LIMITS, Setting

if TYPE_CHECKING:
    from hil.scenario import Event, Expectation, Scenario

Problem = tuple[str, str]
"""Where and what."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the known word that was probably meant, as the end of an error line."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def problem(scenario: "Scenario") -> Problem | None:
    """Give the first thing that is wrong with `scenario`, or None."""
    return next(_problems(scenario), None)


def _problems(scenario: "Scenario") -> Iterator[Problem]:
    if not 1 <= scenario.seconds <= 10_000_000:
        yield "seconds", f"{scenario.seconds} is outside 1 to 10000000"
    for name, (low, high) in LIMITS.items():
        value = getattr(scenario.row, name)
        if not low <= value <= high:
            yield f"row.{name}", f"{value} is outside {low:g} to {high:g}"
    for name in names(scenario.row):
        if name not in SECTIONS:
            yield "row.parts", f"unknown {name!r}" + nearest(name, SECTIONS)
    for i, event in enumerate(scenario.events):
        yield from _of_event(event, scenario, f"event[{i}]")
    for i, expect in enumerate(scenario.expectations):
        yield from _of_measure(expect, scenario.row, f"expect[{i}]")
        yield from _of_limits(expect, scenario.seconds, f"expect[{i}]")


def _of_event(event: "Event", scenario: "Scenario", where: str) -> Iterator[Problem]:
    if event.do not in EVENTS:
        yield f"{where}.do", f"unknown {event.do!r}" + nearest(event.do, EVENTS)
        return
    yield from _of_value(event, scenario.row, f"{where}.value")
    if not 0 <= event.at_s <= scenario.seconds:
        yield f"{where}.at_s", f"{event.at_s} is outside the scenario"
    if event.for_s is None:
        return
    if EVENTS[event.do].undo is None:
        yield f"{where}.for_s", f"{event.do} does not end by itself"
    if event.for_s <= 0:
        yield f"{where}.for_s", f"{event.for_s} is not above 0"


def _of_value(event: "Event", row: Setting, where: str) -> Iterator[Problem]:
    word, value = EVENTS[event.do], event.value
    if word.limits is None:
        if value is not None:
            yield where, f"{event.do} takes no value"
        return
    if value is None:
        yield where, f"{event.do} needs a value"
        return
    low, high = (1, row.pumps) if word.is_pump else word.limits
    if not low <= value <= high or (word.is_pump and value != int(value)):
        what = "is not the number of a pump," if word.is_pump else "is outside"
        yield where, f"{value} {what} {low:g} to {high:g}"


def _of_measure(expect: "Expectation", row: Setting, where: str) -> Iterator[Problem]:
    name, _, argument = expect.measure.partition(":")
    if name not in MEASURES:
        yield f"{where}.measure", f"unknown {expect.measure!r}" + nearest(name, MEASURES)
        return
    measure = MEASURES[name]
    yield from _of_argument(measure.argument, name, argument, row, f"{where}.measure")
    if expect.unit != measure.unit:
        yield f"{where}.unit", f"{name} is in {measure.unit!r}, not {expect.unit!r}"


def _of_argument(
    kind: str, name: str, argument: str, row: Setting, where: str
) -> Iterator[Problem]:
    if kind == "pump":
        pumps = [str(i + 1) for i in range(row.pumps)]
        if argument not in pumps:
            yield where, f"{name}:{argument} names no pump; there are {', '.join(pumps)}"
    elif kind == "alarm":
        code = argument.split(":", maxsplit=1)[0]
        if code not in ALARM_CODES:
            hint = nearest(code, ALARM_CODES) or f"; there are {', '.join(ALARM_CODES)}"
            yield where, f"{name}:{argument} names no alarm" + hint
    elif argument:
        yield where, f"{name} takes nothing after a colon"


def _of_limits(expect: "Expectation", seconds: float, where: str) -> Iterator[Problem]:
    low, high = expect.min, expect.max
    if low is None and high is None:
        yield where, "min, max or both are needed"
    elif low is not None and high is not None and low > high:
        yield f"{where}.min", f"{low} is above max, {high}"
    until = seconds if expect.until_s is None else expect.until_s
    if not 0 <= expect.from_s <= until <= seconds:
        yield f"{where}.from_s", "the window is empty or outside the scenario"
    elif int(until) < max(1, expect.from_s):
        yield f"{where}.from_s", "no whole second lies in the window, and samples are taken there"
