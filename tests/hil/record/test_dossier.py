# SPDX-License-Identifier: Apache-2.0
"""The dossier: only measured figures, each from a named file; missing evidence is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.record.bench_key import BenchKey
from hil.record.provenance import SerialCheck
from hil.record.record import build_suite_record, seal
from hil.report.dossier.clauses import NOT_COVERED
from hil.report.dossier.derating import MEAN, PEAK, derating, load_profiles
from hil.report.dossier.inputs import read_evidence, read_input
from hil.report.dossier.page import format_page
from hil.report.dossier.sections import NOT_KNOWN, NOT_MEASURED, Section, build_sections
from hil.run.recorded import record_virtual
from hil.scenario.loader import find

LEDGER = {
    "site": "s", "unit": "u", "category": 2, "months": 3, "total_is": "facility meter",
    "meters": [],
    "intervals": [
        {"interval": "interim", "began_us": 1_795_500_000_000_000, "it_wh": 1000,
         "pue_milli": 1121, "loop_pue_milli": 1010, "wue_milli": None, "erf_milli": None}
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed record of the scenario `derating`, in virtual time."""
    folder = tmp_path_factory.mktemp("record")
    run = record_virtual(find("derating"), 1, "cpython").record()
    body = build_suite_record("derating", "t", [run], ["derating"], SerialCheck(), "")
    sealed = seal(body, "0" * 64, BenchKey(folder / "key"))
    (folder / "record.json").write_text(json.dumps(sealed))
    return folder


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def cells(sections: list[Section], title: str) -> list[tuple[str, ...]]:
    section = next(s for s in sections if s.title == title)
    return [row for table in section.tables for row in table.rows]


def test_a_curve_comes_from_the_samples_of_a_record(record: Path) -> None:
    sections = build_sections([read_input(record)], [])
    curve = cells(sections, "Derating curves")
    assert float(curve[0][1]) == 100.0
    hottest = curve[-1]
    series = json.loads((record / "record.json").read_text())["runs"][0]["series"]
    supply = int(hottest[0].split()[0])
    same = [
        limit
        for limit, value in zip(series["limit_kw"], series["supply_c"], strict=True)
        if limit is not None and round(value) == supply
    ]
    assert float(hottest[1]) == pytest.approx(100 * min(same) / 100.0, abs=0.06)
    assert float(hottest[1]) < 95
    assert (
        "emulated devices"
        in next(s for s in sections if s.title == "Derating curves").tables[0].title
    )


def test_without_measurements_each_section_says_so(record: Path, tmp_path: Path) -> None:
    ledger = write(tmp_path / "ledger.json", LEDGER)
    sections = build_sections([read_input(ledger)], [])
    empty = [s.title for s in sections if s.notes and s.notes[0].startswith(NOT_MEASURED)]
    assert empty == ["Derating curves", "Load profile", "Link and radio"]
    (pue,) = cells(sections, "PUE protocol")
    assert pue[3:] == ("1.121", "1.010", NOT_MEASURED, NOT_MEASURED)
    rows = {row[0]: row[2] for row in cells(sections, "Clauses")}
    assert rows.pop("ISO/IEC 30134-2") == "ledger.json, interim value"
    assert set(rows.values()) == {NOT_COVERED}


def test_the_annual_account_has_its_uncertainty(tmp_path: Path) -> None:
    figures = [{"name": "PUE", "unit": "1", "value": 1.15, "uncertainty_pct": 0.3}]
    figures.append({"name": "ERF", "unit": "1", "value": None, "uncertainty_pct": None})
    leakage = {"name": "leakage, in the IT energy", "unit": "kWh", "value": 45099.874063}
    figures.append({**leakage, "uncertainty_pct": 50.4})
    content = {"category": 2, "interval": "interim", "missing": ["2026-02"], "by_month": {}}
    annual = read_input(write(tmp_path / "annual.json", {**content, "figures": figures}))
    sections = build_sections([annual], [])
    assert cells(sections, "PUE protocol") == [
        ("PUE", "1.15", "1", "0.3"),
        ("ERF", NOT_MEASURED, "1", NOT_KNOWN),
    ]
    notes = next(s for s in sections if "PUE" in s.title).notes
    assert "leakage, in the IT energy is not here" in notes[0]  # a model, no measurement
    assert "missing months: 2026-02" in notes[1]
    rows = {row[0]: row[2] for row in cells(sections, "Clauses")}
    assert rows["ISO/IEC 30134-2"] == "annual.json, interim value"
    assert rows["ISO/IEC 30134-9"] == NOT_COVERED


