# SPDX-License-Identifier: Apache-2.0
"""The record of a suite: content, detection of changes, hash chain, reports."""

import copy
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree as ET

import pytest

from hil.commands import hil
from hil.record.record import RECORD_FILE, find_problems, firmware_hash, read
from hil.report.html import write_page
from hil.report.pdf import find_chromium, print_pdf
from hil.scenario.loader import find, shipped_names
from hil.scenario.requirements import REQUIREMENTS
from hil.scenario.suite import load_suite, suite_names
from tests.support.cli_tools import SHORT, scenario_file
from tests.support.programs import require_program

SERIAL = "EMU0000000012"
TICKS = '[[expect]]\nmeasure = "ticks"\nmin = 1\nrequirement = "SAFE-4"\n'
TOO_MANY = '[[expect]]\nmeasure = "supply_c"\nunit = "Cel"\nmax = 5\n'
MARGINAL = '[[expect]]\nmeasure = "supply_c"\nunit = "Cel"\nmin = 10\nmarginal = 100\n'


def record_run(
    folder: Path, text: str = TICKS, name: str = "one", *arguments: str
) -> dict[str, Any]:
    """Run a short scenario with a report; give the record."""
    path = scenario_file(folder, SHORT + text)
    key = str(folder / "bench.key")
    with patch("hil.report.write.print_pdf", return_value=False):  # one test prints a PDF
        hil(["run", path, "--report", str(folder / name), "--key", key, *arguments])
    return read(folder / name / RECORD_FILE)


def test_record_describes_run_and_device(tmp_path: Path) -> None:
    run_record = record_run(tmp_path, TICKS, "one", "--serial", SERIAL, "--operator", "Ada")
    assert (run_record["serial"], run_record["operator"], run_record["verdict"]) == (
        SERIAL,
        "Ada",
        "pass",
    )
    assert run_record["firmware_sha256"] == firmware_hash()
    run = run_record["runs"][0]
    assert run["scenario_text"] == SHORT + TICKS
    assert run["series"]["at_s"] == [1, 2, 3]
    assert len(run["series"]["supply_c"]) == 3
    assert run["findings"][0]["requirement"] == "SAFE-4"
    assert find_problems(run_record) == []
    assert (tmp_path / "bench.key").stat().st_mode & 0o777 == 0o600


def test_verify_names_file_and_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_run(tmp_path)
    capsys.readouterr()
    path = tmp_path / "one" / RECORD_FILE
    path.write_text(path.read_text().replace('"verdict": "pass"', '"verdict": "fail"', 1))
    assert hil(["verify", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"BAD     {path}")
    assert "the record was changed after it was written" in out
    assert hil(["report", str(tmp_path / "one")]) == 2
    assert "no report is made of it" in capsys.readouterr().err


def test_record_of_another_bench_is_detected(tmp_path: Path) -> None:
    run_record = record_run(tmp_path)
    assert find_problems(run_record, run_record["key"]) == []
    assert find_problems(run_record, "00" * 32) == ["signed with the key of another bench"]
    forged = {**run_record, "signature": "00" * 64}
    assert find_problems(forged) == ["the signature does not match hash and key"]


def test_records_of_a_folder_form_a_chain(tmp_path: Path) -> None:
    first = record_run(tmp_path, TICKS, "one")
    second = record_run(tmp_path, TICKS, "two")
    assert first["previous"] == "0" * 64
    assert second["previous"] == first["hash"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [(TICKS, "pass"), (TICKS + MARGINAL, "marginal"), (TICKS + TOO_MANY, "fail")],
)
def test_page_and_junit_show_the_verdict(tmp_path: Path, text: str, verdict: str) -> None:
    run_record = record_run(tmp_path, text)
    assert run_record["verdict"] == verdict
    html = (tmp_path / "one" / "report.html").read_text()
    assert f'<header class="{verdict}">' in html
    tree = ET.parse(tmp_path / "one" / "junit.xml").getroot()
    marginal_text = "closer than 100 to &gt;= 10"
    assert (marginal_text in html) == (verdict == "marginal")
    outputs = [case.findtext("system-out") or "" for case in tree.iter("testcase")]
    assert any("marginal: supply_c" in text for text in outputs) == (verdict == "marginal")
    failures = [case.find("failure") for case in tree.iter("testcase")]
    assert sum(failure is not None for failure in failures) == (verdict == "fail")
    assert len(failures) == len(run_record["runs"][0]["findings"])


def test_page_is_self_contained_and_escapes_text(tmp_path: Path) -> None:
    run_record = record_run(tmp_path, TICKS, "one", "--operator", "<script>alert(1)</script>")
    html = write_page(run_record)
    assert "<script>alert" not in html
    assert not re.search(r"""(src|href)=["'](?!#)""", html)
    hostile = copy.deepcopy(run_record)
    hostile["runs"][0]["channels"][0]["label"] = "</script><script>alert(1)</script>"
    assert "</script><script>alert" not in write_page(hostile)


def test_acceptance_pdf_has_six_pages_at_most(tmp_path: Path) -> None:
    require_program("chromium")
    folder, answers = tmp_path / "acceptance", tmp_path / "answers"
    answers.write_text("yes\nyes\nyes\n212.5\n")
    command = ["run", "acceptance", "--report", str(folder), "--key", str(tmp_path / "k")]
    assert hil([*command, "--answers", str(answers)]) == 0
    data = (folder / "report.pdf").read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 1 <= pages <= 6


def test_no_pdf_without_chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium() is None
    assert not print_pdf(tmp_path / "x.html", tmp_path / "x.pdf")


def test_every_suite_names_existing_scenarios() -> None:
    for name in suite_names():
        suite = load_suite(name)
        assert suite.name == name
        assert suite.scenarios
        assert name not in shipped_names(), "a suite and a scenario of one name"


def test_every_requirement_has_a_scenario() -> None:
    covered = {
        expectation.requirement
        for name in shipped_names()
        for expectation in find(name).expectations
    }
    assert set(REQUIREMENTS) <= covered


def test_every_scenario_names_a_requirement() -> None:
    """At least one expectation of each scenario names a requirement."""
    for name in shipped_names():
        named = [bool(expectation.requirement) for expectation in find(name).expectations]
        assert any(named), name
