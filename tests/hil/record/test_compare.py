# SPDX-License-Identifier: Apache-2.0
"""Comparing records: changed rows, worsened rows, modified records."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest

from hil.commands import hil
from hil.record.record import RECORD_FILE
from tests.support.cli_tools import SHORT, scenario_file

GOOD = '[[expect]]\nmeasure = "supply_c"\nunit = "Cel"\nmin = 20\nmax = 40\n'


def record_run(folder: Path, name: str, text: str, *arguments: str) -> str:
    """Run a short scenario into a folder; give the folder."""
    path = scenario_file(folder, SHORT + text)
    key = str(folder / "bench.key")
    with patch("hil.report.write.print_pdf", return_value=False):
        hil(["run", path, "--report", str(folder / name), "--key", key, *arguments])
    return str(folder / name)


def test_equal_runs_differ_only_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (record_run(tmp_path, name, GOOD) for name in ("one", "two"))
    capsys.readouterr()
    assert hil(["compare", one, two, "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert set(comparison["differs"]) <= {"ended_utc"}
    assert [row["changed"] for row in comparison["rows"]] == [False]
    assert hil(["compare", one, two]) == 0
    assert "1 expectations, 1 equal in all records, 0 worsened" in capsys.readouterr().out


def test_worsened_row_is_named_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
    event = '[[event]]\nat_s = 1\ndo = "bus_silent"\n'
    expectation = '[[expect]]\nmeasure = "modbus_errors"\nmax = 0\n'
    good = record_run(tmp_path, "good", ticks + expectation, "--operator", "Ada")
    bad = record_run(tmp_path, "bad", ticks + event + expectation, "--operator", "Bo")
    capsys.readouterr()
    assert hil(["compare", good, bad]) == 1
    out = capsys.readouterr().out
    assert "differs  operator: [1] Ada  [2] Bo" in out
    assert "differs  short: scenario: " in out
    assert "differs  short: verdict: [1] PASS, virtual time" in out
    line = next(line for line in out.splitlines() if "modbus_errors" in line)
    assert line.startswith("  ! modbus_errors <= 0")
    assert "pass 0" in line
    assert "fail " in line
    assert hil(["compare", bad, good]) == 0, "it has improved"


def test_missing_row_is_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = record_run(tmp_path, "one", GOOD)
    two = record_run(tmp_path, "two", GOOD + '[[expect]]\nmeasure = "ticks"\nmin = 1\n')
    capsys.readouterr()
    assert hil(["compare", one, two, "--json"]) == 0
    rows = {row["measure"]: row["cells"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert [cell["verdict"] for cell in rows["ticks"]] == ["absent", "pass"]
    assert [cell["verdict"] for cell in rows["supply_c"]] == ["pass", "pass"]


def test_modified_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (record_run(tmp_path, name, GOOD) for name in ("one", "two"))
    path = Path(two) / RECORD_FILE
    path.write_text(path.read_text().replace('"verdict": "pass"', '"verdict": "fail"', 1))
    capsys.readouterr()
    assert hil(["compare", one, two]) == 1
    assert f"BAD  {path}: content and hash differ" in capsys.readouterr().out
    assert hil(["compare", one]) == 2
    assert "cannot be compared" in capsys.readouterr().err
