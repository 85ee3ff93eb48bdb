# SPDX-License-Identifier: Apache-2.0
"""A scenario as data: settings of the testbed, events, expectations, prompts, cases.

Does not run a scenario (see `hil.run`) and does not check the meaning of its values (see
`hil.scenario.semantic_check`). It reads a TOML file into types. A misspelt key is one error line
before the run starts. Times are seconds from the start of the run.

    name = "load-step"
    title = "the load doubles, the loops hold"
    seconds = 120
    [row]                                   # settings: see `TestbedSettings`
    it_kw = 50
    [[event]]                               # at 20 s, the load steps to 100 kW
    at_s = 20
    do = "it_load"
    value = 100
    [[prompt]]                              # at 15 s, the page asks the technician
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
    only = "hot"                            # only in this case
    [[case]]                                # one run of the scenario for each case
    name = "hot"
    it_kw = 80                              # a key of [row]
"""

import math
import re
import tomllib
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, NamedTuple

from hil.bench.testbed_settings import TestbedSettings
from hil.errors import ScenarioError
from hil.scenario.suggestion import suggest_name


@dataclass(frozen=True)
class ScenarioEvent:
    """A fault or event of `hil.fault.registry` at `at_s`; it ends after `for_s`, if given.

    `text`: only for a fault that takes a text.
    """

    at_s: float
    do: str
    value: float | None = None
    for_s: float | None = None
    text: str = ""


@dataclass(frozen=True)
class Prompt:
    """A question to the technician at `at_s`; `ask`: `confirm`, `text` or `number`.

    A number has a `unit`, and can have a range: an answer outside it is refused. See
    `hil.scenario.questions`.
    """

    at_s: float
    text: str
    ask: str = "confirm"
    unit: str = ""
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Expectation:
    """The condition for the samples of a measure from `from_s` to `until_s`. It has one form:

    (none)     each sample lies within the limits
    within_s   each sample lies within the limits from `within_s` after `from_s` on
    ever       at least one sample lies within the limits
    never      no sample lies within the limits
    for_s      the samples lie within the limits for `for_s` without interruption

    `marginal`: a value closer to a limit than this passes as "marginal". `only`: names of the cases
    that it applies to, with a space between; "": all.
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
    only: str = ""


@dataclass(frozen=True)
class Scenario:
    """A scenario that is ready to run; `seconds` is its duration.

    `realtime`: it also runs in real time, over real ports. `text` is the text of the file.
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
        """Return the scenarios to run: the cases, or the scenario itself if it has no cases."""
        return self.cases or (self,)


MAX_SECONDS = 10_000_000
"""Longest duration of a scenario, s."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""Form of the name of a scenario or of a case."""
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


class ModelReading(NamedTuple):
    """What a text contains: the usable part of the scenario, and all problems of its keys.

    `positions` maps the name of a list, such as `event`, to the indices of its usable tables.
    """

    scenario: Scenario
    problems: list[tuple[str, str]]
    positions: dict[str, list[int]]


