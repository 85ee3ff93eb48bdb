"""What a scenario's values mean, held against what the bench can do and measure.

Not the reading of the file (that is `hil.scenario.model`, which has seen to keys and types). A scenario
that could not run, or that could not fail because a word in it never comes true, is refused here:
`problem` names the first such place.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hil.bench.optional_sections import SECTIONS, names
from hil.bench.receiver_choice import start_us
from hil.bench.testbed_settings import LIMITS, Setting
from hil.devices.gnss.dialects import DIALECTS
from hil.fault.registry import EVENTS
from hil.measure.registry import ALARM_CODES, MEASURES
from hil.scenario.requirements import REQUIREMENTS

if TYPE_CHECKING:
    from hil.scenario.model import Event, Expectation, Scenario

ASKS = ("confirm", "text")
REALTIME_S = 120
"""The longest that a scenario may take that is to be run in real time, seconds."""

VIRTUAL = ("power_cut", "disk_full", "store_bit_flip", "store_torn")
"""Words that only virtual time has: a machine's own power and flash are not the bench's."""
_VIRTUAL_MEASURES = ("ground_", "receipts_")

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
    yield from _of_receiver(scenario.row)
    for name in names(scenario.row):
        if name not in SECTIONS:
            yield "row.parts", f"unknown {name!r}" + nearest(name, SECTIONS)
    for i, event in enumerate(scenario.events):
        yield from _of_event(event, scenario, f"event[{i}]")
    for i, expect in enumerate(scenario.expectations):
        yield from _of_measure(expect, scenario.row, f"expect[{i}]")
        yield from _of_limits(expect, scenario.seconds, f"expect[{i}]")
        yield from _of_form(expect, scenario.seconds, f"expect[{i}]")
    for i, prompt in enumerate(scenario.prompts):
        if not 0 <= prompt.at_s <= scenario.seconds:
            yield f"prompt[{i}].at_s", f"{prompt.at_s} is outside the scenario"
        if prompt.ask not in ASKS:
            yield f"prompt[{i}].ask", f"{prompt.ask!r} is none of {', '.join(ASKS)}"
    yield from _of_real_time(scenario)


def _of_real_time(scenario: "Scenario") -> Iterator[Problem]:
    if not scenario.realtime:
        return
    if scenario.seconds > REALTIME_S:
        yield "realtime", f"{scenario.seconds:g} s is too long for real time; {REALTIME_S} at most"
    needed = virtual_only(scenario)
    if needed is not None:
        yield "realtime", f"{needed} is there in virtual time alone"


def virtual_only(scenario: "Scenario") -> str | None:
    """Name what in a scenario real time has not, or None."""
    if scenario.row.start_utc:
        return "row.start_utc"
    for event in scenario.events:
        if event.do in VIRTUAL:
            return event.do
    for expect in scenario.expectations:
        if expect.measure.startswith(_VIRTUAL_MEASURES):
            return expect.measure
    return None


def _of_receiver(row: Setting) -> Iterator[Problem]:
    name = row.receiver_dialect
    if name and name not in DIALECTS:
        known = nearest(name, DIALECTS) or f"; there are {', '.join(DIALECTS)}"
        yield "row.receiver_dialect", f"unknown {name!r}{known}"
    if not name and row.receiver_pps:
        yield "row.receiver_dialect", "needed for pulses"
    if 0 < row.receiver_baud < 4800:
        yield "row.receiver_baud", f"{row.receiver_baud} is below 4800"
    if row.start_utc and start_us(row.start_utc) is None:
        yield "row.start_utc", f"{row.start_utc!r} is no time such as 2026-12-31T23:50:00Z"


def _of_event(event: "Event", scenario: "Scenario", where: str) -> Iterator[Problem]:
    if event.do not in EVENTS:
        yield f"{where}.do", f"unknown {event.do!r}" + nearest(event.do, EVENTS)
        return
    yield from _of_value(event, scenario.row, f"{where}.value")
    if EVENTS[event.do].needs_dialect and not scenario.row.receiver_dialect:
        yield f"{where}.do", f'{event.do} needs row.receiver_dialect, such as "casic"'
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


def _of_band(expect: "Expectation", where: str) -> Iterator[Problem]:
    band, low, high = expect.marginal, expect.min, expect.max
    if band is None:
        return
    if band <= 0:
        yield f"{where}.marginal", f"{band:g} is not above 0"
    elif low is not None and high is not None and 2 * band >= high - low:
        yield f"{where}.marginal", f"{band:g} leaves nothing between min and max"


def _of_form(expect: "Expectation", seconds: float, where: str) -> Iterator[Problem]:
    """The forms exclude each other, and each must leave samples that it can fail on."""
    forms = {
        "ever": expect.ever,
        "never": expect.never,
        "within_s": expect.within_s is not None,
        "for_s": expect.for_s is not None,
    }
    chosen = [name for name, there in forms.items() if there]
    if len(chosen) > 1:
        yield f"{where}.{chosen[1]}", f"not beside {chosen[0]}: one form an expectation"
    until = seconds if expect.until_s is None else expect.until_s
    for name in ("within_s", "for_s"):
        value = getattr(expect, name)
        if value is not None and not 0 < value <= until - expect.from_s:
            yield f"{where}.{name}", f"{value:g} is not above 0 and within the window"
    yield from _of_band(expect, where)
    if expect.requirement and expect.requirement not in REQUIREMENTS:
        hint = nearest(expect.requirement, REQUIREMENTS)
        yield f"{where}.requirement", f"unknown {expect.requirement!r}{hint}"
