# SPDX-License-Identifier: Apache-2.0
"""`coldloop commission` from a CDU that it has never seen to a signed report."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.record.record import read

_SERVER = Path(__file__).with_name("foreign_cdu.py")
TABLE = """\
address;name;type;scale;unit;access;bits
0;Supply temperature;i16;0.1;°C;R;
1;Return temperature;i16;0.1;°C;R;
2;Flow;u16;0.1;L/min;R;
3;Differential pressure;i16;0.1;kPa;R;
4;Pump speed command;u16;0.1;%;RW;
5;Valve command;u16;0.1;%;RW;
6;Status;u16;;;R;0=running / 1=remote
7;Alarm word;u16;;;R;0=leak / 1=pump fault / 2=low level
"""
_GAUGES = ("SupplyTemperatureCelsius=36.2", "ReturnTemperatureCelsius=41.8",
           "DeltaPressurekPa=50", "FlowLitersPerMinute=none")  # fmt: skip


@pytest.fixture
def cdu(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the foreign CDU; the parameter of the test is its fault."""
    command = [sys.executable, str(_SERVER), "0", getattr(request, "param", "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        yield f"tcp:127.0.0.1:{int(it.stdout.readline())}"
        it.terminate()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLDLOOP_PROFILES", "")
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "site"


def command(cdu: str, site: Path, *options: str) -> list[str]:
    table = ["--table", str(site.parent / "table.csv"), "--model", "acme_cdu"]
    gauges = [word for gauge in _GAUGES for word in ("--gauge", gauge)]
    labels = ["--serial", "SN1", "--operator", "Ada", "--dir", str(site), "--setpoint-kpa", "60"]
    return ["commission", cdu, "--units", "7", *table, *gauges, *labels, "--yes", *options]


def provenance(folder: Path) -> list[tuple[str, str]]:
    record = read(folder / "record.json")
    run = record["runs"][0]["provenance"]
    return [(run["time"], device["kind"]) for device in run["devices"]]


def test_an_unknown_cdu_gets_a_signed_report(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--write-test", "--json")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    results: dict[str, Any] = {line["step"]: line["result"] for line in lines}
    assert results["report"]["verdict"] == results["acceptance"]["verdict"] == "pass"
    assert [write["state"] for write in results["write-test"]] == ["done", "done"]
    assert provenance(site / "report") == [("real", "real")]
    assert provenance(site / "report-twin") == [("virtual", "emulated")]
    assert main(["hil", "verify", "--trust", str(site / "report"), str(site / "report-twin")]) == 0
    assert main(["agent", "--config", str(site / "unit.json"), "--check"]) == 0
    # the old values are back
    assert main(["modbus", "read", cdu, "7", "4", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["values"] == [600, 400]


def test_it_continues_where_it_stopped(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(cdu, site, "--to", "describe")]) == 0
    profile = site / "profiles" / "acme_cdu.json"
    changed = profile.read_text().replace("from a register table", "edited")
    profile.write_text(changed)
    capsys.readouterr()
    assert main([*command(cdu, site)]) == 1  # the write test is not permitted
    text = capsys.readouterr().out
    assert "step 3 of 9, profiles: done at" in text
    assert "write test of cdu.PumpSpeedControlPercent: not tested" in text
    assert profile.read_text() == changed
    assert main([*command(cdu, site, "--from", "values", "--write-test")]) == 0


@pytest.mark.parametrize(
    ("gauges", "verdict"), [((), "incomplete"), (("SupplyTemperatureCelsius=30",), "fail")]
)
def test_an_open_question_or_a_false_gauge_is_no_pass(
    cdu: str, site: Path, gauges: tuple[str, ...], verdict: str
) -> None:
    words = command(cdu, site, "--write-test")
    kept = [w for i, w in enumerate(words) if w != "--gauge" and words[i - 1] != "--gauge"]
    assert main([*kept, *(word for gauge in gauges for word in ("--gauge", gauge))]) == 1
    assert read(site / "report" / "record.json")["verdict"] == verdict


@pytest.mark.parametrize(
    ("cdu", "states", "registers"),
    [
        ("alarm", ["refused", "refused"], [600, 400]),
        ("deaf", ["done", "failed"], [600, 400]),
        ("sticky", ["left", "done"], [620, 400]),
    ],
    indirect=["cdu"],
)
def test_the_write_test_is_guarded(
    cdu: str,
    site: Path,
    states: list[str],
    registers: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command(cdu, site, "--write-test", "--to", "write-test", "--json")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert [write["state"] for write in result] == states
    assert main(["modbus", "read", cdu, "7", "4", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["values"] == registers


def test_mistakes_are_one_line_each(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = site.parent / "table.csv"
    cases = (
        (TABLE.replace("0.1;°C;R;\n1", "0.1;°F;R;\n1"), "unit '°F' is unknown"),
        (TABLE.replace("7;Alarm", "6;Alarm"), "table.csv:9: address 6 is that of line 8"),
        (TABLE.replace("i16", "i17"), "type 'i17' is none of"),
        (TABLE.replace("0=leak", "16=leak"), "bit '16=leak' is not like 0=leak"),
        ("", "no registers"),
    )
    for text, problem in cases:
        table.write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main([*command(cdu, site)])
        assert ended.value.code == 2
        assert problem in capsys.readouterr().err
    (site / "commission.json").write_text("{}")
    with pytest.raises(SystemExit):
        main([*command(cdu, site)])
    assert "not a journal of a commissioning" in capsys.readouterr().err


@pytest.mark.soak
@pytest.mark.realtime
def test_the_agent_controls_the_unknown_cdu(cdu: str, site: Path) -> None:
    assert main([*command(cdu, site, "--write-test", "--real", "--seconds", "90")]) == 0
    record = read(site / "report" / "record.json")
    assert [run["scenario"] for run in record["runs"]] == [
        *("commission", "unit-readings", "unit-control"),
    ]
    assert record["verdict"] == "pass"
