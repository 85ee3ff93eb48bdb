# SPDX-License-Identifier: Apache-2.0
"""`coldloop ledger report`, from the status of a bench run."""

import json
from pathlib import Path

import pytest

from agent.commands import ledger
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

SCENARIO = """
name = "bill"
title = "a minute with energy accounts"
seconds = 60
[row]
it_kw = 80
pumps = 1
meters = 2
parts = "PARTS"
"""


def write_status(folder: Path, parts: str) -> Path:
    """Run the scenario, write its status as the agent does, return the folder."""
    run = VirtualRun(parse(SCENARIO.replace("PARTS", parts), "bill"), 1)
    run.run()
    (folder / "status.json").write_text(json.dumps(run.status))
    return folder


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = str(write_status(tmp_path, "ledger"))
    assert ledger(["report", "--state", state]) == 0
    text = capsys.readouterr().out
    assert "bench/cdu1  energy accounts, PUE category 1 (IT at the UPS output)" in text
    assert "interim, since 2026-11-24T06:00:0" in text
    assert "losses, % of IT: electrical" in text
    assert ledger(["report", "--state", state, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    entry = record["intervals"][0]
    assert entry["it_wh"] > 500
    assert 1000 <= entry["pue_milli"] <= 1300
    assert record["total_is"] == "facility meter"


def test_unit_without_energy_accounting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = str(write_status(tmp_path, ""))
    assert ledger(["report", "--state", state]) == 2
    assert "no section `ledger`" in capsys.readouterr().err
    assert ledger(["report", "--state", str(tmp_path / "no")]) == 2
