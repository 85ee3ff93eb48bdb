# SPDX-License-Identifier: Apache-2.0
"""A record says no more than was tested: devices, time, questions, serial number."""

from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree as ET

import pytest

from hil.commands import hil
from hil.record.provenance import SerialCheck, describe_verdict
from hil.record.record import RECORD_FILE, judge_run, read
from hil.scenario.model import Prompt
from hil.scenario.questions import find_answer_problem, make_answer, make_unanswered
from tests.support.cli_tools import SHORT, scenario_file

SERIAL = "EMU0000000012"
TEXT = SHORT + '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
ASKING = TEXT + (
    '[[prompt]]\nat_s = 1\ntext = "Is the pan dry?"\n'
    '[[prompt]]\nat_s = 2\ntext = "What does the gauge show?"\n'
    'ask = "number"\nunit = "kPa"\nmax = 900\n'
)
GAUGE = Prompt(0, "What does the gauge show?", "number", "kPa", 0, 900)


def record_run(folder: Path, text: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a scenario with a report; give exit code and record."""
    target = folder / "report"
    command = ["run", scenario_file(folder, text), "--report", str(target)]
    with patch("hil.report.write.print_pdf", return_value=False):
        code = hil([*command, "--key", str(folder / "key"), *arguments])
    return code, read(target / RECORD_FILE)


def test_the_verdict_names_time_and_devices(tmp_path: Path) -> None:
    code, record = record_run(tmp_path, TEXT)
    assert code == 0
    assert record["verdict_text"] == "PASS, virtual time, 0 of 5 devices real"
    provenance = record["runs"][0]["provenance"]
    assert {device["kind"] for device in provenance["devices"]} == {"emulated"}
    names = [device["name"] for device in provenance["devices"]]
    assert names == ["receiver", "rpu", "valve", "pump1", "pump2"]
    assert provenance["interpreter"].startswith("CPython 3.")
    assert set(provenance["load"]) == {"cpus", "at_start", "at_end"}
    page = (tmp_path / "report" / "report.html").read_text()
    assert "virtual time, 0 of 5 devices real" in page
    assert "<td>rpu</td><td>emulated</td>" in page
    assert "0 of 5 devices real" in (tmp_path / "report" / "junit.xml").read_text()


def test_a_question_without_an_answer_is_not_a_pass(tmp_path: Path) -> None:
    code, record = record_run(tmp_path, ASKING)
    assert code == 1
    assert record["verdict"] == "incomplete"
    text = "NOT COMPLETE, virtual time, 0 of 5 devices real, 2 questions not answered"
    assert record["verdict_text"] == text
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count(">not answered<") == 2
    assert '<header class="incomplete">' in page
    suite = ET.parse(tmp_path / "report" / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("skipped"), suite.get("failures")) == ("3", "2", "0")


@pytest.mark.parametrize(
    ("lines", "code", "verdict"),
    [
        ("yes\n212.5\n", 0, "pass"),
        ("no\n212.5\n", 1, "fail"),
        ("yes\n", 1, "incomplete"),
        ("\n212\n", 1, "incomplete"),
    ],
)
def test_answers_of_a_file(tmp_path: Path, lines: str, code: int, verdict: str) -> None:
    (tmp_path / "answers").write_text(lines)
    result = record_run(tmp_path, ASKING, "--answers", str(tmp_path / "answers"))
    assert (result[0], result[1]["verdict"]) == (code, verdict)
    answered = [entry for entry in result[1]["runs"][0]["answers"] if entry["answer"] is not None]
    assert all(entry["by"] == "unknown, by file" for entry in answered)
    assert all(entry["answered_utc"].endswith("Z") for entry in answered)


def test_a_wrong_answer_of_a_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "answers").write_text("yes\nok\n")
    path = scenario_file(tmp_path, ASKING)
    assert hil(["run", path, "--answers", str(tmp_path / "answers")]) == 2
    assert capsys.readouterr().err.endswith("line 2: 'ok' is not a number in kPa\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("212", ""),
        (" 2.1e2 ", ""),
        ("0", ""),
        ("", "the answer is empty"),
        ("ok", "'ok' is not a number in kPa"),
        ("nan", "'nan' is not a number in kPa"),
        ("inf", "'inf' is not a number in kPa"),
        ("1_0", "'1_0' is not a number in kPa"),
        ("٢١٢", "'٢١٢' is not a number in kPa"),
        ("901", "901 is outside 0 to 900 kPa"),
        ("-1", "-1 is outside 0 to 900 kPa"),
    ],
)
def test_a_number_is_checked(text: str, problem: str) -> None:
    assert find_answer_problem(GAUGE, text) == problem


def test_other_kinds_of_answers_are_checked() -> None:
    confirm, free = Prompt(0, "dry?"), Prompt(0, "colour?", "text")
    assert [find_answer_problem(confirm, text) for text in ("yes", "no")] == ["", ""]
    assert find_answer_problem(confirm, "ok") == "'ok' is not yes or no"
    assert find_answer_problem(free, "blue") == ""
    assert find_answer_problem(free, "x" * 201) == "the answer is longer than 200 characters"


def test_verdict_of_failures_questions_and_limits() -> None:
    confirm = Prompt(0, "dry?")
    no, missing = make_answer(confirm, "no", "Ada", 1), make_unanswered(confirm, 1)
    assert judge_run([], ["pass"], []) == "pass"
    assert judge_run([], ["marginal"], [missing]) == "incomplete"
    assert judge_run([], ["pass"], [no, missing]) == "fail"
    assert judge_run(["aborted"], ["pass"], []) == "fail"


def test_the_serial_number_must_be_that_of_the_cdu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scenario_file(tmp_path, TEXT)
    assert hil(["run", path, "--report", str(tmp_path / "x"), "--serial", "CDU-0042"]) == 2
    assert "serial number CDU-0042: the emulated CDU gives" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    _, record = record_run(tmp_path, TEXT, "--serial", SERIAL)
    assert record["serial_check"]["state"] == f"equal to that of the emulated CDU, {SERIAL}"
    unread = SerialCheck("CDU-0042", None, True)
    assert unread.state == "not checked: the CDU gives no serial number"


def test_a_device_is_real_only_if_it_is_real_in_each_run() -> None:
    def run(time: str, *kinds: str) -> dict[str, Any]:
        devices = [
            {"name": str(i), "kind": kind, "identity": "matches its profile"}
            for i, kind in enumerate(kinds)
        ]
        return {"answers": [], "provenance": {"time": time, "devices": devices}}

    runs = [run("real", "real", "real"), run("real", "real", "emulated")]
    record = {"verdict": "pass", "runs": runs}
    assert describe_verdict(record) == "PASS, real time, 1 of 2 devices real"
    runs[1]["provenance"]["devices"][0]["identity"] = "not read"
    expected = "PASS, real time, 1 of 2 devices real, 1 of them not identified"
    assert describe_verdict(record) == expected
    record["runs"] = [*runs, run("virtual", "emulated", "replayed")]
    expected = "PASS, real and virtual time, 0 of 2 devices real, 1 replayed"
    assert describe_verdict(record) == expected


def test_an_interrupted_suite_keeps_its_runs_and_is_not_complete(tmp_path: Path) -> None:
    """The second scenario is interrupted: the record has the first one, and says so."""
    from hil.tools import run as run_tool  # noqa: PLC0415

    run_one, count = run_tool._run_one, 0

    def interrupt_second(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return run_one(*arguments)

    folder = tmp_path / "report"
    with (
        patch("hil.report.write.print_pdf", return_value=False),
        patch.object(run_tool, "_run_one", interrupt_second),
    ):
        command = ["run", "cdu", "--report", str(folder), "--key", str(tmp_path / "key")]
        assert hil(command) == 130
    record = read(folder / RECORD_FILE)
    assert record["verdict"] == "incomplete"
    planned = len(record["planned"])
    assert record["verdict_text"].startswith(f"NOT COMPLETE, 1 of {planned} scenarios run, ")
