"""A scenario as data: the setting, the timeline of events and faults, what is expected.

Not the run (that is `hil.run.virtual`, `hil.run.real`) and not the meaning of what is written (that
is `hil.scenario.semantic_check`): here a TOML file is read into types, so that a spelling mistake
is one clear line before anything starts. Times are seconds from the start of the run.

    name = "load-step"
    title = "the load doubles, the loops hold"
    seconds = 120
    [row]                                   # the setting: see `TestbedSettings`
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

from hil.bench.testbed_settings import TestbedSettings
from hil.errors import ScenarioError
from hil.scenario.suggestion import suggest_name


@dataclass(frozen=True)
class ScenarioEvent:
    """Something that happens: a word of `hil.fault.registry`, at `at_s`, undone after `for_s` if
    given.
    """

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
    settings: TestbedSettings = field(default_factory=TestbedSettings)
    events: tuple[ScenarioEvent, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    cases: tuple["Scenario", ...] = ()
    realtime: bool = False
    text: str = ""

    def expand_cases(self) -> "tuple[Scenario, ...]":
        """Give what is to be run: its cases, or itself where it has none."""
        return self.cases or (self,)


_REQUIRED_KEYS = ("name", "title", "seconds")
_OPTIONAL_KEYS = ("realtime",)
_TABLES = ("row", "event", "expect", "prompt", "case")
_TYPE_TEXTS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
}


def _matches_type(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "float":
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, {"int": int, "str": str, "bool": bool}[kind])


class _TomlReader:
    """Builds dataclasses from tables, and says which key of which table is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source

    def make_error(self, key_path: str, message: str) -> ScenarioError:
        return ScenarioError(f"{self.source}: {key_path}: {message}")

    def build(self, kind: type[Any], table: object, key_path: str) -> Any:
        if not isinstance(table, dict):
            raise self.make_error(key_path, "a table is needed")
        known = {f.name: f for f in fields(kind)}
        for key, value in table.items():
            if key not in known:
                raise self.make_error(f"{key_path}.{key}", "unknown key" + suggest_name(key, known))
            self.check_type(known[key].type, value, f"{key_path}.{key}")
        for name, entry in known.items():
            if entry.default is MISSING and name not in table:
                raise self.make_error(f"{key_path}.{name}", "missing")
        return kind(**table)

    def build_all(self, kind: type[Any], tables: object, key_path: str) -> tuple[Any, ...]:
        if not isinstance(tables, list):
            raise self.make_error(key_path, f"tables are needed: write [[{key_path}]]")
        return tuple(self.build(kind, t, f"{key_path}[{i}]") for i, t in enumerate(tables))

    def check_type(self, expected_type: object, value: object, key_path: str) -> None:
        name = expected_type.__name__ if isinstance(expected_type, type) else str(expected_type)
        kind = name.split(maxsplit=1)[0]  # "float | None" is a float
        if not _matches_type(kind, value):
            raise self.make_error(key_path, f"{value!r} is not {_TYPE_TEXTS[kind]}")


def parse_model(text: str, source: str) -> Scenario:
    """Read a scenario without the check of its meaning; raises `ScenarioError` naming `source`, key and fault."""
    reader = _TomlReader(source)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{source}: {error}") from None
    _check_top(table, reader)
    scenario = Scenario(
        table["name"],
        table["title"],
        table["seconds"],
        reader.build(TestbedSettings, table.get("row", {}), "row"),
        reader.build_all(ScenarioEvent, table.get("event", []), "event"),
        reader.build_all(Expectation, table.get("expect", []), "expect"),
        reader.build_all(Prompt, table.get("prompt", []), "prompt"),
        realtime=table.get("realtime", False),
        text=text,
    )
    return replace(scenario, cases=_build_cases(scenario, table, reader))


def _check_top(table: dict[str, Any], reader: _TomlReader) -> None:
    known = _REQUIRED_KEYS + _OPTIONAL_KEYS + _TABLES
    for key in table:
        if key not in known:
            raise reader.make_error(key, "unknown key" + suggest_name(key, known))
    types = {f.name: f.type for f in fields(Scenario)}
    for key in _REQUIRED_KEYS + _OPTIONAL_KEYS:
        if key in table:
            reader.check_type(types[key], table[key], key)
        elif key in _REQUIRED_KEYS:
            raise reader.make_error(key, "missing")


def _build_cases(
    scenario: Scenario, table: dict[str, Any], reader: _TomlReader
) -> tuple[Scenario, ...]:
    """Make a scenario of each line of the sweep: the row with that line's values in it."""
    cases: list[Scenario] = []
    for i, case_table in enumerate(table.get("case", [])):
        key_path = f"case[{i}]"
        if not isinstance(case_table, dict) or not isinstance(case_table.get("name"), str):
            raise reader.make_error(f"{key_path}.name", "missing: a text that names the case")
        values = {**table.get("row", {}), **{k: v for k, v in case_table.items() if k != "name"}}
        name = f"{scenario.name}/{case_table['name']}"
        if any(case.name == name for case in cases):
            raise reader.make_error(f"{key_path}.name", f"{case_table['name']!r} stands twice")
        cases.append(
            replace(scenario, name=name, settings=reader.build(TestbedSettings, values, key_path))
        )
    return tuple(cases)
