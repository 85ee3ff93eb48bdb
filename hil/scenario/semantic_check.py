# SPDX-License-Identifier: Apache-2.0
"""Checks the values of a scenario against the abilities of the bench.

Does not read the file; see `hil.scenario.model`, which checks keys and types. `find_problem`
rejects a scenario that cannot run. It also rejects one that cannot fail, because a condition in it
can never become true.
"""

from collections.abc import Iterator
from typing import NamedTuple

from agent.alarms.catalogue import catalogue
from hil.bench.optional_sections import SECTION_WRITERS, section_names
from hil.bench.receiver_choice import parse_start_us
from hil.bench.testbed_settings import LIMITS, TestbedSettings, several_setting
from hil.devices.gnss.dialects import DIALECTS
from hil.fault.registry import EVENTS
from hil.measure.registry import ALARM_CODES, MEASURES
from hil.scenario.fault_parts import VIRTUAL_FAULTS, find_limits, find_refusal
from hil.scenario.model import MAX_SECONDS, Expectation, Prompt, Scenario, ScenarioEvent
from hil.scenario.requirements import REQUIREMENTS
from hil.scenario.row_check import find_config_problem, find_row_problems
from hil.scenario.several_check import find_several_problems
from hil.scenario.suggestion import suggest_name

PROMPT_KINDS = ("confirm", "text", "number")
REALTIME_S = 120
"""Longest duration of a scenario that also runs in real time, s."""
_VIRTUAL_MEASURES = ("ground_", "receipts_", "alarm_after_s", "limit_after_s", "off_after_s")


class Problem(NamedTuple):
    """A wrong value of a scenario: its key, and a description of the problem."""

    key_path: str
    text: str


def find_problem(scenario: Scenario) -> Problem | None:
    """Return the first problem of `scenario`, or None."""
    return next(find_problems(scenario), None)


def find_problems(scenario: Scenario) -> Iterator[Problem]:
    """Find all problems of `scenario`."""
    if not 1 <= scenario.seconds <= MAX_SECONDS:
        yield Problem("seconds", f"{scenario.seconds} is outside 1 to {MAX_SECONDS}")
    yield from _check_row(scenario.settings)
    for key_path, text in find_several_problems(scenario):
        yield Problem(key_path, text)
    for i, event in enumerate(scenario.events):
        yield from _check_event(event, scenario, f"event[{i}]")
    for i, expectation in enumerate(scenario.expectations):
        yield from _check_measure(expectation, scenario.settings, f"expect[{i}]")
        yield from _check_limits(expectation, scenario.seconds, f"expect[{i}]")
        yield from _check_form(expectation, scenario.seconds, f"expect[{i}]")
    for i, prompt in enumerate(scenario.prompts):
        yield from _check_prompt(prompt, scenario.seconds, f"prompt[{i}]")
    yield from _check_real_time(scenario)


def _check_row(settings: TestbedSettings) -> Iterator[Problem]:
    """Check the keys one by one, and a row without a problem as a whole."""
    problems = [Problem(f"row.{key}", text) for key, text in find_row_problems(settings)]
    for name, (low, high) in LIMITS.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            problems.append(Problem(f"row.{name}", f"{value} is outside {low:g} to {high:g}"))
    problems += _check_receiver(settings)
    for name in section_names(settings):
        if name not in SECTION_WRITERS:
            hint = suggest_name(name, SECTION_WRITERS)
            problems.append(Problem("row.parts", f"unknown {name!r}{hint}"))
    yield from problems
    reason = "" if problems else find_config_problem(settings)
    if reason:
        yield Problem("row", reason)


def _check_prompt(prompt: Prompt, seconds: float, key_path: str) -> Iterator[Problem]:
    if not 0 <= prompt.at_s <= seconds:
        yield Problem(f"{key_path}.at_s", f"{prompt.at_s} is outside the scenario")
    if prompt.ask not in PROMPT_KINDS:
        yield Problem(f"{key_path}.ask", f"{prompt.ask!r} is not one of {', '.join(PROMPT_KINDS)}")
    is_number = prompt.ask == "number"
    if is_number != bool(prompt.unit):
        text = "missing: a number has a unit" if is_number else "only a number has a unit"
        yield Problem(f"{key_path}.unit", text)
    if not is_number and (prompt.min is not None or prompt.max is not None):
        yield Problem(f"{key_path}.min", "only a number has a range")
    elif prompt.min is not None and prompt.max is not None and prompt.min > prompt.max:
        yield Problem(f"{key_path}.min", f"{prompt.min:g} is above max, {prompt.max:g}")


