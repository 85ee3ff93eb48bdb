# SPDX-License-Identifier: Apache-2.0
"""An edited result of a step is never signed, and a report is one of this folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.tools.commission import command as command_module
from tests.hil.unit.outputs.test_late_values import _TWINS
from tests.hil.unit.test_commission import cdu, command, site

__all__ = ["cdu", "site"]  # fixtures


def edit(site: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = site / "commission.json"
    journal = json.loads(path.read_text(encoding="utf-8"))
    change(journal["steps"])
    path.write_text(json.dumps(journal), encoding="utf-8")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(words)
    return capsys.readouterr().err


@pytest.mark.parametrize("is_sealed", [True, False], ids=["changed", "without a seal"])
def test_an_edited_gauge_is_not_signed(
    cdu: str, site: Path, is_sealed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--to", "check")
    assert main(words) == 0

    def change(steps: dict[str, Any]) -> None:
        (flow,) = [g for g in steps["values"]["result"]["gauges"] if "Flow" in g["point"]]
        assert flow["gauge"] == "none"
        flow.update(gauge=60.0, tolerance=10.0)
        if not is_sealed:
            del steps["values"]["seal"]

    edit(site, change)
    for _ in range(2):
        error = refused(words, capsys)
        assert "the result of step `values` was not written by this bench" in error
        assert "repeat it with `--from values`" in error
    assert main([*words, "--from", "values"]) == 0


def test_a_result_of_another_bench_is_repeated(
    cdu: str,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = command(cdu, site, "--to", "values")
    assert main(words) == 0
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    assert "the result of step `ports` was not written by this" in refused(words, capsys)


def test_the_report_is_that_of_the_folder(
    cdu: str,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def twins(_unit: Path, folder: Path, _arguments: object) -> dict[str, Any]:
        (folder / "report-twin").mkdir()
        (folder / "report-twin" / "record.json").write_text("{}")
        return {**_TWINS, "files": [str(folder / "report-twin" / "record.json")]}

    monkeypatch.setattr(command_module, "run_twins", twins)
    assert main(command(cdu, site, "--write-test")) == 0
    copied = tmp_path / "copy"
    shutil.copytree(site, copied)
    capsys.readouterr()
    assert main(command(cdu, copied, "--write-test")) == 0
    shown = capsys.readouterr().out
    assert f"with twins: {copied}/report-twin/record.json" in shown
    assert str(site / "report") not in shown
    shutil.rmtree(copied / "report")
    error = refused(command(cdu, copied, "--write-test"), capsys)
    assert f"{copied}/report/record.json: the report is gone" in error
    assert "repeat it with `--from site-acceptance`" in error
