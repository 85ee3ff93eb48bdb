# SPDX-License-Identifier: Apache-2.0
"""The list of records on the page of the bench, with records that other people made or changed."""

import json
import math
import os
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hil.errors import BenchError
from hil.page.history import UNKNOWN, list_records, read_curves
from hil.record import trust_store
from hil.record.bench_key import BenchKey
from hil.record.record import FORMAT, RECORD_FILE, seal
from tests.hil.page.test_page import PageBench, bench, http_status, page

__all__ = ["bench", "page"]  # fixtures

SERIES = {"at_s": [0, 1.5, 3], "supply_c": [31, None, 32.5]}


def store(folder: Path, name: str, series: object = None, **changes: object) -> Path:
    """Write a record that a bench has signed; give its file."""
    run = {
        "scenario": "quick",
        "scenario_text": "",
        "scenario_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "verdict": "pass",
        "findings": [],
        "answers": [],
        "provenance": {},
        "channels": [],
        "series": SERIES if series is None else series,
    }
    body = {
        "format": FORMAT,
        "suite": "quick",
        "serial": "A",
        "operator": "",
        "verdict": "pass",
        "verdict_text": "PASS",
        "ended_utc": "2026-01-01T00:00:00Z",
        "runs": [run],
        **changes,
    }
    path = folder / name / RECORD_FILE
    path.parent.mkdir(parents=True)
    record = seal(body, "0" * 64, BenchKey(trust_store.default_path()))
    path.write_text(json.dumps(record), encoding="utf-8")
    (path.parent / "report.html").write_text("<h1>report</h1>")
    return path


def change(path: Path) -> None:
    path.write_text(path.read_text().replace('"serial": "A"', '"serial": "B"'))


def test_a_record_of_an_unknown_bench_is_marked_and_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(tmp_path / "r", "one")
    assert [row["problem"] for row in list_records(tmp_path / "r", "")] == [""]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    row = list_records(tmp_path / "r", "")[0]
    assert (row["problem"], row["curves"]) == (UNKNOWN, False)
    with pytest.raises(BenchError, match="its bench is not known"):
        read_curves(tmp_path / "r", "one", "")
    trust_store.accept(json.loads(path.read_text())["key"])
    assert list_records(tmp_path / "r", "")[0]["curves"]


def test_a_changed_record_is_marked_and_not_drawn(tmp_path: Path) -> None:
    path = store(tmp_path / "r", "one")
    (row,) = list_records(tmp_path / "r", "")
    assert (row["problem"], row["curves"]) == ("", True)
    assert read_curves(tmp_path / "r", "one", "")["at_s"] == SERIES["at_s"]
    change(path)
    os.utime(path, ns=(1, 1))
    (row,) = list_records(tmp_path / "r", "")
    assert "was changed" in row["problem"]
    assert not row["curves"]
    with pytest.raises(BenchError, match="was changed"):
        read_curves(tmp_path / "r", "one", "")


@pytest.mark.parametrize(
    "series",
    [
        {"at_s": [0, 2, 1], "supply_c": [1, 2, 3]},
        {"at_s": [0, 1, 1], "supply_c": [1, 2, 3]},
        {"at_s": ["0", "1", "2"], "supply_c": [1, 2, 3]},
        {"at_s": [0, 1, None], "supply_c": [1, 2, 3]},
        {"at_s": [0, True, 2], "supply_c": [1, 2, 3]},
        {"at_s": [0, 1, 10**400], "supply_c": [1, 2, 3]},
        {"at_s": [0, 1, 2], "supply_c": [1, 2, "3"]},
        {"at_s": [0, 1, 2], "supply_c": [1, 2, 10**400]},
        {"at_s": [0, 1, 2], "supply_c": "123"},
        {"at_s": [0, 1, 2], "supply_c": [1, 2]},
        *({"at_s": [], "supply_c": []}, {}, [], "x"),
    ],
)
def test_series_without_curves_offer_no_overlay(series: object, tmp_path: Path) -> None:
    store(tmp_path / "r", "one", series)
    (row,) = list_records(tmp_path / "r", "")
    assert not row["curves"]
    with pytest.raises(BenchError, match="no curves"):
        read_curves(tmp_path / "r", "one", "")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_no_curve(number: str, tmp_path: Path) -> None:
    path = store(tmp_path / "r", "one")
    path.write_text(path.read_text().replace("32.5", number))
    assert not any(row["curves"] for row in list_records(tmp_path / "r", ""))
    assert not math.isfinite(float(number))


def test_the_newest_record_is_first_whatever_its_folder(tmp_path: Path) -> None:
    for name, day in (("a", 3), ("z", 1), ("m", 2)):
        store(tmp_path / "r", name, ended_utc=f"2026-01-0{day}T00:00:00Z")
    assert [row["report"] for row in list_records(tmp_path / "r", "")] == ["a", "m", "z"]


def test_texts_of_a_record_are_short_and_printable(tmp_path: Path) -> None:
    long = "S" * 3000
    store(tmp_path / "r", "one", serial=long, suite="a\u202eb\x1b[31m")
    (row,) = list_records(tmp_path / "r", long)
    assert len(row["serial"]) == 80
    assert row["suite"] == "a\\u202eb\\x1b[31m"
    assert list_records(tmp_path / "r", row["serial"]) == []


def test_a_folder_name_that_is_not_utf8_hides_no_other_record(tmp_path: Path) -> None:
    store(tmp_path / "r", "one")
    store(tmp_path / "r", os.fsdecode(b"bad\xff"))
    assert [row["report"] for row in list_records(tmp_path / "r", "")] == ["one"]


def test_a_report_is_sent_from_a_folder_of_any_name(bench: PageBench) -> None:
    for name in ("Prüfstand 1", "试验 #2", "100%", "a+b", "%2e%2e"):
        store(bench.records, name)
        quoted = urllib.parse.quote(name, safe="")
        assert http_status(f"{bench.address}reports/{quoted}/report.html") == 200, name
    for name in ("%2e%2e", "..%2f..", "%252e%252e%252f", "%00", "%ff", "a%2fb", "x" * 300, "%"):
        assert http_status(f"{bench.address}reports/{name}/{RECORD_FILE}") in (400, 404), name


def rows_of(page: Page, serial: str) -> Any:
    field = page.locator("[name=serial]")
    field.fill(serial)
    field.press("Tab")
    return page.locator("#history .record")


def test_the_list_marks_and_names_records(bench: PageBench, page: Page) -> None:
    for name in ("twin-1", "twin-2"):
        store(bench.records, name, serial="TWIN")
    store(bench.records, "wide", serial="W" * 3000, suite="WIDE")
    store(bench.records, "bare", serial="BARE", series={"at_s": []})
    change(store(bench.records, "broken", suite="broken"))
    rows = rows_of(page, "TWIN")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("twin-2")
    expect(rows.nth(1).locator("button")).to_have_accessible_name(
        "Overlay: quick TWIN 2026-01-01 00:00 (twin-1)"
    )
    expect(rows_of(page, "BARE").locator("button")).to_have_count(0)
    broken = rows_of(page, "B").filter(has_text="broken")
    expect(broken).to_contain_text("NOT VALID")
    expect(broken).to_contain_text("was changed")
    expect(broken.locator("button")).to_have_count(0)
    expect(rows_of(page, "").filter(has_text="WIDE")).to_have_count(1)
    page.locator("#history .record").filter(has_text="WIDE").locator("button").click()
    expect(page.locator("#overlays")).to_contain_text("WIDE")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