def _check_real_time(scenario: Scenario) -> Iterator[Problem]:
    if not scenario.realtime:
        return
    if scenario.seconds > REALTIME_S:
        yield Problem(
            "realtime", f"{scenario.seconds:g} s is too long for real time; at most {REALTIME_S} s"
        )
    virtual_name = find_virtual_only(scenario)
    if virtual_name is not None:
        yield Problem("realtime", f"{virtual_name} is available in virtual time only")


def find_virtual_only(scenario: Scenario) -> str | None:
    """Name the first key, fault or measure that needs virtual time, or None."""
    if several_setting(scenario.settings):
        return "row." + several_setting(scenario.settings).partition(" ")[0]
    if scenario.settings.start_utc:
        return "row.start_utc"
    for event in scenario.events:
        if event.do in VIRTUAL_FAULTS:
            return event.do
    for expectation in scenario.expectations:
        if expectation.measure.startswith(_VIRTUAL_MEASURES):
            return expectation.measure
    return None


def _check_receiver(settings: TestbedSettings) -> Iterator[Problem]:
    name = settings.receiver_dialect
    if name and name not in DIALECTS:
        hint = suggest_name(name, DIALECTS) or f"; there are {', '.join(DIALECTS)}"
        yield Problem("row.receiver_dialect", f"unknown {name!r}{hint}")
    if not name and settings.receiver_pps:
        yield Problem("row.receiver_dialect", "missing: pulses need a receiver with a dialect")
    if 0 < settings.receiver_baud < 4800:
        yield Problem("row.receiver_baud", f"{settings.receiver_baud} is below 4800")
    if settings.start_utc and parse_start_us(settings.start_utc) is None:
        yield Problem(
            "row.start_utc",
            f"{settings.start_utc!r} is not a UTC time such as 2026-12-31T23:50:00Z",
        )


def _check_event(event: ScenarioEvent, scenario: Scenario, key_path: str) -> Iterator[Problem]:
    if not 0 <= event.at_s <= scenario.seconds:
        yield Problem(f"{key_path}.at_s", f"{event.at_s} is outside the scenario")
    if event.for_s is not None and not 0 < event.for_s <= MAX_SECONDS:
        text = f"{event.for_s} is not above 0 and at most {MAX_SECONDS}"
        yield Problem(f"{key_path}.for_s", text)
    if event.do not in EVENTS:
        yield Problem(f"{key_path}.do", f"unknown {event.do!r}" + suggest_name(event.do, EVENTS))
        return
    refusal = find_refusal(event.do, scenario.settings, in_real_time=False)
    if refusal:
        yield Problem(f"{key_path}.do", f"{event.do} {refusal}")
        return
    yield from _check_value(event, scenario.settings, f"{key_path}.value")
    check_text = EVENTS[event.do].check_text
    if check_text is None and event.text:
        yield Problem(f"{key_path}.text", f"{event.do} takes no text")
    elif check_text is not None and check_text(event.text):
        yield Problem(f"{key_path}.text", check_text(event.text))
    if event.for_s is not None and EVENTS[event.do].undo is None:
        yield Problem(f"{key_path}.for_s", f"{event.do} has no end")


def _check_value(
    event: ScenarioEvent, settings: TestbedSettings, key_path: str
) -> Iterator[Problem]:
    fault_type, value = EVENTS[event.do], event.value
    limits = find_limits(event.do, settings)
    if limits is None:
        if value is not None:
            yield Problem(key_path, f"{event.do} takes no value")
        return
    if value is None:
        yield Problem(key_path, f"{event.do} needs a value from {limits[0]:g} to {limits[1]:g}")
        return
    low, high = limits
    is_whole = fault_type.is_pump or fault_type.is_numbered
    if not low <= value <= high or (is_whole and value != int(value)):
        text = "is not the number of a pump," if fault_type.is_pump else "is outside"
        if fault_type.is_numbered and low <= value <= high:
            text = "is not a whole number from"
        yield Problem(key_path, f"{value} {text} {low:g} to {high:g}")


