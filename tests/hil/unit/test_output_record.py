# SPDX-License-Identifier: Apache-2.0
"""What became of the outputs reaches verdict, exit code, JSON and the signed record.

The CDU is a process; the agent is a function that moves its outputs.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.record.record import read
from hil.run.recorded import RecordedRun
from hil.run.unit import record_unit
from hil.run.unit.unit_file import UnitFile
from hil.scenario.model import Scenario
from tests.hil.unit.test_commission import cdu, command, site
from tests.hil.unit.test_returned_outputs import _OLD, unit, words, write

__all__ = ["cdu", "site", "unit"]  # fixtures
_MOVED = [617, 415]
_LEFT = "the old words [600] are not back after a test"


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that moves both outputs; its scenarios run with twins."""

    def record(
        unit: UnitFile,
        scenario: Scenario,
        _log: Path | None,
        follow: Callable[[Any], None],
        _watch: object,
    ) -> RecordedRun:
        follow(None)
        for address, word in zip((4, 5), _MOVED, strict=True):
            write(unit.path, address, word)
        return record_unit.record_twin(unit, scenario, 1, "cpython")

    for module in ("run_unit", "acceptance"):
        monkeypatch.setattr(f"hil.tools.commission.{module}.record_real_unit", record)

    def twins(_unit: Path, folder: Path, _arguments: object) -> dict[str, Any]:
        (folder / "report-twin").mkdir()
        (folder / "report-twin" / "record.json").write_text("{}")
        return {"verdict": "pass", "failures": {}, "open": [], "files": ["record.json"]}

    monkeypatch.setattr("hil.tools.commission.command.run_twins", twins)


def run(unit: Path, *options: str) -> int:
    report = ["--report", str(unit.parent / "rep"), "--key", str(unit.parent / "key")]
    return main(["hil", "run", "acceptance", "--unit", str(unit), "--real", *report, *options])


def outputs(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the verdict and the limits of each output in a record."""
    findings = [
        finding for run in read(folder / "record.json")["runs"] for finding in run["findings"]
    ]
    return {
        f["measure"].rpartition(".")[2]: (f["verdict"], f["limits"])
        for f in findings
        if f["measure"].startswith("output ")
    }


def test_outputs_that_are_back_are_in_the_record(agent: None, unit: Path) -> None:
    assert run(unit) == 0
    assert words(unit) == _OLD
    assert outputs(unit.parent / "rep") == {
        "ValvePositionControlPercent, register 5": (
            "pass",
            "the old words [400] are written back and read",
        ),
        "PumpSpeedControlPercent, register 4": (
            "pass",
            "the old words [600] are written back and read",
        ),
    }


@pytest.fixture
def installed(cdu: str, site: Path) -> Path:
    """The configuration of the foreign CDU, without the journal of its commissioning."""
    assert main(command(cdu, site, "--to", "check")) == 0
    (site / "commission.json").unlink()
    return site / "unit.json"


@pytest.mark.parametrize("cdu", ["interlock"], indirect=True)
def test_outputs_that_are_not_back_fail_the_run(
    agent: None, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = installed
    capsys.readouterr()
    assert run(unit, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert words(unit) == _MOVED
    assert result["verdict"] == "fail"
    assert any(_LEFT in line for line in result["runs"][-1]["failures"])
    record = read(unit.parent / "rep" / "record.json")
    assert record["verdict"] == "fail"
    assert "2 outputs not back" in record["verdict_text"]
    assert [verdict for verdict, _ in outputs(unit.parent / "rep").values()] == ["fail", "fail"]
    assert main(["hil", "verify", "--trust", str(unit.parent / "rep")]) == 0
    (unit.parent / "unit.json.outputs").unlink()


def test_a_value_of_another_master_is_marginal(
    agent: None, unit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = "hil.tools.commission.outputs.output_guard"
    monkeypatch.setattr(f"{guard}.AgentRequests.ranges", lambda *_: [[600, 630]])
    assert run(unit) == 0
    assert outputs(unit.parent / "rep")["ValvePositionControlPercent, register 5"][0] == "marginal"
    assert words(unit) == [600, 415]


def test_a_journal_that_stays_fails_the_run(
    agent: None, unit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".outputs":
            raise OSError(30, "Read-only file system")
        if not missing_ok or path.exists():
            os.unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        assert run(unit) == 1
    assert "the outputs are back, but their journal cannot be written" in capsys.readouterr().out
    assert words(unit) == _OLD
    (unit.parent / "unit.json.outputs").unlink()


def site_acceptance(cdu: str, site: Path, *options: str) -> int:
    return main(command(cdu, site, "--real", "--from", "write-test", *options))


def test_a_commissioning_that_passed_names_the_old_words(
    agent: None, cdu: str, unit: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site_acceptance(cdu, site, "--write-test") == 0
    assert words(unit) == _MOVED
    assert outputs(site / "report")["PumpSpeedControlPercent, register 4"] == (
        "pass",
        "it keeps the value of the agent; the old words were [600]",
    )
    assert "the outputs keep the values that the agent gave them" in capsys.readouterr().out


def test_a_commissioning_that_is_not_complete_returns_the_outputs(
    agent: None, cdu: str, unit: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One question has no answer: that is no pass, and no program controls the CDU afterwards."""
    monkeypatch.setattr("hil.tools.commission.acceptance.no_gauge", lambda _: True)
    assert site_acceptance(cdu, site, "--write-test") == 1
    assert read(site / "report" / "record.json")["verdict"] == "incomplete"
    assert words(unit) == _OLD
    assert [verdict for verdict, _ in outputs(site / "report").values()] == ["pass", "pass"]


def test_a_device_that_is_swapped_during_the_site_acceptance_fails_it(
    agent: None, cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the agent has controlled the other one well."""
    module = "hil.tools.commission.command"
    monkeypatch.setattr(f"{module}.find_other_devices", lambda *_: ["cdu: names itself OTHER"])
    assert main(command(cdu, site, "--write-test", "--real")) == 1
    record = read(site / "report" / "record.json")
    assert record["verdict"] == "fail"
    assert "cdu: names itself OTHER" in record["runs"][-1]["failures"]
    assert words(site / "unit.json") == _OLD


def test_a_configuration_without_a_journal_is_named(
    agent: None, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(installed) == 0
    shown = capsys.readouterr().out
    assert f"no commission.json beside {installed}, so nothing shows that these outputs" in shown
    title = read(installed.parent / "rep" / "record.json")["title"]
    assert title.endswith("; outputs not compared with a write test")


def test_a_configuration_with_its_journal_is_compared(
    agent: None, unit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(unit) == 0
    assert "not compared here" not in capsys.readouterr().out
    assert "not compared" not in read(unit.parent / "rep" / "record.json")["title"]
