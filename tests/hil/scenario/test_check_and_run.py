# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil check` finds no mistake in a file if and only if a run of the file starts.

The files are random, from the words of the bench and from shipped scenarios. A run starts if its
file loads, its row is built, and the agent takes its configuration.
"""

import random
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from hil.bench.optional_sections import SECTION_WRITERS
from hil.bench.testbed_settings import LIMITS, TestbedSettings
from hil.commands import hil
from hil.devices.gnss.dialects import DIALECTS
from hil.errors import ScenarioError
from hil.fault.registry import EVENTS
from hil.measure.registry import MEASURES
from hil.run.several.open_run import open_run
from hil.scenario.authoring.file_check import check_text
from hil.scenario.loader import shipped_files
from hil.scenario.model import Expectation, Prompt, ScenarioEvent
from hil.scenario.suite import resolve

_TEXTS = (
    *("", "a", "a b", " a", "b ", "ä", "x/y", "a\\u0007b", "smoke", "0", "-", "confirm", "number"),
    *("always", "polar66", "sbd", "imt", "windows", "1 x", "10 cap_pct 50", "10 cap_pct 50; 2"),
    *("-1 cap_pct 3", "2026-12-31T23:50:00Z", "2026-02-30T00:00:00Z", "\\u202e", "a\\nb"),
    *(*SECTION_WRITERS, *DIALECTS, "a" * 90),
)
_INTEGERS = ("-1", "0", "1", "2", "3", "12", "13", "63", "9600", "115200", str(2**70))
_NUMBERS = ("0", "1", "-1", "0.5", "20", "50.0", "1e3", "1e9", "nan", "inf", "1e308", "9" * 30)
_BOOLEANS = ("true", "false")


class Author:
    """Writes random files."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, kind: str) -> str:
        """Return a literal of a type, sometimes of another one."""
        if self.random.random() < 0.05:
            kind = self.random.choice(("str", "int", "float", "bool"))
        if kind == "str":
            return f'"{self.random.choice(_TEXTS)}"'
        return self.random.choice({"int": _INTEGERS, "bool": _BOOLEANS}.get(kind, _NUMBERS))

    def key(self, kind: type[Any]) -> str:
        """Return a line for a random field of a table."""
        field: Field[Any] = self.random.choice(fields(kind))
        name = field.type.__name__ if isinstance(field.type, type) else str(field.type)
        if kind is TestbedSettings and field.name in LIMITS and self.random.random() < 0.7:
            return f"{field.name} = {self.random.choice(LIMITS[field.name])}"
        return f"{field.name} = {self.value(name.split(maxsplit=1)[0])}"

    def table(self, head: str, first: list[str], kind: type[Any], most: int) -> str:
        """Return a table with its first lines, and some random ones; each key once."""
        lines = [*first, *(self.key(kind) for _ in range(self.random.randint(0, most)))]
        unique = {line.partition(" =")[0]: line for line in lines}
        return "\n".join([head, *unique.values()])

    def row(self) -> str:
        lines = []
        if self.random.random() < 0.5:
            parts = self.random.sample([*SECTION_WRITERS, "modem"], self.random.randint(1, 3))
            lines.append(f'parts = "{", ".join(parts)}"')
        if self.random.random() < 0.5:
            key = self.random.choice(("modem", "sky", "modem_power", "schedule"))
            lines.append(f'{key} = "{self.random.choice(_TEXTS)}"')
        return self.table("[row]", lines, TestbedSettings, 2)

    def expectation(self) -> str:
        name = self.random.choice(list(MEASURES))
        argument = self.random.choice(("", ":1", ":x", ":bus_lost", ":it_load", "::", ":@it_load"))
        if not MEASURES[name].argument and self.random.random() < 0.9:
            argument = ""
        head = [f'measure = "{name}{argument}"', f'unit = "{MEASURES[name].unit}"', "max = 5"]
        return self.table("[[expect]]", head, Expectation, 1)

    def new_file(self) -> str:
        name = self.value("str") if self.random.random() < 0.3 else '"a"'
        title = self.value("str") if self.random.random() < 0.3 else '"t"'
        parts = [f"name = {name}", f"title = {title}"]
        parts.append(f"seconds = {self.random.choice(('1', '60', '60', '60.5', '0.5'))}")
        if self.random.random() < 0.6:
            parts.append(self.row())
        if self.random.random() < 0.3:
            lines = ["at_s = 1", f'do = "{self.random.choice(list(EVENTS))}"']
            parts.append(self.table("[[event]]", lines, ScenarioEvent, 2))
        parts.append(self.expectation())
        if self.random.random() < 0.2:
            parts.append(self.table("[[prompt]]", ["at_s = 1", 'text = "q"'], Prompt, 2))
        if self.random.random() < 0.2:
            parts.append(self.table("[[case]]", [f"name = {self.value('str')}"], Prompt, 0))
        return "\n".join(parts)

    def changed_file(self) -> str:
        """Return a shipped file with a changed, missing or additional line."""
        name = self.random.choice(sorted(shipped_files()))
        lines = shipped_files()[name].read_text(encoding="utf-8").splitlines()
        at = self.random.randrange(len(lines))
        if self.random.random() < 0.4:
            lines[at] = lines[at].partition("=")[0] + "= " + self.value("str")
        elif self.random.random() < 0.5:
            del lines[at]
        else:
            kind = self.random.choice((TestbedSettings, ScenarioEvent, Expectation))
            lines.insert(at, self.key(kind))
        return "\n".join(lines)


