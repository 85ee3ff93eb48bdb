# SPDX-License-Identifier: Apache-2.0
"""A result is that of the files from which it was taken: an edited file is refused or named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.record.record import read
from hil.tools.commission import command as command_module
from hil.tools.commission.steps import Commissioning
from tests.hil.unit.test_commission import cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures

_TWINS = {"verdict": "pass", "failures": {}, "open": [], "files": ["x"]}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(words)
    return capsys.readouterr().err


def test_an_edited_file_is_not_that_of_the_steps(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--write-test"), "--to", "check"]) == 0
    again = command(cdu, site, "--write-test", "--real")
    unit, profile = site / "unit.json", site / "profiles" / "acme_cdu.json"

    def move_pump(raw: Any) -> None:
        pump = next(p for p in raw["points"] if p["name"] == "PumpSpeedControlPercent")
        pump["address"] = 10

    tested = "is not the device that was tested"
    for path, change, problem in (
        (unit, lambda raw: raw["buses"].update(bus="tcp:127.0.0.1:9"), f"cdu {tested}"),
        (unit, lambda raw: raw["devices"][0].update(unit=8), f"cdu {tested}"),
        (unit, lambda raw: raw["control"]["dp"].update(setpoint_kpa=70), "section control has"),
        (profile, move_pump, "profile of cdu has changed since step `values`; repeat it with"),
    ):
        before = path.read_bytes()
        edit(path, change)
        assert problem in refused(again, capsys)
        path.write_bytes(before)
    edit(unit, lambda raw: raw["control"]["dp"].update(setpoint_kpa=70.0))
    assert main([*again, "--from", "check", "--to", "check"]) == 0
    edit(unit, lambda raw: raw["control"]["dp"].update(setpoint_kpa=70))  # the same number
    assert main([*again, "--to", "check"]) == 0
    edit(profile, move_pump)
    again = command(cdu, site, "--from", "values", "--to", "values")
    assert main(again) == 1  # repeated: there is no register 10
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_a_file_that_changes_while_a_step_runs(
    cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = site / "profiles" / "acme_cdu.json"
    with monkeypatch.context() as patch:
        patch.setattr(
            Commissioning,
            "_check_gauges",
            lambda *_: edit(profile, lambda raw: raw.update(title="another")),
        )
        assert "has changed while step `values` ran" in refused(command(cdu, site), capsys)
    monkeypatch.setattr(command_module, "run_twins", lambda *_: _TWINS)
    assert main([*command(cdu, site, "--write-test"), "--to", "tune"]) == 0

    def problems(*_: object, **__: object) -> list[str]:
        edit(site / "unit.json", lambda raw: raw["devices"][0].update(unit=8))
        return []

    monkeypatch.setattr(command_module, "live_problems", problems)
    words = command(cdu, site, "--write-test", "--real")
    assert "cdu is not the device that was tested" in refused(words, capsys)
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_a_step_of_an_earlier_version_is_repeated(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site), "--to", "values"]) == 0
    edit(site / "commission.json", lambda raw: raw["steps"]["values"].pop("basis"))
    assert "is of an earlier version" in refused(command(cdu, site), capsys)
    journal = json.loads((site / "commission.json").read_text(encoding="utf-8"))
    for wrong in (7, {}, {"devices": {"cdu": 7}, "sections": {}}):
        journal["steps"]["scan"]["basis"] = wrong
        (site / "commission.json").write_text(json.dumps(journal), encoding="utf-8")
        assert "not a journal of a commissioning" in refused(command(cdu, site), capsys)


def test_a_report_does_not_outlive_its_configuration(
    cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def twins(*_: object) -> dict[str, Any]:
        (site / "report-twin").mkdir()
        (site / "report-twin" / "x").write_text("")
        return _TWINS

    monkeypatch.setattr(command_module, "run_twins", twins)
    monkeypatch.setattr("hil.report.write.print_pdf", lambda *_: False)
    assert main(command(cdu, site, "--write-test")) == 0
    unit, report = site / "unit.json", str(site / "report")
    record = read(site / "report" / "record.json")
    assert record["runs"][0]["basis"]["devices"].keys() == {"cdu"}
    verify = ["hil", "verify", "--trust", report, "--unit", str(unit)]
    capsys.readouterr()
    assert main(verify) == 0
    assert f"is of the configuration {unit}" in capsys.readouterr().out
    before = unit.read_bytes()
    edit(unit, lambda raw: raw["control"]["supply"].update(setpoint_c=20))
    edit(site / "profiles" / "acme_cdu.json", lambda raw: raw.update(title="another"))
    assert main(verify) == 1
    shown = capsys.readouterr().out
    assert f"is NOT of the configuration {unit}: device cdu, section control differ" in shown
    assert main([*verify, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["differences"] == [
        "device cdu",
        "section control",
    ]
    unit.write_bytes(before)
    main([*command(cdu, site, "--write-test"), "--from", "values", "--to", "check"])
    assert not (site / "report").exists()
    assert not (site / "report-twin").exists()
    assert f"the earlier {report} is now {report}-old1" in capsys.readouterr().out
    assert main(["hil", "verify", f"{report}-old1", "--unit", str(site / "absent.json")]) == 2


def test_a_record_without_a_configuration_is_not_of_it(
    cdu: str, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site), "--to", "check"]) == 0
    folder = str(tmp_path / "out")
    assert main(["hil", "run", "smoke", "--report", folder]) == 0
    capsys.readouterr()
    assert main(["hil", "verify", "--trust", folder, "--unit", str(site / "unit.json")]) == 1
    assert "names no configuration of a unit" in capsys.readouterr().out
