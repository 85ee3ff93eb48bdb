# SPDX-License-Identifier: Apache-2.0
"""The dossier refuses impossible, foreign and repeated inputs; only a figure supports a clause."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.report.dossier.clauses import NOT_COVERED
from hil.report.dossier.derating import MEAN
from hil.report.dossier.inputs import read_evidence, read_input
from hil.report.dossier.sections import NOT_MEASURED, build_sections
from tests.hil.record.test_dossier import LEDGER, cells, write

INTERVAL: dict[str, Any] = LEDGER["intervals"][0]  # type: ignore[index]
ANNUAL: dict[str, Any] = {
    "site": "s", "unit": "u", "category": 2, "interval": "interim", "missing": ["2026-02"],
    "by_month": {},
    "figures": [{"name": "PUE", "unit": "1", "value": 1.15, "uncertainty_pct": 0.3}],
}  # fmt: skip
COEXISTENCE: dict[str, Any] = {
    "verdict": "ok", "spacing_m": 1.5, "temperature_c": None,
    "epochs": {"rest": 60, "transmitting": 9},
    "fixes_pct": {"rest": 100.0, "transmitting": 100.0},
    "time_error_ms": {"rest": 1.0, "transmitting": None},
    "bands": {"L1": {"rest_dbhz": 45.0, "loss_db": 0.5}},
}  # fmt: skip
LATENCY = {"latency": [{"class": "alarm", "carrier": "sbd", "count": 3, "p50_s": 8}]}
HEAP = {"peaks": {"smoke": 150.5}, "verdicts": {"smoke": "pass"}, "code_kib": 300.0}
UNIT = {"site": "s", "unit": "u", "buses": {"a": "tcp:10.0.0.9:502"}}


def evidence_of(path: Path, clause: str) -> str:
    rows = cells(build_sections([read_input(path)], []), "Clauses")
    return next(row[2] for row in rows if row[0] == clause)


@pytest.mark.parametrize(
    ("content", "clause"),
    [
        ({**LEDGER, "intervals": []}, "ISO/IEC 30134-2"),
        ({**LEDGER, "intervals": []}, "ISO/IEC 30134-9"),
        ({**LEDGER, "intervals": [{**INTERVAL, "pue_milli": None}]}, "ISO/IEC 30134-2"),
        ({**LEDGER, "intervals": [{**INTERVAL, "it_wh": 0}]}, "ISO/IEC 30134-2"),
        (LEDGER, "ISO/IEC 30134-9"),
        ({**ANNUAL, "figures": []}, "ISO/IEC 30134-2"),
        (ANNUAL, "ISO/IEC 30134-9"),
        ({**COEXISTENCE, "verdict": "too much"}, "Radio coexistence"),
        ({**COEXISTENCE, "verdict": "FAIL"}, "Radio coexistence"),
        ({**COEXISTENCE, "epochs": {"rest": 0, "transmitting": 0}}, "Radio coexistence"),
        ({**COEXISTENCE, "epochs": {}}, "Radio coexistence"),
        ({**COEXISTENCE, "bands": {"L1": {"rest_dbhz": 45.0, "loss_db": None}}},
         "Radio coexistence"),
    ],
)  # fmt: skip
def test_a_file_without_a_good_figure_supports_no_clause(
    tmp_path: Path, content: dict[str, Any], clause: str
) -> None:
    assert evidence_of(write(tmp_path / "x.json", content), clause) == NOT_COVERED


def test_a_good_figure_supports_its_clause(tmp_path: Path) -> None:
    wet = {**LEDGER, "intervals": [{**INTERVAL, "wue_milli": 400}]}
    year: dict[str, Any] = {
        **wet,
        "months": 12,
        "intervals": [{**INTERVAL, "wue_milli": 400, "interval": "year"}],
    }
    assert evidence_of(write(tmp_path / "wet.json", wet), "ISO/IEC 30134-9").endswith(
        "interim value"
    )
    for clause in ("ISO/IEC 30134-2", "ISO/IEC 30134-9"):
        assert evidence_of(write(tmp_path / "y.json", year), clause) == "y.json"
    path = write(tmp_path / "c.json", COEXISTENCE)
    assert evidence_of(path, "Radio coexistence") == "c.json"


def _with(content: dict[str, Any], *keys: Any) -> dict[str, Any]:
    """Return a copy of `content` with the value keys[-1] at the path keys[:-1]."""
    copy = json.loads(json.dumps(content))
    part = copy
    for key in keys[:-2]:
        part = part[key]
    part[keys[-2]] = keys[-1]
    return dict(copy)


@pytest.mark.parametrize(
    "content",
    [
        *(_with(LEDGER, "category", value) for value in (0, 9, "2", None, True)),
        *(_with(LEDGER, "months", value) for value in (-1, "3", None)),
        *(_with(LEDGER, "intervals", 0, "pue_milli", value) for value in (121, -1, "1121", True)),
        _with(LEDGER, "intervals", 0, "pue_milli", 10**400),
        _with(LEDGER, "intervals", 0, "loop_pue_milli", -10),
        _with(LEDGER, "intervals", 0, "wue_milli", -1),
        _with(LEDGER, "intervals", 0, "erf_milli", 1001),
        _with(LEDGER, "intervals", 0, "it_wh", -5),
        _with(LEDGER, "intervals", 0, "interval", "year"),
        _with(LEDGER, "intervals", 0, "interval", "decade"),
        _with(ANNUAL, "category", 9),
        _with(ANNUAL, "figures", 0, "value", 0.121),
        _with(ANNUAL, "figures", 0, "value", "1.15"),
        _with(ANNUAL, "figures", 0, "uncertainty_pct", -1),
        _with(ANNUAL, "interval", "12 months"),
        _with(COEXISTENCE, "fixes_pct", "rest", 101),
        _with(COEXISTENCE, "bands", "L1", "loss_db", "little"),
        _with(COEXISTENCE, "epochs", "rest", -1),
        _with(LATENCY, "latency", 0, "count", -1),
        _with(LATENCY, "latency", 0, "p50_s", "soon"),
        _with(LATENCY, "latency", 0, "class", 1),
        _with(LATENCY, "latency", 0, "carrier", None),
        _with(LEDGER, "total_is", {"a": 1}),
        _with(LEDGER, "site", ["x"]),
        _with(ANNUAL, "missing", [1]),
        _with(ANNUAL, "figures", 0, "name", 5),
        _with(COEXISTENCE, "verdict", None),
        {"peak_kib": "text"},
        {"peak_kib": -1},
        _with(HEAP, "peaks", "smoke", "much"),
        {**LEDGER, "format": "coldloop-year-1"},
        {**LEDGER, "format": "other"},
        {"format": "coldloop-year-1", "by_month": {}, "figures": [], "missing": []},
        {**LEDGER, "pue_parts": {}},
    ],
)
def test_an_impossible_figure_is_refused(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "x.json", content)
    assert main(["dossier", str(path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("watts", ["nan", "inf", "-inf", "-5", "1e999"])
def test_impossible_rows_are_refused(watts: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"unit,time,signal,value\ns/u,2026-11-28T06:00:00.000Z,{MEAN},{watts}\n")
    with pytest.raises(BenchError, match="rows"):
        read_input(path)


def test_footprints_of_both_benchmarks_are_read(tmp_path: Path) -> None:
    heap = read_input(write(tmp_path / "heap.json", HEAP))
    image = read_input(write(tmp_path / "image.json", {"peak_kib": 90.0, "scenario": "smoke"}))
    rows = cells(build_sections([heap, image], []), "Interfaces and footprints")
    assert ("peak_kib, smoke", "150.5") in rows
    assert ("peak_kib", "90.0") in rows


def test_files_of_different_units_make_no_dossier(tmp_path: Path) -> None:
    ledger = read_input(write(tmp_path / "a.json", LEDGER))
    others = [
        read_input(write(tmp_path / "b.json", {**LEDGER, "site": "OTHER"})),
        read_input(write(tmp_path / "c.json", {**UNIT, "unit": "u2"})),
        read_input(write(tmp_path / "d.json", {**ANNUAL, "unit": "u2"})),
        rows(tmp_path / "e.csv", "s/u2", (5000, 6000, 7000)),
    ]
    for other in others:
        with pytest.raises(BenchError, match="different units"):
            build_sections([ledger, other], [])
    silent = read_input(write(tmp_path / "f.json", COEXISTENCE))
    notes = build_sections([ledger, silent], [])[0].notes
    assert "name no unit" in " ".join(notes)


def rows(path: Path, unit: str, watts: tuple[float, ...]) -> Any:
    lines = [f"{unit},2026-11-28T06:{i:02}:00.000Z,{MEAN},{value}" for i, value in enumerate(watts)]
    path.write_text("\n".join(["unit,time,signal,value", *lines, ""]))
    return read_input(path)


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, LEDGER) for name in ("a.json", "b.json")]
    with pytest.raises(BenchError, match="same content"):
        build_sections([read_input(path) for path in paths], [])
    evidence = read_evidence(f"EN 55032 radiated={paths[0]}")
    with pytest.raises(BenchError, match="same content"):
        build_sections([], [evidence, evidence])


def test_a_load_of_equal_values_has_a_reason(tmp_path: Path) -> None:
    empty = build_sections([rows(tmp_path / "0.csv", "s/u", ())], [])[2]
    assert "no row" in empty.notes[1]
    for path, watts, reason in (
        ("a.csv", (5000.0,) * 5, "all 5 values are equal (5.00 kW)"),
        ("b.csv", (5000.0,), "only one value"),
    ):
        section = build_sections([rows(tmp_path / path, "s/u", watts)], [])[2]
        assert section.notes[0] == NOT_MEASURED
        assert reason in section.notes[1]
    moving = rows(tmp_path / "c.csv", "s/u", (5000, 6000, 7000))
    text = (tmp_path / "c.csv").read_text() + (tmp_path / "a.csv").read_text().replace(
        "s/u", "s/still"
    ).partition("\n")[2]
    (tmp_path / "d.csv").write_text(text)
    section = build_sections([read_input(tmp_path / "d.csv")], [])[2]
    assert len(section.tables) == len(build_sections([moving], [])[2].tables) == 1
    assert any("s/still" in note and "equal" in note for note in section.notes)


def test_a_load_that_rarely_changes_has_no_length_of_intervals(tmp_path: Path) -> None:
    text = "unit,time,signal,value\n" + "".join(
        f"s/u,2026-11-28T{i // 4:02}:{i % 4 * 15:02}:00Z,throttle.LoadMeanWatts,{5000 + i // 24}\n"
        for i in range(96)
    )
    (tmp_path / "a.csv").write_text(text)
    section = build_sections([read_input(tmp_path / "a.csv")], [])[2]
    assert section.tables == ()
    assert "less than once an hour" in section.notes[1]


@pytest.mark.parametrize(
    "address",
    [
        "tcp:admin:hunter3@10.0.0.9:502",
        "tcp:admin:hunter3@10.0.0.9:502?tls=1",
        "tcp:admin:hunter3?x@10.0.0.9:502",
        "tcp:admin:a@hunter3@10.0.0.9",
        "tcp:10.0.0.9:502?password=hunter3",
        "tcp:10.0.0.9:502?password=a@hunter3",
        "mqtt://admin:hunter3@10.0.0.9",
    ],
)
def test_no_login_of_an_address_is_shown(address: str, tmp_path: Path) -> None:
    content = {**UNIT, "buses": {"a": address}, "broker": {"port": address}, "receiver": address}
    sections = build_sections([read_input(write(tmp_path / "unit.json", content))], [])
    assert "hunter3" not in str(sections)
    assert "admin" not in str(sections)
    assert str(cells(sections, "Interfaces and footprints")).count("bus a") == 1


def test_evidence_is_not_empty_and_its_name_can_have_an_equals_sign(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pdf"
    empty.write_bytes(b"")
    with pytest.raises(BenchError, match="empty"):
        read_evidence(f"EN 55032 radiated={empty}")
    path = write(tmp_path / "lab=1.pdf", {})
    found = read_evidence(f"EN 55032 radiated={path}")
    assert (found.clause, found.name) == ("EN 55032 radiated", "lab=1.pdf")


@pytest.mark.parametrize("name", ["dossier.html", "dossier.json", "dossier.pdf"])
@pytest.mark.parametrize(
    "spoil", [lambda path, _: path.mkdir(), lambda path, other: path.symlink_to(other)]
)
def test_a_folder_or_a_link_in_the_way_is_one_line(
    name: str, spoil: Callable[[Path, Path], None], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other, out = tmp_path / "other", tmp_path / "out"
    other.write_text("mine")
    out.mkdir()
    spoil(out / name, other)
    ledger = write(tmp_path / "ledger.json", LEDGER)
    assert main(["dossier", str(ledger), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert other.read_text() == "mine"
    assert [path.name for path in out.iterdir()] == [name]
