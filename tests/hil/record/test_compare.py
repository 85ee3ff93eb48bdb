"""Records side by side: what changed, what became worse, what was tampered with."""

import json
from pathlib import Path

import pytest

from hil.commands import hil
from hil.record.record import FILE
from tests.support.cli_tools import SHORT, scenario_file

GOOD = '[[expect]]\nmeasure = "supply_c"\nunit = "Cel"\nmin = 20\nmax = 40\n'


def recorded(folder: Path, name: str, text: str, *words: str) -> str:
    """Run a short scenario into a folder of its own; its place."""
    path = scenario_file(folder, SHORT + text)
    key = str(folder / "bench.key")
    hil(["run", path, "--report", str(folder / name), "--key", key, *words])
    return str(folder / name)


def test_two_runs_of_the_same_differ_in_nothing_but_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (recorded(tmp_path, name, GOOD) for name in ("one", "two"))
    capsys.readouterr()
    assert hil(["compare", one, two, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["differs"]) <= {"ended_utc"}
    assert [row["changed"] for row in found["rows"]] == [False]
    assert hil(["compare", one, two]) == 0
    assert "1 findings, 1 the same in all, 0 became worse" in capsys.readouterr().out


def test_what_became_worse_is_named_and_is_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
    early = '[[event]]\nat_s = 1\ndo = "bus_silent"\n'
    late = '[[expect]]\nmeasure = "modbus_errors"\nmax = 0\n'
    good = recorded(tmp_path, "good", ticks + late, "--serial", "CDU-1")
    bad = recorded(tmp_path, "bad", ticks + early + late, "--serial", "CDU-2")
    capsys.readouterr()
    assert hil(["compare", good, bad]) == 1
    out = capsys.readouterr().out
    assert "differs  serial: [1] CDU-1  [2] CDU-2" in out
    assert "differs  short: scenario: " in out
    assert "differs  short: verdict: [1] pass  [2] fail" in out
    line = next(line for line in out.splitlines() if "modbus_errors" in line)
    assert line.startswith("  ! modbus_errors <= 0")
    assert "pass 0" in line
    assert "fail " in line
    assert hil(["compare", bad, good]) == 0, "it became better"


def test_a_run_that_one_record_lacks_is_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = recorded(tmp_path, "one", GOOD)
    two = recorded(tmp_path, "two", GOOD + '[[expect]]\nmeasure = "ticks"\nmin = 1\n')
    capsys.readouterr()
    assert hil(["compare", one, two, "--json"]) == 0
    rows = {row["measure"]: row["cells"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert [cell["verdict"] for cell in rows["ticks"]] == ["absent", "pass"]
    assert [cell["verdict"] for cell in rows["supply_c"]] == ["pass", "pass"]


def test_a_record_that_was_changed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (recorded(tmp_path, name, GOOD) for name in ("one", "two"))
    path = Path(two) / FILE
    path.write_text(path.read_text().replace('"verdict": "pass"', '"verdict": "fail"', 1))
    capsys.readouterr()
    assert hil(["compare", one, two]) == 1
    assert f"BAD  {path}: content and hash differ" in capsys.readouterr().out
    assert hil(["compare", one]) == 2
    assert "nothing to be compared with" in capsys.readouterr().err
