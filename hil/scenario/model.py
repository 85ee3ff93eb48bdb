"""A scenario as data: the setting, the timeline of events and faults, what is expected.

Not the run (that is `hil.run.virtual`, `hil.run.real`) and not the meaning of what is written (that
is `hil.scenario.semantic_check`): here a TOML file is read into types, so that a spelling mistake is one
clear line before anything starts. Times are seconds from the start of the run.

    name = "load-step"
    title = "the load doubles, the loops hold"
    seconds = 120
    [row]                                   # the setting: see `Setting`
    it_kw = 50
    [[event]]                               # at 20 s, the load steps to 100 kW
    at_s = 20
    do = "it_load"
    value = 100
    [[prompt]]                              # at 15 s, a technician is asked; a machine goes on
    at_s = 15
    text = "is the flow meter's arrow with the flow?"
    [[expect]]                              # within 40 s of the step, and from then on
    measure = "supply_c"
    unit = "Cel"
    max = 35
    from_s = 20
    within_s = 40
    marginal = 0.5                          # closer than 0.5 to a limit is "marginal"
    requirement = "COOL-1"                  # see `hil.scenario.requirements`
    [[case]]                                # a table for a sweep: the whole once a case
    name = "hot"
    it_kw = 80                              # a key of [row]
"""

import math
import tomllib
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from hil.bench.testbed_settings import Setting
from hil.errors import ScenarioError
from hil.scenario.semantic_check import nearest, problem


@dataclass(frozen=True)
class Event:
    """Something that happens: a word of `hil.fault.registry`, at `at_s`, undone after `for_s` if given."""

    at_s: float
    do: str
    value: float | None = None
    for_s: float | None = None


@dataclass(frozen=True)
class Prompt:
    """A question to the technician at `at_s`; `ask` says what answers it: `confirm` or `text`.

    Without a technician (no page) it is taken as confirmed, and the record says so.
    """

    at_s: float
    text: str
    ask: str = "confirm"


@dataclass(frozen=True)
class Expectation:
    """What the samples of a measure from `from_s` to `until_s` must be. One of:

    every one lies within the limits; with `within_s`, from so long after `from_s` on (the record
    tells how long it took); `ever`: at least one does; `never`: none does; `for_s`: they do for so
    long without a break. `marginal`: closer to a limit than that is good, but said.
    """

    measure: str
    unit: str = ""
    min: float | None = None
    max: float | None = None
    from_s: float = 0.0
    until_s: float | None = None
    ever: bool = False
    never: bool = False
    within_s: float | None = None
    for_s: float | None = None
    marginal: float | None = None
    requirement: str = ""


@dataclass(frozen=True)
class Scenario:
    """A scenario, ready to run. `seconds` is how long it lasts.

    `realtime`: it is also worth running in real time, over real ports. `text` is the file's own.
    """

    name: str
    title: str
    seconds: float
    row: Setting = field(default_factory=Setting)
    events: tuple[Event, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    cases: tuple["Scenario", ...] = ()
    realtime: bool = False
    text: str = ""

    def runs(self) -> "tuple[Scenario, ...]":
        """Give what is to be run: its cases, or itself where it has none."""
        return self.cases or (self,)


_TOP = ("name", "title", "seconds")
_OPTIONS = ("realtime",)
_TABLES = ("row", "event", "expect", "prompt", "case")
_KINDS = {"float": "a number", "int": "a whole number", "str": "a text", "bool": "true or false"}


def _is_a(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "float":
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, {"int": int, "str": str, "bool": bool}[kind])


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
                raise self.fail(f"{where}.{key}", "unknown key" + nearest(key, known))
            self.check_type(known[key].type, value, f"{where}.{key}")
        for name, entry in known.items():
            if entry.default is MISSING and name not in table:
                raise self.fail(f"{where}.{name}", "missing")
        return kind(**table)

    def build_all(self, kind: type[Any], tables: object, where: str) -> tuple[Any, ...]:
        if not isinstance(tables, list):
            raise self.fail(where, f"tables are needed: write [[{where}]]")
        return tuple(self.build(kind, t, f"{where}[{i}]") for i, t in enumerate(tables))

    def check_type(self, wanted: object, value: object, where: str) -> None:
        name = wanted.__name__ if isinstance(wanted, type) else str(wanted)
        kind = name.split(maxsplit=1)[0]  # "float | None" is a float
        if not _is_a(kind, value):
            raise self.fail(where, f"{value!r} is not {_KINDS[kind]}")


def parse(text: str, place: str) -> Scenario:
    """Read a scenario; raises `ScenarioError` naming `place`, key and fault."""
    reader = _Reader(place)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{place}: {error}") from None
    _check_top(table, reader)
    scenario = Scenario(
        table["name"],
        table["title"],
        table["seconds"],
        reader.build(Setting, table.get("row", {}), "row"),
        reader.build_all(Event, table.get("event", []), "event"),
        reader.build_all(Expectation, table.get("expect", []), "expect"),
        reader.build_all(Prompt, table.get("prompt", []), "prompt"),
        realtime=table.get("realtime", False),
        text=text,
    )
    scenario = replace(scenario, cases=_cases(scenario, table, reader))
    for case in scenario.runs():
        wrong = problem(case)
        if wrong is not None:
            raise reader.fail(*wrong)
    return scenario


def _check_top(table: dict[str, Any], reader: _Reader) -> None:
    known = _TOP + _OPTIONS + _TABLES
    for key in table:
        if key not in known:
            raise reader.fail(key, "unknown key" + nearest(key, known))
    types = {f.name: f.type for f in fields(Scenario)}
    for key in _TOP + _OPTIONS:
        if key in table:
            reader.check_type(types[key], table[key], key)
        elif key in _TOP:
            raise reader.fail(key, "missing")


def _cases(scenario: Scenario, table: dict[str, Any], reader: _Reader) -> tuple[Scenario, ...]:
    """Make a scenario of each line of the sweep: the row with that line's values in it."""
    built: list[Scenario] = []
    for i, line in enumerate(table.get("case", [])):
        where = f"case[{i}]"
        if not isinstance(line, dict) or not isinstance(line.get("name"), str):
            raise reader.fail(f"{where}.name", "missing: a text that names the case")
        values = {**table.get("row", {}), **{k: v for k, v in line.items() if k != "name"}}
        name = f"{scenario.name}/{line['name']}"
        if any(case.name == name for case in built):
            raise reader.fail(f"{where}.name", f"{line['name']!r} stands twice")
        built.append(replace(scenario, name=name, row=reader.build(Setting, values, where)))
    return tuple(built)