def starts(path: Path) -> bool:
    """Return whether a run of the file starts. Another error than ScenarioError is raised."""
    try:
        suite = resolve(str(path))
    except ScenarioError:
        return False
    for scenario in suite.scenarios:
        open_run(scenario, 1).close()
    return True


@pytest.mark.parametrize("seed", range(4))
def test_a_file_without_mistakes_starts_and_another_one_does_not(seed: int, tmp_path: Path) -> None:
    author, path = Author(seed), tmp_path / "x.toml"
    started = 0
    for _ in range(250):
        text = author.changed_file() if author.random.random() < 0.2 else author.new_file()
        path.write_text(text, encoding="utf-8")
        problems = check_text(text)
        is_started = starts(path)
        started += is_started
        assert is_started == (problems == []), (text, problems)
    assert started > 10


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name = "a"', 'name = "a b"', "name: 'a b' is not like load-step"),
        ('name = "a"', 'name = " "', "name: ' ' is not like load-step"),
        ('name = "c"', 'name = "c d"', "case[0].name: 'c d' is not like load-step"),
        ('title = "t"', 'title = "  "', "title: is empty"),
        ('title = "t"', 'title = "a\\u001bb"', "has a character that cannot be printed"),
        ('text = "q"', 'text = ""', "prompt[0].text: is empty"),
        ("it_kw = 1", 'sky = "x"', "row.sky: unknown 'x'; there are always"),
        ("it_kw = 1", 'modem = "x"', "row.modem: unknown 'x'; there are sbd"),
        ("it_kw = 1", 'modem_power = "x"', "row.modem_power: unknown 'x'; there are always"),
        ("it_kw = 1", 'schedule = "x"', "row.schedule: 'x' is not like '60 cap_pct 50'"),
        ("it_kw = 1", 'parts = "ledger"', "row: the agent refuses this row: ledger.meters"),
    ],
)
def test_what_only_the_run_refused_before(
    old: str, new: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.toml"
    text = 'name = "a"\ntitle = "t"\nseconds = 5\n[row]\nit_kw = 1\n[[case]]\nname = "c"\n'
    text += '[[expect]]\nmeasure = "missed_ticks"\nmax = 0\n[[prompt]]\nat_s = 1\ntext = "q"\n'
    path.write_text(text)
    assert hil(["check", str(path)]) == 0
    path.write_text(text.replace(old, new))
    capsys.readouterr()
    assert hil(["check", str(path)]) == 2
    assert problem in capsys.readouterr().out
    assert hil(["run", str(path)]) == 2
