# SPDX-License-Identifier: Apache-2.0
"""A device whose live values have failed gets no write: not by a test, not by the agent."""

import json
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.tools.commission.findings import device_problems
from hil.tools.commission.inputs import dialogue
from tests.hil.unit.test_commission import TABLE, cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures

_SHIFTED = "".join(
    f"{int(first) + 1};{rest}" if first.isdigit() else line
    for line in TABLE.splitlines(keepends=True)
    for first, _, rest in [line.partition(";")]
    if first != "7"
)
"""The table of a manual that counts from 1."""


@pytest.mark.parametrize("is_asked", [False, True], ids=["--yes", "dialogue"])
def test_a_table_that_the_gauges_contradict_writes_nothing(
    cdu: str,
    site: Path,
    is_asked: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Register 5 is the valve, and is called the pump; 6 is a mode word."""
    (site.parent / "table.csv").write_text(_SHIFTED, encoding="utf-8")
    words = [word for word in command(cdu, site) if not (is_asked and word == "--yes")]
    monkeypatch.setattr(dialogue, "prompt", lambda _text, proposal, _yes: proposal)
    monkeypatch.setattr(dialogue, "confirm", lambda *_: True)
    options = [] if is_asked else ["--write-test", "--tune", "--real"]
    before = words_of(cdu, capsys, 4, 3)
    assert main([*words, *options]) == 1
    shown = capsys.readouterr().out
    assert words_of(cdu, capsys, 4, 3) == before
    steps = json.loads((site / "commission.json").read_text())["steps"]
    results = steps["write-test"]["result"]
    assert {result["state"] for result in results} == {"refused"}
    assert all("the values of this device have failed" in r["reason"] for r in results)
    assert steps["tune"]["result"] == []  # the configuration controls nothing
    assert "FAIL on the devices (not controlled by the agent" in shown
    assert "the agent does not control a CDU with these problems" in shown


@pytest.mark.parametrize(
    ("cdu", "reason"),
    [("no-value", "no measured value is good"), ("zero", "all measured values are 0")],
    indirect=["cdu"],
)
def test_a_device_without_a_good_value_gets_no_write(
    cdu: str, site: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [line for line in TABLE.splitlines() if "Flow" not in line]  # 0x8000 L/min is good
    (site.parent / "table.csv").write_text("\n".join(table), encoding="utf-8")
    words = [w.partition("=")[0] + "=none" if "=" in w else w for w in command(cdu, site)]
    at = words.index("FlowLitersPerMinute=none")
    main([*words[: at - 1], *words[at + 1 :], "--write-test", "--to", "write-test", "--json"])
    results: list[Any] = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert [result["state"] for result in results] == ["refused", "refused"]
    assert all(reason in result["reason"] for result in results)


def test_a_device_beside_it_is_tested() -> None:
    """Only the device whose values have failed keeps its outputs."""
    sample = {"SupplyTemperatureCelsius": [36.0, "good"]}
    facts = {"identity": "matches the profile", "errors": [], "samples": [sample]}
    point = {"read": 36.0, "unit": "Cel", "tolerance": 1.0}
    values = {
        "devices": [{"name": name, **facts} for name in ("cdu", "cdu2")],
        "gauges": [
            {"point": "cdu.SupplyTemperatureCelsius", "gauge": 20.0, **point},
            {"point": "cdu2.SupplyTemperatureCelsius", "gauge": 36.0, **point},
        ],
    }
    assert device_problems("cdu", values) == [
        "cdu.SupplyTemperatureCelsius: differs from the gauge"
    ]
    assert device_problems("cdu2", values) == []
