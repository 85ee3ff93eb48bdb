# SPDX-License-Identifier: Apache-2.0
"""The dossier with wrong clocks, contradictory figures, and names that turn the text around."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hil.errors import BenchError
from hil.report.dossier.derating import MEAN, load_profiles
from hil.report.dossier.inputs import read_input
from hil.report.dossier.page import format_page
from hil.report.dossier.sections import Section, build_sections
from tests.hil.record.test_dossier import LEDGER, write
from tests.hil.record.test_dossier_figures import ANNUAL

DAY_MS = 86_400_000
START_MS = 1_790_000_000_000


def rows(start_ms: int = START_MS, count: int = 100, step_ms: int = 10_000) -> list[list[Any]]:
    return [["s/u", start_ms + i * step_ms, MEAN, 1000.0 + i] for i in range(count)]


def csv_file(path: Path, start: datetime) -> Path:
    lines = ["unit,time,signal,value"]
    for i in range(50):
        moment = (start + timedelta(seconds=10 * i)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        lines.append(f"s/u,{moment},{MEAN},{1000 + i}")
    path.write_text("\n".join(lines) + "\n")
    return path


def evidence(path: Path) -> Section:
    return next(s for s in build_sections([read_input(path)], []) if s.title == "Evidence")


def test_a_row_decades_away_is_one_more_interval() -> None:
    """The list of all intervals since 1970 does not fit into the memory."""
    (profile,) = load_profiles(rows(10_000, 1) + rows())
    assert profile.intervals == 101
    span = (profile.last_ms - profile.first_ms) // 10_000 + 1
    assert profile.missing_count == span - 101 > 170_000_000
    assert len(profile.missing) == 20
    assert profile.missing[0] == profile.first_ms + 10_000


def test_missing_intervals_are_counted() -> None:
    gaps = [row for i, row in enumerate(rows()) if i not in (3, 4, 50)]
    (profile,) = load_profiles(gaps)
    assert (profile.intervals, profile.missing_count, len(profile.missing)) == (97, 3, 3)
    (whole,) = load_profiles(rows())
    assert (whole.missing_count, whole.missing) == (0, ())


def test_a_time_after_now_is_named(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    later = csv_file(tmp_path / "later.csv", now + timedelta(days=40))
    assert any("later.csv" in n and "clocks is wrong" in n for n in evidence(later).notes)
    earlier = csv_file(tmp_path / "earlier.csv", now - timedelta(days=40))
    assert not any("clock" in note for note in evidence(earlier).notes)
    began_us = int((now + timedelta(days=9)).timestamp() * 1e6)
    intervals = [{**LEDGER["intervals"][0], "began_us": began_us}]  # type: ignore[index]
    ledger = write(tmp_path / "ledger.json", {**LEDGER, "intervals": intervals})
    assert any("ledger.json" in n and "clocks is wrong" in n for n in evidence(ledger).notes)


def figure(name: str, value: float | None) -> dict[str, Any]:
    return {"name": name, "unit": "1", "value": value, "uncertainty_pct": 0.3}


ENERGIES = [figure("all energy", 1150.0), figure("IT energy", 1000.0), figure("water", 1200.0)]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"figures": [figure("PUE", 1.15), figure("PUE", 1.01)]}, "PUE: the file has .* twice"),
        ({"figures": [figure("PUE", 1.05), *ENERGIES]}, "PUE: 1.05 is not"),
        ({"figures": [figure("WUE", 0.5), *ENERGIES]}, "WUE: 0.5 is not"),
        ({"interval": "12 months", "missing": [], "months": []}, "has 0 months"),
        ({"interval": "12 months", "missing": [], "months": ["2026-01"] * 12}, "has 1 months"),
    ],
)
def test_figures_that_contradict_each_other_are_refused(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(BenchError, match=what):
        read_input(write(tmp_path / "annual.json", {**ANNUAL, **changes}))


def test_figures_that_agree_are_taken(tmp_path: Path) -> None:
    figures = [figure("PUE", 1.15), figure("WUE", 1.2), figure("ERF", None), *ENERGIES]
    months = [f"2026-{month:02}" for month in range(1, 13)]
    whole = {"interval": "12 months", "missing": [], "months": months, "figures": figures}
    assert read_input(write(tmp_path / "annual.json", {**ANNUAL, **whole})).kind == "annual"
    unknown = {"figures": [figure("PUE", None), *ENERGIES]}
    assert read_input(write(tmp_path / "annual.json", {**ANNUAL, **unknown})).kind == "annual"


@pytest.mark.parametrize("mark", ["\u202e", "\u202b", "\u2066", "\u2069"])
def test_a_name_does_not_turn_the_text_after_it(tmp_path: Path, mark: str) -> None:
    unit = f"u{mark}1"
    ledger = write(tmp_path / "ledger.json", {**LEDGER, "unit": unit})
    page = format_page(f"row {mark} title", build_sections([read_input(ledger)], []))
    assert mark not in page
    assert page.count(json.dumps(mark)[1:-1]) >= 3  # in the title, its heading and the tables
    assert "مركز" in format_page("مركز", [])