class _TomlReader:
    """Builds dataclasses from tables and collects problems: key path and text."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.positions: dict[str, list[int]] = {}

    def add(self, key_path: str, message: str) -> None:
        self.problems.append((key_path, message))

    def build(self, kind: type[Any], table: object, key_path: str) -> Any:
        """Build an object; None: a required key is missing or wrong."""
        if not isinstance(table, dict):
            self.add(key_path, "a table is needed")
            return None
        known = {f.name: f for f in fields(kind)}
        usable = {}
        for key, value in table.items():
            if key not in known:
                self.add(f"{key_path}.{key}", "unknown key" + suggest_name(key, known))
            elif self.check_type(known[key].type, value, f"{key_path}.{key}"):
                usable[key] = value
        required = [name for name, entry in known.items() if entry.default is MISSING]
        for name in required:
            if name not in table:
                self.add(f"{key_path}.{name}", "missing")
        return kind(**usable) if all(name in usable for name in required) else None

    def build_all(self, kind: type[Any], tables: object, key_path: str) -> tuple[Any, ...]:
        if not isinstance(tables, list):
            self.add(key_path, f"tables are needed: write [[{key_path}]]")
            return ()
        built = [self.build(kind, table, f"{key_path}[{i}]") for i, table in enumerate(tables)]
        self.positions[key_path] = [i for i, item in enumerate(built) if item is not None]
        return tuple(item for item in built if item is not None)

    def check_type(self, expected_type: object, value: object, key_path: str) -> bool:
        name = expected_type.__name__ if isinstance(expected_type, type) else str(expected_type)
        kind = name.split(maxsplit=1)[0]  # the type of "float | None" is float
        if not _matches_type(kind, value):
            self.add(key_path, f"{value!r} is not {_TYPE_TEXTS[kind]}")
            return False
        if isinstance(value, str) and not value.isprintable():
            self.add(key_path, f"{value!r} has a character that cannot be printed")
            return False
        return True

    def check_name(self, name: str, key_path: str) -> None:
        """Check the name of a scenario or a case: a word of a command line and of `only`.

        A scenario that was written from a case has the name of both: SCENARIO/CASE.
        """
        parts = name.split("/", 1) if key_path == "name" else [name]
        if not all(NAME.fullmatch(part) for part in parts):
            self.add(key_path, f"{name!r} is not like load-step: letters, digits, '-', '_' or '.'")

    def check_filled(self, text: str, key_path: str) -> None:
        if not text.strip():
            self.add(key_path, "is empty")


def parse_model(text: str, source: str) -> Scenario:
    """Read a scenario without the check of its values; raises `ScenarioError`.

    The error names `source`, the key and the problem.
    """
    try:
        reading = read_model(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{source}: {error}") from None
    if reading.problems:
        key_path, message = reading.problems[0]
        raise ScenarioError(f"{source}: {key_path}: {message}")
    return reading.scenario


def read_model(text: str) -> ModelReading:
    """Read a text and collect the problems of its keys. Raises tomllib.TOMLDecodeError."""
    try:
        table, reader = tomllib.loads(text), _TomlReader()
    except RecursionError:
        raise tomllib.TOMLDecodeError("nested too deeply") from None
    head = _check_top(table, reader)
    settings = reader.build(TestbedSettings, table.get("row", {}), "row")
    events = reader.build_all(ScenarioEvent, table.get("event", []), "event")
    expectations = reader.build_all(Expectation, table.get("expect", []), "expect")
    prompts = reader.build_all(Prompt, table.get("prompt", []), "prompt")
    for i, prompt in zip(reader.positions.get("prompt", []), prompts, strict=True):
        reader.check_filled(prompt.text, f"prompt[{i}].text")
    scenario = Scenario(
        head.get("name", ""),
        head.get("title", ""),
        head.get("seconds", MAX_SECONDS),
        settings or TestbedSettings(),
        events,
        expectations,
        prompts,
        realtime="seconds" in head and head.get("realtime", False),
        text=text,
    )
    cases = _build_cases(scenario, table, reader)
    return ModelReading(replace(scenario, cases=cases), reader.problems, reader.positions)


def _check_top(table: dict[str, Any], reader: _TomlReader) -> dict[str, Any]:
    """Check the keys of the file; give the usable ones that are no tables."""
    known = _REQUIRED_KEYS + _OPTIONAL_KEYS + _TABLES
    for key in table:
        if key not in known:
            reader.add(key, "unknown key" + suggest_name(key, known))
    types = {f.name: f.type for f in fields(Scenario)}
    head = {}
    for key in _REQUIRED_KEYS + _OPTIONAL_KEYS:
        if key in table and reader.check_type(types[key], table[key], key):
            head[key] = table[key]
        elif key in _REQUIRED_KEYS and key not in table:
            reader.add(key, "missing")
    if "name" in head:
        reader.check_name(head["name"], "name")
    if "title" in head:
        reader.check_filled(head["title"], "title")
    return head


def _build_cases(
    scenario: Scenario, table: dict[str, Any], reader: _TomlReader
) -> tuple[Scenario, ...]:
    """Make a scenario for each case: its values replace those of `[row]`."""
    cases: list[Scenario] = []
    tables = table.get("case", [])
    if not isinstance(tables, list):
        reader.add("case", "tables are needed: write [[case]]")
        return ()
    for i, case_table in enumerate(tables):
        key_path = f"case[{i}]"
        if not isinstance(case_table, dict) or not isinstance(case_table.get("name"), str):
            reader.add(f"{key_path}.name", "missing: a text that names the case")
            continue
        reader.check_name(case_table["name"], f"{key_path}.name")
        row = table.get("row", {})
        own_values = {key: value for key, value in case_table.items() if key != "name"}
        values = {**(row if isinstance(row, dict) else {}), **own_values}
        name = f"{scenario.name}/{case_table['name']}"
        if any(case.name == name for case in cases):
            reader.add(f"{key_path}.name", f"{case_table['name']!r} is given twice")
        settings = reader.build(TestbedSettings, values, key_path)
        expectations = tuple(
            replace(expectation, only="")
            for expectation in scenario.expectations
            if not expectation.only or case_table["name"] in expectation.only.split()
        )
        settings = settings or scenario.settings
        cases.append(replace(scenario, name=name, settings=settings, expectations=expectations))
    _check_only(scenario, [case.name.partition("/")[2] for case in cases], reader)
    return tuple(cases)


def _check_only(scenario: Scenario, case_names: list[str], reader: _TomlReader) -> None:
    for i, expectation in zip(
        reader.positions.get("expect", []), scenario.expectations, strict=True
    ):
        for name in expectation.only.split():
            if name not in case_names:
                reader.add(f"expect[{i}].only", f"{name!r} is no case of this scenario")
