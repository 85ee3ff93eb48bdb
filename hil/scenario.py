"""A scenario as data: the setting, the timeline of events and faults, what is expected.

Not the run (that is `hil.run`) and not the words for faults and measures (`hil.faults`,
`hil.measures`): here a TOML file is read and checked against those words, so that a spelling
mistake is one clear line before anything starts. Times are seconds from the start of the run.

    name = "load-step"
    title = "the load doubles, the loops hold"
    seconds = 120
    [row]                                   # the setting: see `Setting`
    it_kw = 50
    [[event]]                               # at 20 s, the load steps to 100 kW
    at_s = 20
    do = "it_load"
    value = 100
    [[expect]]                              # every sample from 20 s on lies within the limits
    measure = "supply_c"
    unit = "Cel"
    max = 35
    from_s = 20
"""

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from hil.errors import ScenarioError
from hil.faults import EVENTS
from hil.measures import MEASURES
from hil.setting import Setting


@dataclass(frozen=True)
class Event:
    """Something that happens: a word of `hil.faults`, at `at_s`, undone after `for_s` if given."""

    at_s: float
    do: str
    value: float | None = None
    for_s: float | None = None


@dataclass(frozen=True)
class Expectation:
    """Every sample of a measure in a window lies within limits (`ever`: at least one does)."""

    measure: str
    unit: str = ""
    min: float | None = None
    max: float | None = None
    from_s: float = 0.0
    until_s: float | None = None
    ever: bool = False


@dataclass(frozen=True)
class Scenario:
    """A scenario, ready to run. `seconds` is how long it lasts."""

    name: str
    title: str
    seconds: float
    row: Setting = field(default_factory=Setting)
    events: tuple[Event, ...] = ()
    expectations: tuple[Expectation, ...] = ()


_TOP = ("name", "title", "seconds")


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _type_name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


class _Reader:
    """Builds dataclasses from tables, and says which key of which table is wrong."""

    def __init__(self, place: str) -> None:
        self.place = place

    def fail(self, where: str, what: str) -> ScenarioError:
        return ScenarioError(f"{self.place}: {where}: {what}")

    def build(self, kind: type[Any], table: object, where: str) -> Any:
        if not isinstance(table, dict):
            raise self.fail(where, "a table is needed")
        known = {f.name: f for f in fields(kind)}
        for key, value in table.items():
            if key not in known:
                raise self.fail(f"{where}.{key}", "unknown key" + _nearest(key, known))
            self._check_type(_type_name(known[key].type), value, f"{where}.{key}")
        try:
            return kind(**table)
        except TypeError as error:
            raise self.fail(where, str(error).split("() ")[-1]) from None

    def _check_type(self, wanted: str, value: object, where: str) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = isinstance(value, int) and number
        text = isinstance(value, str)
        flag = isinstance(value, bool)
        right = {"float": number, "int": whole, "str": text, "bool": flag}
        kind = wanted.split(maxsplit=1)[0]
        if not right.get(kind, True):
            raise self.fail(where, f"{value!r} is not a {kind}")


def parse(text: str, place: str) -> Scenario:
    """Read a scenario; raises `ScenarioError` naming `place`, key and fault."""
    reader = _Reader(place)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{place}: {error}") from None
    row = reader.build(Setting, table.pop("row", {}), "row")
    events = tuple(
        reader.build(Event, t, f"event[{i}]") for i, t in enumerate(table.pop("event", []))
    )
    expectations = tuple(
        reader.build(Expectation, t, f"expect[{i}]") for i, t in enumerate(table.pop("expect", []))
    )
    for key in table:
        if key not in _TOP:
            raise reader.fail(key, "unknown key" + _nearest(key, (*_TOP, "row", "event", "expect")))
    for key in _TOP:
        if key not in table:
            raise reader.fail(key, "missing")
    whole = {**table, "row": row, "events": events, "expectations": expectations}
    scenario: Scenario = reader.build(Scenario, whole, "scenario")
    _check(reader, scenario)
    return scenario


def _check(reader: _Reader, scenario: Scenario) -> None:
    if not 1 <= scenario.seconds <= 10_000_000:
        raise reader.fail("seconds", f"{scenario.seconds} is outside 1 to 10000000")
    for i, event in enumerate(scenario.events):
        where = f"event[{i}]"
        if event.do not in EVENTS:
            raise reader.fail(f"{where}.do", f"unknown {event.do!r}" + _nearest(event.do, EVENTS))
        if EVENTS[event.do].needs_value and event.value is None:
            raise reader.fail(f"{where}.value", f"{event.do} needs a value")
        if not 0 <= event.at_s <= scenario.seconds:
            raise reader.fail(f"{where}.at_s", f"{event.at_s} is outside the scenario")
    for i, expect in enumerate(scenario.expectations):
        _check_expectation(reader, expect, f"expect[{i}]", scenario.seconds)


def _check_expectation(reader: _Reader, expect: Expectation, where: str, seconds: float) -> None:
    name = expect.measure.split(":")[0]
    if name not in MEASURES:
        raise reader.fail(
            f"{where}.measure", f"unknown {expect.measure!r}" + _nearest(name, MEASURES)
        )
    unit = MEASURES[name].unit
    if expect.unit != unit:
        raise reader.fail(f"{where}.unit", f"{name} is in {unit!r}, not {expect.unit!r}")
    if expect.min is None and expect.max is None:
        raise reader.fail(where, "min, max or both are needed")
    if not 0 <= expect.from_s < (expect.until_s or seconds) <= seconds:
        raise reader.fail(f"{where}.from_s", "the window is empty or outside the scenario")


def shipped() -> list[str]:
    """Name the scenarios that come with the bench."""
    folder = resources.files("hil") / "scenarios"
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))


def find(name: str) -> Scenario:
    """Read a shipped scenario by name, or a file by its path."""
    if name.endswith(".toml"):
        try:
            return parse(Path(name).read_text(encoding="utf-8"), name)
        except OSError as error:
            raise ScenarioError(f"{name}: {error.strerror}") from None
    names = shipped()
    if name not in names:
        raise ScenarioError(
            f"{name}: no such scenario{_nearest(name, names)}; there are {', '.join(names)}"
        )
    text = (resources.files("hil") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
    return parse(text, f"{name}.toml")