def _check_measure(
    expectation: Expectation, settings: TestbedSettings, key_path: str
) -> Iterator[Problem]:
    name, _, argument = expectation.measure.partition(":")
    if name not in MEASURES:
        yield Problem(
            f"{key_path}.measure", f"unknown {expectation.measure!r}" + suggest_name(name, MEASURES)
        )
        return
    measure = MEASURES[name]
    kind = measure.argument
    if kind.endswith("event"):
        argument, _, word = argument.partition("@")
        if word and word not in EVENTS:
            yield Problem(
                f"{key_path}.measure",
                f"{name}: unknown event {word!r}" + suggest_name(word, EVENTS),
            )
        kind = kind.removesuffix("event").removesuffix("_")
    yield from _check_argument(kind, name, argument, settings, f"{key_path}.measure")
    if expectation.unit != measure.unit:
        yield Problem(
            f"{key_path}.unit", f"{name} is in {measure.unit!r}, not {expectation.unit!r}"
        )


def _check_argument(
    kind: str, name: str, argument: str, settings: TestbedSettings, key_path: str
) -> Iterator[Problem]:
    if kind == "pump":
        pumps = [str(i + 1) for i in range(settings.pumps)]
        if argument not in pumps:
            yield Problem(
                key_path, f"{name}:{argument} names no pump; there are {', '.join(pumps)}"
            )
    elif kind in ("node", "unit"):
        count = settings.controllers if kind == "node" else settings.units
        if argument not in [str(i + 1) for i in range(count)]:
            yield Problem(key_path, f"{name}:{argument} is not like {name}:1; up to {count}")
    elif kind == "alarm":
        code = argument.split(":", maxsplit=1)[0]
        if code not in ALARM_CODES and code not in catalogue().planned:
            hint = suggest_name(code, ALARM_CODES) or f"; there are {', '.join(ALARM_CODES)}"
            yield Problem(key_path, f"{name}:{argument} names no alarm" + hint)
    elif argument:
        yield Problem(key_path, f"{name} takes nothing after a colon")


def _check_limits(expectation: Expectation, seconds: float, key_path: str) -> Iterator[Problem]:
    low, high = expectation.min, expectation.max
    if low is None and high is None:
        yield Problem(key_path, "min, max or both are needed")
    elif low is not None and high is not None and low > high:
        yield Problem(f"{key_path}.min", f"{low} is above max, {high}")
    until_s = seconds if expectation.until_s is None else expectation.until_s
    if not 0 <= expectation.from_s <= until_s <= seconds:
        yield Problem(f"{key_path}.from_s", "the window is empty or outside the scenario")
    elif int(until_s) < max(1, expectation.from_s):
        yield Problem(
            f"{key_path}.from_s",
            "no whole second lies in the window; the bench samples once a second",
        )


def _check_band(expectation: Expectation, key_path: str) -> Iterator[Problem]:
    band, low, high = expectation.marginal, expectation.min, expectation.max
    if band is None:
        return
    if band <= 0:
        yield Problem(f"{key_path}.marginal", f"{band:g} is not above 0")
    elif low is not None and high is not None and 2 * band >= high - low:
        yield Problem(f"{key_path}.marginal", f"{band:g} leaves nothing between min and max")


def _check_form(expectation: Expectation, seconds: float, key_path: str) -> Iterator[Problem]:
    """Check the form of an expectation: at most one, and some sample can violate it."""
    forms = {
        "ever": expectation.ever,
        "never": expectation.never,
        "within_s": expectation.within_s is not None,
        "for_s": expectation.for_s is not None,
    }
    given = [name for name, is_set in forms.items() if is_set]
    if len(given) > 1:
        yield Problem(
            f"{key_path}.{given[1]}", f"{given[0]} is already given: an expectation has one form"
        )
    until_s = seconds if expectation.until_s is None else expectation.until_s
    for name in ("within_s", "for_s"):
        value = getattr(expectation, name)
        if value is not None and not 0 < value <= until_s - expectation.from_s:
            yield Problem(f"{key_path}.{name}", f"{value:g} is not above 0 and within the window")
    yield from _check_band(expectation, key_path)
    if expectation.requirement and expectation.requirement not in REQUIREMENTS:
        hint = suggest_name(expectation.requirement, REQUIREMENTS)
        yield Problem(f"{key_path}.requirement", f"unknown {expectation.requirement!r}{hint}")
