# SPDX-License-Identifier: Apache-2.0
"""A TOML language server reads the JSON Schema of scenarios as an editor does: taplo, a judge.

It shares no code with the project. Each shipped scenario is valid for it; each wrong one of the
list is refused.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from hil.scenario.authoring.file_check import check_text
from hil.scenario.authoring.schema import schema_text
from hil.scenario.loader import shipped_files
from tests.support.programs import require_program

_GOOD = """\
name = "a"
title = "t"
seconds = 60
[row]
it_kw = 50
[[event]]
at_s = 1
do = "it_load"
value = 80
[[expect]]
measure = "supply_c"
unit = "Cel"
max = 36
[[prompt]]
at_s = 1
text = "which pressure?"
ask = "number"
unit = "kPa"
[[case]]
name = "hot"
fws_c = 30
"""
_WRONG = (
    ('name = "a"', 'name = "a b"'),
    ('name = "a"', ""),
    ('title = "t"', 'titel = "t"'),
    ('title = "t"', 'title = ""'),
    ("seconds = 60", 'seconds = "60"'),
    ("seconds = 60", "seconds = 0"),
    ("it_kw = 50", "it_kw = 999"),
    ("it_kw = 50", "it_kW = 50"),
    ("it_kw = 50", "pumps = 1.5"),
    ("it_kw = 50", "receiver_pps = 1"),
    ("at_s = 1\ndo", "do"),
    ('do = "it_load"', 'do = "it_laod"'),
    ("value = 80", 'value = "80"'),
    ("value = 80", "for = 3"),
    ('measure = "supply_c"', 'measure = "supply_cc"'),
    ("max = 36", "max = [36]"),
    ("max = 36", 'max = 36\nrequirement = "NONE-1"'),
    ("[[expect]]", "[expect]"),
    ('ask = "number"', 'ask = "numbers"'),
    ('name = "hot"', 'nam = "hot"'),
    ("fws_c = 30", "fws = 30"),
)


@pytest.fixture(scope="module")
def taplo() -> str:
    beside = Path(sys.executable).parent / "taplo"
    return str(beside) if beside.exists() else require_program("taplo")


def judge(taplo: str, folder: Path) -> tuple[int, str]:
    """Check all files of a folder with the schema; return the exit code and the errors."""
    schema = folder / "scenario.schema.json"
    schema.write_text(schema_text(), encoding="utf-8")
    files = [str(path) for path in sorted(folder.glob("*.toml"))]
    done = subprocess.run(
        [taplo, "check", "--schema", schema.as_uri(), *files],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_all_shipped_scenarios_are_valid(taplo: str, tmp_path: Path) -> None:
    for name, file in shipped_files().items():
        (tmp_path / f"{name}.toml").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    code, errors = judge(taplo, tmp_path)
    assert code == 0, errors


def test_each_wrong_scenario_is_refused(taplo: str, tmp_path: Path) -> None:
    assert len(_WRONG) >= 20
    good = tmp_path / "good"
    good.mkdir()
    (good / "a.toml").write_text(_GOOD)
    assert judge(taplo, good) == (0, judge(taplo, good)[1])
    assert check_text(_GOOD) == []
    for number, (old, new) in enumerate(_WRONG):
        assert old in _GOOD
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.toml").write_text(_GOOD.replace(old, new, 1))
        code, errors = judge(taplo, folder)
        assert code == 1, (old, new)
        assert "error: " in errors
        assert check_text(_GOOD.replace(old, new, 1)), new


def test_the_schema_line_of_a_file_is_followed(taplo: str, tmp_path: Path) -> None:
    """As in an editor: no option, only the first line that `coldloop hil new` writes."""
    (tmp_path / "scenario.schema.json").write_text(schema_text(), encoding="utf-8")
    path = tmp_path / "a.toml"
    for text, code in ((_GOOD, 0), (_GOOD.replace("max = 36", "maxx = 36"), 1)):
        path.write_text("#:schema ./scenario.schema.json\n" + text)
        done = subprocess.run([taplo, "check", str(path)], cwd=tmp_path, check=False, timeout=120)
        assert done.returncode == code
