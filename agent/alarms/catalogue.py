# SPDX-License-Identifier: Apache-2.0
"""Catalogue of alarms: what a person needs to know of each code (ISA-18.2).

Does not raise alarms and does not know the records; see `agent.core.alarm_record`. alarms.toml
beside this file has the data and describes its fields. The file is read once, by tools on CPython.
`compare` finds codes that have no entry, and entries that have no code.
"""

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PRIORITIES = {
    1: "act now",
    2: "act within 30 min",
    3: "act today",
    4: "note for the weekly service",
}
MAX_RESPOND_S = {1: 300, 2: 1800, 3: 86_400, 4: 604_800}
"""Longest time to respond of each priority, s."""
USUAL_LAG_S, MAX_LAG_S = 20, 180
UNKNOWN_PRIORITY = 2
"""Priority of a code without an entry: the unit has other software than the reader."""

_CODE_LISTS = ("planned", "retired")
_TEXT_FIELDS = ("means", "cause", "consequence", "do")
_REQUIRED_FIELDS = {"number", "priority", "respond_s", *_TEXT_FIELDS}
_OPTIONAL_FIELDS = {"reset", "suppressed_by", "continued_by", "lag_s", "state", "siblings"}
_RELATIONS = ("suppressed_by", "continued_by")


@dataclass(frozen=True, slots=True)
class AlarmEntry:
    """One code; alarms.toml describes the fields. `reset` "": the alarm is not latched.

    `siblings`: alarms of this code with several sources are one message.
    """

    code: str
    number: int
    priority: int
    means: str
    cause: str
    consequence: str
    do: str
    respond_s: int
    reset: str = ""
    suppressed_by: tuple[str, ...] = ()
    continued_by: tuple[str, ...] = ()
    lag_s: int = USUAL_LAG_S
    state: str = ""
    siblings: bool = False

    @property
    def latching(self) -> bool:
        """Whether the alarm stays until a command resets it."""
        return bool(self.reset)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All entries by code. `groups`: title and codes of each package, in the order of the file."""

    entries: dict[str, AlarmEntry]
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    planned: frozenset[str]
    retired: dict[str, int]

    def find(self, text: str) -> AlarmEntry | None:
        """Find an entry by `CODE`, `CODE:SOURCE` or number. None: unknown."""
        if text.isdecimal():
            return next(
                (entry for entry in self.entries.values() if entry.number == int(text)), None
            )
        return self.entries.get(text.partition(":")[0])

    def priority(self, code: str) -> int:
        """Return the priority of a code, with or without a source."""
        entry = self.find(code)
        return UNKNOWN_PRIORITY if entry is None else entry.priority


def span_text(seconds: int) -> str:
    """Return a time to respond in words: `5 min`."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of this package."""
    text = (Path(__file__).parent / "alarms.toml").read_text(encoding="utf-8")
    return parse(tomllib.loads(text))


def parse(data: dict[str, Any]) -> Catalogue:
    """Build a catalogue from the content of alarms.toml. Raises ValueError: all problems."""
    packages = {key: value for key, value in data.items() if key not in _CODE_LISTS}
    tables = [
        (code, table)
        for package in packages.values()
        for code, table in package.items()
        if code != "title"
    ]
    retired: dict[str, int] = data.get("retired", {})
    problems = [problem for code, table in tables for problem in _field_problems(code, table)]
    if not problems:
        problems = list(_relation_problems(tables, retired))
    if problems:
        raise ValueError("alarms.toml: " + "; ".join(problems))
    entries = {
        code: AlarmEntry(
            code, **{**table, **{name: tuple(table.get(name, ())) for name in _RELATIONS}}
        )
        for code, table in tables
    }
    groups = tuple(
        (package["title"], tuple(code for code in package if code != "title"))
        for package in packages.values()
    )
    return Catalogue(entries, groups, frozenset(data.get("planned", ())), retired)


def _field_problems(code: str, table: dict[str, Any]) -> Iterator[str]:
    """Find missing, unknown and wrong fields of one entry."""
    missing, unknown = (
        _REQUIRED_FIELDS - set(table),
        set(table) - _REQUIRED_FIELDS - _OPTIONAL_FIELDS,
    )
    if missing:
        yield f"{code}: missing {', '.join(sorted(missing))}"
    if unknown:
        yield f"{code}: unknown {', '.join(sorted(unknown))}"
    if missing:
        return
    priority, respond_s = table["priority"], table["respond_s"]
    if priority not in PRIORITIES:
        yield f"{code}: priority {priority} is not 1 to 4"
    elif not 0 < respond_s <= MAX_RESPOND_S[priority]:
        yield f"{code}: respond_s is not 1 to {MAX_RESPOND_S[priority]} (priority {priority})"
    for name in _TEXT_FIELDS:
        if not str(table[name]).strip():
            yield f"{code}: {name} is empty"


def _relation_problems(
    tables: list[tuple[str, dict[str, Any]]], retired: dict[str, int]
) -> Iterator[str]:
    """Find numbers and codes that are used twice, and root alarms that do not exist."""
    numbers = {number: code for code, number in retired.items()}
    priorities = {code: table["priority"] for code, table in tables}
    seen = set(retired)
    for code, table in tables:
        if code in seen:
            yield f"{code}: has two entries, or is retired"
        seen.add(code)
        other = numbers.setdefault(table["number"], code)
        if other != code:
            yield f"{code}: number {table['number']} belongs to {other}"
        yield from _root_problems(code, table, priorities)


def _root_problems(code: str, table: dict[str, Any], priorities: dict[str, int]) -> Iterator[str]:
    """Find root alarms that do not exist or that must not suppress the code."""
    for root in table.get("suppressed_by", ()):
        if root not in priorities:
            yield f"{code}: suppressed_by {root}: no such code"
        elif root == code:
            yield f"{code}: suppresses itself"
        elif priorities[root] > priorities[code]:
            yield f"{code}: suppressed_by {root}: has a lower priority"
    for cause in table.get("continued_by", ()):
        if cause not in priorities or cause == code:
            yield f"{code}: continued_by {cause}: no such other code"
    lag_s = table.get("lag_s")
    is_longer = lag_s is not None and USUAL_LAG_S < lag_s <= MAX_LAG_S
    if lag_s is not None and not (table.get("suppressed_by") and is_longer):
        yield f"{code}: lag_s needs suppressed_by, and is {USUAL_LAG_S + 1} to {MAX_LAG_S}"


def compare(found: Catalogue, records: Collection[str]) -> list[str]:
    """Compare the entries with the codes of all records; return the problems."""
    entries = set(found.entries)
    problems = [
        f"{code}: no entry in agent/alarms/alarms.toml; add a table [PACKAGE.{code}] "
        "(the head of the file describes its fields)"
        for code in sorted(set(records) - entries)
    ]
    problems += [
        f"{code}: entry in agent/alarms/alarms.toml, not in the code; delete the entry and add its "
        "number to [retired], or add the code to `planned`"
        for code in sorted(entries - set(records) - found.planned)
    ]
    return problems
