# SPDX-License-Identifier: Apache-2.0
"""An output whose scale no display has proven is not moved, or compared while it is moved."""

import json
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.tools.commission.acceptance import _gauge_result
from hil.tools.commission.findings import ALIKE, indistinct_gauges, unproven_scale
from hil.tools.commission.inputs import dialogue
from tests.hil.unit.test_commission import TABLE, cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures

_PUMP, _VALVE = "PumpSpeedControlPercent", "ValvePositionControlPercent"


def without(words: list[str], *points: str) -> list[str]:
    """Return the words of a command without the gauges of some points."""
    dropped = {i for i, word in enumerate(words) if word.partition("=")[0] in points}
    return [word for i, word in enumerate(words) if not {i, i + 1} & dropped]


def results_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    return found


def test_an_output_without_a_display_is_refused(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = without(command(cdu, site, "--write-test", "--to", "write-test", "--json"), _PUMP)
    assert main(words) == 1
    pump, valve = results_of(capsys)
    assert (pump["state"], valve["state"]) == ("refused", "done")
    assert f"give --gauge cdu.{_PUMP}=VALUE" in pump["reason"]


def test_an_output_at_rest_proves_no_scale(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for register in ("4", "5"):
        assert main(["modbus", "write", cdu, "7", register, "0", "--yes"]) == 0
    words = without(
        command(cdu, site, "--to", "write-test", "--json"), _PUMP, _VALVE, "DeltaPressurekPa"
    )
    rest = ["--write-test", "--gauge", f"{_PUMP}=0", "--gauge", f"{_VALVE}=0"]
    capsys.readouterr()
    assert main([*words, *rest]) == 1
    for result in results_of(capsys):
        assert result["state"] == "refused"
        assert "shows 0, which proves no scale: set the output to 10 or more" in result["reason"]
    assert words_of(cdu, capsys, 4, 2) == [0, 0]


@pytest.mark.parametrize(
    ("shown", "state", "reason"),
    [
        ("62", "done", ""),
        ("62.4", "done", ""),
        ("62,8", "failed", "the display shows 62.8 %: the scale or the register"),
        ("80", "failed", "the display shows 80 %: the scale or the register of the table is wrong"),
        ("60", "failed", "the display shows 60 %: the scale or the register of the table is wrong"),
        ("-", "failed", "the display was not compared"),
    ],
)
def test_the_dialogue_compares_the_tested_value(
    cdu: str,
    site: Path,
    shown: str,
    state: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    held: list[list[int]] = []

    def answer(question: str, proposal: str, _: bool) -> str:
        if f"{_PUMP} is now 62.0 %; the display shows" not in question:
            return proposal
        held.append(words_of(cdu, capsys, 4, 1))
        return shown

    monkeypatch.setattr(dialogue, "prompt", answer)
    monkeypatch.setattr(dialogue, "confirm", lambda *_: True)
    words = [word for word in command(cdu, site, "--to", "write-test") if word != "--yes"]
    main(without(words, _PUMP))
    assert held == [[620]]
    steps = json.loads((site / "commission.json").read_text())["steps"]
    pump = steps["write-test"]["result"][0]
    assert pump["state"] == state
    assert reason in pump["reason"]
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_the_step_test_needs_the_same_proof(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = without(command(cdu, site, "--tune", "--to", "tune", "--json"), _VALVE)
    main(words)
    assert {r["state"] for r in results_of(capsys)} == {"refused"}
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


@pytest.mark.parametrize(("shown", "is_proven"), [(9.9, False), (10.0, True), ("none", False)])
def test_ten_percent_of_the_range_proves_a_scale(shown: float | str, is_proven: bool) -> None:
    values = {"gauges": [{"point": "cdu.P", "gauge": shown}]}
    assert (unproven_scale("cdu.P", 100.0, values) == "") == is_proven


def test_outputs_with_the_same_display_are_not_moved(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their registers can be exchanged, and no gauge shows it."""
    exchanged = TABLE.replace("4;Pump", "9;Pump").replace("5;Valve", "4;Valve")
    (site.parent / "table.csv").write_text(exchanged.replace("9;Pump", "5;Pump"), encoding="utf-8")
    assert main(["modbus", "write", cdu, "7", "5", "590", "--yes"]) == 0
    words = without(command(cdu, site, "--to", "write-test", "--json"), _PUMP, _VALVE)
    rest = ["--write-test", "--gauge", f"{_PUMP}=60", "--gauge", f"{_VALVE}=59"]
    capsys.readouterr()
    assert main([*words, *rest]) == 1
    for result in results_of(capsys):
        assert result["state"] == "refused"
        assert "which does not show which is which: set one of them to another" in result["reason"]
    assert words_of(cdu, capsys, 4, 2) == [600, 590]


_SET_C, _SET_KPA = "SupplyTemperatureControlCelsius", "DeltaPressureControlkPa"
_SET_POINTS = """\
address;name;type;scale;unit;access;bits
0;Supply temperature;i16;0.1;°C;R;
1;Return temperature;i16;0.1;°C;R;
3;Differential pressure;i16;0.1;kPa;R;
4;Temperature set-point;i16;0.1;°C;RW;
5;Differential pressure set-point;u16;{};kPa;RW;
7;Alarm word;u16;;;R;0=leak / 1=pump fault
"""


def set_point_command(cdu: str, site: Path, scale: str, *options: str) -> list[str]:
    """Return a command for set-points whose registers both hold 400."""
    (site.parent / "table.csv").write_text(_SET_POINTS.format(scale), encoding="utf-8")
    assert main(["modbus", "write", cdu, "7", "4", "400", "--yes"]) == 0
    gauges = ("FlowLitersPerMinute", _PUMP, _VALVE, "DeltaPressurekPa")
    words = [word for word in command(cdu, site, "--to", "write-test") if word != "--yes"]
    return without([*words, *options], *gauges)


@pytest.mark.parametrize(("scale", "kpa"), [("0.1", 40), ("1", 400), ("0.5", 200)])
def test_set_points_whose_registers_are_exchanged_are_not_moved(
    cdu: str, site: Path, scale: str, kpa: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal numbers or equal words, in two units, with two scales."""
    gauges = ["--gauge", f"{_SET_C}=40", "--gauge", f"{_SET_KPA}={kpa}"]
    words = set_point_command(cdu, site, scale, *gauges, "--yes", "--write-test", "--json")
    capsys.readouterr()
    assert main(words) == 1
    results = results_of(capsys)
    assert [result["state"] for result in results] == ["refused", "refused"]
    for result in results:
        assert "which does not show which is which" in result["reason"]
    assert words_of(cdu, capsys, 4, 2) == [400, 400]


@pytest.mark.parametrize(("answer", "state"), [("42", "done"), ("40", "failed"), ("41", "failed")])
def test_the_display_must_follow_the_step_of_a_set_point(
    cdu: str,
    site: Path,
    answer: str,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A tolerance of 5 % of the value would hide the step."""

    def prompt(question: str, proposal: str, _: bool) -> str:
        if "is now 50.0 kPa" in question:
            return "50"
        return answer if f"{_SET_C} is now 42.0 Cel" in question else proposal

    monkeypatch.setattr(dialogue, "prompt", prompt)
    monkeypatch.setattr(dialogue, "confirm", lambda *_: True)
    gauges = ["--gauge", f"{_SET_C}=40", "--gauge", f"{_SET_KPA}=40"]
    main(set_point_command(cdu, site, "0.1", *gauges))
    steps = json.loads((site / "commission.json").read_text())["steps"]
    assert [w["state"] for w in steps["write-test"]["result"]] == [state, "done"]
    assert words_of(cdu, capsys, 4, 2) == [400, 400]


def test_a_register_that_can_be_written_is_a_look_alike(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has it as a monitored row, also as bits."""
    mode = "5;Unit mode;u16;;;RW;bit 0=summer (state);"
    lines = [line for line in TABLE.splitlines() if not line.startswith("5;")]
    (site.parent / "table.csv").write_text("\n".join([*lines, mode[:-1]]), encoding="utf-8")
    assert main(["modbus", "write", cdu, "7", "5", "600", "--yes"]) == 0
    words = without(command(cdu, site, "--to", "write-test", "--json", "--write-test"), _VALVE)
    capsys.readouterr()
    assert main(words) == 1
    (pump,) = results_of(capsys)
    assert "about 60 for it and for cdu.register 5, which does not show" in pump["reason"]


def gauge(point: str, value: float | str, unit: str = "Cel", tolerance: float = 1.0) -> Any:
    return {"point": point, "gauge": value, "unit": unit, "tolerance": tolerance}


def test_gauges_that_agree_with_a_wrong_register_are_named() -> None:
    supply, back = "cdu.SupplyTemperatureCelsius", "cdu.ReturnTemperatureCelsius"
    pressure, flow = "cdu.DeltaPressurekPa", "cdu.FlowLitersPerMinute"
    values = {
        "gauges": [
            *(gauge(supply, 24.0), gauge(back, 24.5), gauge("b.SupplyTemperatureCelsius", 24.0)),
            *(gauge(pressure, 3.0, "kPa", 5.0), gauge(flow, "none", "L/min")),
        ]
    }
    found = indistinct_gauges(values)
    assert list(found) == [supply, back, pressure]
    assert f"the same as that of {back}, so exchanged registers are not found" in found[supply]
    assert "as each register without a value does" in found[pressure]
    other = [gauge(supply, 40.0, tolerance=2.0), gauge(pressure, 41.0, "kPa", 5.0)]
    assert list(indistinct_gauges({"gauges": other})) == [supply, pressure]
    other[1]["gauge"] = 44.0
    assert indistinct_gauges({"gauges": other}) == {}
    other[1][ALIKE] = ["FlowLitersPerMinute"]
    assert list(indistinct_gauges({"gauges": other})) == [pressure]
    far = [gauge(supply, 24.0), gauge(back, 26.0), gauge(pressure, 50.0, "kPa", 5.0)]
    assert indistinct_gauges({"gauges": far}) == {}


def test_a_gauge_that_agrees_with_a_wrong_register_is_marginal() -> None:
    flow = {**gauge("cdu.FlowLitersPerMinute", 0.0, "L/min", 10.0), "read": 0.5}
    assert _gauge_result(flow, None).verdict == "pass"
    result = _gauge_result(flow, "as each register")
    assert (result.verdict, result.near) == ("marginal", "as each register")
    result = _gauge_result({**flow, "read": 50.0}, "as each register")
    assert (result.verdict, result.near) == ("fail", None)
