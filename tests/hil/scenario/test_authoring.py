# SPDX-License-Identifier: Apache-2.0
"""Help for authors: all problems with their lines, first file, words, schema."""

import json
import random
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hil.bench.testbed_settings import TestbedSettings
from hil.commands import hil
from hil.errors import ScenarioError
from hil.fault.registry import EVENTS
from hil.measure.registry import MEASURES
from hil.scenario.authoring.file_check import LocatedProblem, check_text
from hil.scenario.authoring.line_map import find_line, map_lines
from hil.scenario.authoring.row_texts import ROW_TEXTS
from hil.scenario.authoring.schema import make_schema
from hil.scenario.authoring.vocabulary import list_all
from hil.scenario.loader import find, parse, shipped_files, shipped_names

WRONG = '''\
name = "bad"
titel = "x"
seconds = "5"
[row]
it_kw = 999
fanz = 3
sky = """
a = 1
"""
[[event]]
at_s = 5
do = "bmc_bussy"
[[event]]
at_s = -4
do = "fan_tripp"
for_s = -3
[[event]]
do = "it_load"
[[expect]]
measure = "supply_cc"
min = [1,
 2]
[[expect]]
measure = "supply_c"
unit = "K"
max = 3
[[prompt]]
at_s = 1
text = "kPa?"
ask = "number"
'''


def test_all_mistakes_are_listed_with_their_lines() -> None:
    found = [(problem.line, problem.key_path) for problem in check_text(WRONG)]
    assert found == [
        (1, "title"),
        (2, "titel"),
        (3, "seconds"),
        (5, "row.it_kw"),
        (6, "row.fanz"),
        (7, "row.sky"),
        (12, "event[0].do"),
        (14, "event[1].at_s"),
        (15, "event[1].do"),
        (16, "event[1].for_s"),
        (17, "event[2].at_s"),
        (20, "expect[0].measure"),
        (21, "expect[0].min"),
        (25, "expect[1].unit"),
        (27, "prompt[0].unit"),
    ]


def test_the_command_prints_the_form_of_compilers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(WRONG)
    assert hil(["check", str(path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 15
    assert f"{path}:2: titel: unknown key (did you mean title?)" in lines
    assert hil(["check", str(path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)[1]["line"] == 2
    assert hil(["run", str(path)]) == 2, "one cause, one exit code"
    assert hil(["check", str(tmp_path / "none.toml")]) == 2


@pytest.mark.parametrize(
    ("text", "line"), [("a = [1,\n\n", 3), ('name = "x\n', 1), ("a = 1\nb ==\n", 2), ("", 1)]
)
def test_a_text_that_is_no_scenario_has_a_line(text: str, line: int) -> None:
    problems = check_text(text)
    assert problems
    assert problems[0].line in (line, line - 1)


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_scenarios_have_no_mistakes_and_fit_the_schema(name: str) -> None:
    text = shipped_files()[name].read_text(encoding="utf-8")
    assert check_text(text) == []
    jsonschema.validate(tomllib.loads(text), make_schema())


def test_the_schema_refuses_what_the_check_refuses() -> None:
    validator = jsonschema.Draft7Validator(make_schema())
    validator.check_schema(make_schema())
    table: dict[str, Any] = tomllib.loads(find("smoke").text)
    for key, value in (("seconds", "5"), ("titel", "x"), ("row", {"fans": 4}), ("event", 1)):
        assert list(validator.iter_errors({**table, key: value})), key
    wrong_event = {"event": [{"at_s": 1, "do": "nothing"}]}
    assert list(validator.iter_errors({**table, **wrong_event}))


def garble(rng: random.Random, lines: list[str]) -> str:
    """Remove, double, cut or replace a few lines."""
    lines = list(lines)
    for _ in range(rng.randrange(1, 5)):
        i = rng.randrange(len(lines))
        form = rng.randrange(4)
        if form == 0:
            lines[i] = ""
        elif form == 1:
            lines[i] = lines[i][: rng.randrange(len(lines[i]) + 1)]
        elif form == 2:
            lines[i] = lines[i].replace("=", "= -", 1)
        else:
            lines[i] += "\nzzz = true"
    return "\n".join(lines)


def test_the_check_and_the_loader_agree_on_garbled_files() -> None:
    """A file is refused by the loader if and only if the check lists a problem."""
    rng = random.Random(7)
    texts = [find(name).text.splitlines() for name in shipped_names()[::9]]
    for _ in range(300):
        text = garble(rng, rng.choice(texts))
        problems = check_text(text)
        try:
            scenario = parse(text, "x")
        except ScenarioError:
            assert problems, text
        else:
            assert (problems == []) == bool(scenario.expectations), text
        assert all(1 <= problem.line <= text.count("\n") + 1 for problem in problems), problems


def test_lines_of_keys_in_long_values_and_nested_tables() -> None:
    text = 'a = """\nb = 1\n[x]\n"""\n[[event]]\n# do = 1\ndo = [\n 1,\n]\nfor_s = 2\n'
    text += '[row]\n"it_kw" = 1\n'
    lines = map_lines(text)
    assert lines == {
        "a": 1,
        "event[0]": 5,
        "event[0].do": 7,
        "event[0].for_s": 10,
        "row": 11,
        "row.it_kw": 12,
    }
    assert find_line(lines, "event[0].value") == 5
    assert find_line(lines, "event[4].value") == 1
    assert find_line(lines, "") == 1


def test_a_new_scenario_runs_and_has_a_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--folder", str(tmp_path)]
    assert hil(["new", "first", *arguments, "--json"]) == 0
    target, schema = (Path(name) for name in json.loads(capsys.readouterr().out))
    assert hil(["check", str(target)]) == 0
    assert hil(["run", str(target)]) == 0
    assert target.read_text().startswith(f"#:schema ./{schema.name}\n")
    assert json.loads(schema.read_text()) == make_schema()
    assert hil(["new", "first", *arguments]) == 2, "it is not replaced"
    for name in ("", "../x", "A", "a" * 60):
        assert hil(["new", name, *arguments]) == 2


def test_words_cover_the_tables_of_the_bench() -> None:
    words = list_all()
    assert [word["name"] for word in words["faults"]] == sorted(EVENTS)
    assert len(words["measures"]) == len(MEASURES)
    assert set(ROW_TEXTS) == {field.name for field in fields(TestbedSettings)}
    fans = next(word for word in words["faults"] if word["name"] == "fan_trip")
    assert fans["needs"] == "row.fans = 1"


def test_words_as_text_json_schema_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hil(["words", "faults"]) == 0
    out = capsys.readouterr().out
    assert "needs row.fans = 1" in out
    assert "(0 to 200 kW)" in out
    assert hil(["words", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"faults", "measures", "row", "parts"}
    assert hil(["words", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == make_schema()
    page = tmp_path / "words.html"
    assert hil(["words", "--page", str(page)]) == 0
    assert page.read_text().count("<tr>") > len(EVENTS) + len(MEASURES)


def test_a_mistake_is_a_record() -> None:
    assert LocatedProblem(1, "name", "missing")._asdict()["line"] == 1