def test_a_changed_record_is_refused(record: Path, tmp_path: Path) -> None:
    text = (record / "record.json").read_text()
    (tmp_path / "record.json").write_text(text.replace('"pass"', '"fail"', 1))
    with pytest.raises(BenchError, match="changed"):
        read_input(tmp_path)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"climate": "dubai", "policy": "coldloop", "pue": 1.1}, "simulated"),
        ({"x": 1}, "not one of"),
        ([1], "not a record"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: object, error: str) -> None:
    with pytest.raises(BenchError, match=error):
        read_input(write(tmp_path / "x.json", content))


def test_records_of_two_units_make_no_dossier(record: Path, tmp_path: Path) -> None:
    first = json.loads((record / "record.json").read_text())
    body = {k: v for k, v in first.items() if k not in ("hash", "signature", "key", "previous")}
    body["serial"] = "OTHER1"
    second = seal(body, "0" * 64, BenchKey(tmp_path / "key"))
    inputs = [read_input(record), read_input(write(tmp_path / "second.json", second))]
    if first["serial"]:
        with pytest.raises(BenchError, match="different units"):
            build_sections(inputs, [])


def test_evidence_needs_a_known_clause(tmp_path: Path) -> None:
    report = write(tmp_path / "report.pdf", {})
    good = read_evidence(f"EN 55032 radiated={report}")
    rows = {row[0]: row[2] for row in cells(build_sections([], [good]), "Clauses")}
    assert "report.pdf, supplied" in rows["EN 55032 radiated"]
    with pytest.raises(BenchError, match="no such clause"):
        build_sections([], [read_evidence(f"EN 1={report}")])
    with pytest.raises(BenchError, match="CLAUSE=FILE"):
        read_evidence("report.pdf")


def test_a_curve_needs_a_lower_limit_and_samples() -> None:
    constant: dict[str, Any] = {"supply_c": [30.0] * 9, "limit_kw": [100.0] * 9}
    assert derating(constant) == []
    assert derating({}) == []
    short = {"supply_c": [30.0] * 9 + [50.0] * 4, "limit_kw": [100.0] * 9 + [50.0] * 4}
    assert [point.supply_c for point in derating(short)] == [30]


def test_a_load_profile_names_missing_intervals() -> None:
    start = 1_795_500_000_000 // 3_600_000 * 3_600_000
    rows: list[list[Any]] = []
    for i in range(60):
        if i in (20, 21):
            continue
        for second in range(0, 60, 20):  # the value stays until the next interval
            at = start + 60_000 * i + 1000 * second
            watts = 50e3 + (i if i < 40 else 40)  # twenty intervals are equal
            rows += [["s/u", at, MEAN, watts], ["s/u", at, PEAK, watts + 10e3]]
    (profile,) = load_profiles(rows)
    assert (profile.interval_s, profile.intervals, profile.missing_count) == (60, 58, 2)
    assert profile.missing == (start + 19 * 60_000, start + 20 * 60_000)  # shown a minute later
    assert profile.hours[-1].peak_w == 60e3 + 40
    assert profile.first_ms == start - 60_000
    assert load_profiles(rows[:2]) == []


def test_a_file_of_another_form_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, content in enumerate(
        (
            {**LEDGER, "intervals": [{}]},
            {**LEDGER, "intervals": 5},
            {"bands": {"L1": {}}, "fixes_pct": 3, "epochs": {}},
            {"latency": [1]},
            {"site": "s", "unit": "u", "buses": 3},
            {"by_month": {}, "figures": [{}], "missing": [1]},
        )
    ):
        path = write(tmp_path / f"{i}.json", content)
        assert main(["dossier", str(path), "--out", str(tmp_path / "out")]) == 2, content
        assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_bench_is_named(record: Path) -> None:
    files = cells(build_sections([read_input(record)], []), "Evidence")
    assert "AN UNKNOWN bench" in files[0][2]


def test_texts_are_escaped() -> None:
    page = format_page("<b>", [Section("<i>", ("<script>",))])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;i&gt;" in page


def test_the_command(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "unit,time,signal,value\n"
        f"s/u,2026-11-28T06:00:00.000Z,{MEAN},5000\n"
        f"s/u,2026-11-28T06:01:00.000Z,{MEAN},6000\n"
        f"s/u,2026-11-28T06:02:00.000Z,{MEAN},7000\n"
    )
    code = main(["dossier", str(record), str(rows), "--out", str(out), "--title", "row 7"])
    names = {path.name for path in out.iterdir()}
    assert {"dossier.html", "dossier.json"} <= names
    assert code == (0 if shutil.which("chromium") else 1)
    if code == 0:
        assert (out / "dossier.pdf").read_bytes().startswith(b"%PDF")
    assert "s/u: 3 intervals of 60 s" in (out / "dossier.html").read_text()
    assert main(["dossier", str(tmp_path / "none.json"), "--out", str(out)]) == 2
    assert "missing" in capsys.readouterr().err
