"""The record of a suite: what it holds, what a change of one byte does, the chain, the reports."""

import copy
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hil.commands import hil
from hil.record.record import FILE, firmware_hash, problems, read
from hil.report.html import page
from hil.report.pdf import chromium, print_pdf
from hil.scenario.loader import find, shipped
from hil.scenario.requirements import REQUIREMENTS
from hil.scenario.suite import load, suites
from tests.support.cli_tools import SHORT, scenario_file
from tests.support.peers import need

TICKS = '[[expect]]\nmeasure = "ticks"\nmin = 1\nrequirement = "SAFE-4"\n'
TOO_MANY = '[[expect]]\nmeasure = "supply_c"\nunit = "Cel"\nmax = 5\n'
NEAR = '[[expect]]\nmeasure = "supply_c"\nunit = "Cel"\nmin = 10\nmarginal = 100\n'


def record(folder: Path, text: str = TICKS, name: str = "one", *words: str) -> dict[str, Any]:
    """Run a short scenario with a report; give the record."""
    path = scenario_file(folder, SHORT + text)
    key = str(folder / "bench.key")
    hil(["run", path, "--report", str(folder / name), "--key", key, *words])
    return read(folder / name / FILE)


def test_a_record_says_what_was_run_on_what(tmp_path: Path) -> None:
    found = record(tmp_path, TICKS, "one", "--serial", "CDU-7", "--operator", "Ada")
    assert (found["serial"], found["operator"], found["verdict"]) == ("CDU-7", "Ada", "pass")
    assert found["firmware_sha256"] == firmware_hash()
    run = found["runs"][0]
    assert run["scenario_text"] == SHORT + TICKS
    assert run["series"]["at_s"] == [1, 2, 3]
    assert len(run["series"]["supply_c"]) == 3
    assert run["findings"][0]["requirement"] == "SAFE-4"
    assert problems(found) == []
    assert (tmp_path / "bench.key").stat().st_mode & 0o777 == 0o600


def test_every_change_of_one_byte_is_found(tmp_path: Path) -> None:
    found = record(tmp_path)
    text = (tmp_path / "one" / FILE).read_bytes()
    for at in range(0, len(text), 97):
        changed = text[:at] + bytes((text[at] ^ 1,)) + text[at + 1 :]
        try:
            other = json.loads(changed)
        except ValueError:
            continue
        if other != found:
            assert problems(other), changed[max(0, at - 40) : at + 40]


def test_verify_names_the_file_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path)
    capsys.readouterr()
    path = tmp_path / "one" / FILE
    assert hil(["verify", str(path)]) == 0
    assert capsys.readouterr().out.startswith("GOOD")
    path.write_text(path.read_text().replace('"verdict": "pass"', '"verdict": "fail"', 1))
    assert hil(["verify", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"BAD   {path}")
    assert "it was changed after it was written" in out
    assert hil(["report", str(tmp_path / "one")]) == 2
    assert "no report is made of it" in capsys.readouterr().err


def test_a_record_of_another_bench_is_told_apart(tmp_path: Path) -> None:
    found = record(tmp_path)
    assert problems(found, found["key"]) == []
    assert problems(found, "00" * 32) == ["signed by another bench's key"]
    forged = {**found, "signature": "00" * 64}
    assert problems(forged) == ["the signature does not fit hash and key"]


def test_records_of_a_folder_are_a_chain(tmp_path: Path) -> None:
    first = record(tmp_path, TICKS, "one")
    second = record(tmp_path, TICKS, "two")
    assert first["previous"] == "0" * 64
    assert second["previous"] == first["hash"]


@pytest.mark.parametrize(
    ("text", "verdict"), [(TICKS, "pass"), (TICKS + NEAR, "marginal"), (TICKS + TOO_MANY, "fail")]
)
def test_page_and_junit_tell_the_verdict(tmp_path: Path, text: str, verdict: str) -> None:
    found = record(tmp_path, text)
    assert found["verdict"] == verdict
    html = (tmp_path / "one" / "report.html").read_text()
    assert f'<header class="{verdict}">' in html
    tree = ET.parse(tmp_path / "one" / "junit.xml").getroot()
    near = "closer than 100 to &gt;= 10"
    assert (near in html) == (verdict == "marginal")
    said = [case.findtext("system-out") or "" for case in tree.iter("testcase")]
    assert any("marginal: supply_c" in text for text in said) == (verdict == "marginal")
    failures = [case.find("failure") for case in tree.iter("testcase")]
    assert sum(f is not None for f in failures) == (verdict == "fail")
    assert len(failures) == len(found["runs"][0]["findings"])


def test_the_page_needs_nothing_from_outside_and_believes_no_text(tmp_path: Path) -> None:
    found = record(tmp_path, TICKS, "one", "--serial", "<script>alert(1)</script>")
    html = page(found)
    assert "<script>alert" not in html
    assert not re.search(r"""(src|href)=["'](?!#)""", html)
    hostile = copy.deepcopy(found)
    hostile["runs"][0]["channels"][0]["label"] = "</script><script>alert(1)</script>"
    assert "</script><script>alert" not in page(hostile)


def test_the_acceptance_report_is_a_pdf_of_six_pages_at_most(tmp_path: Path) -> None:
    need("chromium")
    folder = tmp_path / "acceptance"
    assert hil(["run", "acceptance", "--report", str(folder), "--key", str(tmp_path / "k")]) == 0
    data = (folder / "report.pdf").read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 1 <= pages <= 6


def test_without_chromium_there_is_no_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium() is None
    assert not print_pdf(tmp_path / "x.html", tmp_path / "x.pdf")


def test_every_suite_names_scenarios_that_are_there() -> None:
    for name in suites():
        suite = load(name)
        assert suite.name == name
        assert suite.scenarios
        assert name not in shipped(), "a suite and a scenario of one name"


def test_every_requirement_is_held_by_a_scenario() -> None:
    held = {e.requirement for name in shipped() for e in find(name).expectations}
    assert set(REQUIREMENTS) <= held


def test_the_main_expectations_name_what_they_hold() -> None:
    """Nearly all: what is only a look at the set-up need not."""
    for name in shipped():
        named = [bool(e.requirement) for e in find(name).expectations]
        assert any(named), name
