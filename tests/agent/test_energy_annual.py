# SPDX-License-Identifier: Apache-2.0
"""Twelve months of the energy account: figures, uncertainty, missing months."""

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ConfigError
from agent.energy.account import ROLES, Account
from agent.tools.energy.annual import StoredMonths, build_report, read_months, render
from agent.tools.energy.figures import EnergyFigure, FigureSheet
from agent.tools.energy.site import EnergySite, GridFactor, Leakage, parse_site
from protocols.calendar import days_from_civil

MWH = 1_000_000
SECTION: dict[str, Any] = {
    "category": 2,
    "meters": [
        {"role": "it", "device": "pdu", "point": "Energy"},
        {"role": "loop", "device": "drive", "point": "Energy"},
        {"role": "air", "device": "crac", "point": "Energy"},
        {"role": "water", "device": "water", "point": "Volume"},
    ],
}
CLASSES = {"pdu.Energy": 1.0, "drive.Energy": 2.0, "crac.Energy": 2.0, "water.Volume": 2.0}


def utc_us(year: int, month: int, day: int = 1) -> int:
    return days_from_civil(year, month, day) * 86_400_000_000


def account(start_us: int, **kwh: float) -> Account:
    used = [0] * len(ROLES)
    for role, value in kwh.items():
        used[ROLES.index(role)] = round(value * (1000 * 1000 if role == "water" else MWH))
    return Account(start_us, used)


def months(count: int = 12) -> list[Account]:
    starts = [utc_us(2025 + (10 + i) // 12, (10 + i) % 12 + 1) for i in range(12)]
    return [account(s, it=1000, loop=50, air=100, water=1.2) for s in starts[12 - count :]]


def stored(found: list[Account] | None = None, present_us: int = 0) -> StoredMonths:
    """Return a store on 2026-11-28; `present_us`: start of the account of November."""
    found = months() if found is None else found
    return StoredMonths(found, present_us or utc_us(2026, 11), utc_us(2026, 11, 28))


def figure(report: dict[str, Any], name: str) -> EnergyFigure:
    return next(EnergyFigure(**f) for f in report["figures"] if f["name"].startswith(name))


def test_figures_of_twelve_months() -> None:
    grid = GridFactor("test", 400.0, {"2026-01": 500.0}, 10.0)
    site = EnergySite("AED", 0.38, 10.0, grid, CLASSES, Leakage(0.04, 60, 0.012, 70, 5, 50))
    report = build_report(stored(), SECTION, site)
    assert (report["interval"], report["missing"]) == ("12 months", [])
    assert report["months"][0] == "2025-11"
    assert figure(report, "PUE").value == pytest.approx(1.15)
    assert figure(report, "WUE").value == pytest.approx(1.2)
    assert figure(report, "ERF").value is None
    assert figure(report, "cost of energy").value == pytest.approx(12 * 1150 * 0.38)
    assert figure(report, "cost of water").value == pytest.approx(12 * 1.2 * 10)
    assert figure(report, "CO2").value == pytest.approx((11 * 400 + 500) * 1150 / 1000)
    leak = figure(report, "leakage")
    assert leak.value == pytest.approx(12_000 * 0.04 * math.exp(0.12))
    assert leak.uncertainty_pct == pytest.approx(200 * math.hypot(0.01 / 3**0.5, 0.25, 0.03))
    text = "\n".join(render(report))
    assert "PUE category 2, IT at the PDU outputs" in text
    assert "ERF" in text


def test_gaps_within_a_month_are_named(tmp_path: Path) -> None:
    found = months()
    found[3].gap_s = 9000
    lines = ["ledger 1", *(account(utc_us(2026, 11, 28)).encode() for _ in range(3))]
    lines += ["month " + month.encode() for month in found]
    lines += ["covered 1 2", "end"]
    path = tmp_path / "ledger.now"
    path.write_text("\n".join(lines))
    report = build_report(read_months(path), SECTION, EnergySite())
    assert report["gaps_s"] == {"2026-02": 9000}
    assert "2026-02 2.5 h" in "\n".join(render(report))
    assert build_report(stored(), SECTION, EnergySite())["gaps_s"] == {}


@pytest.mark.parametrize("facility", [False, True])
def test_the_uncertainty_is_that_of_a_simulation(facility: bool) -> None:
    """Monte Carlo: each meter has a constant error within its class."""
    energies = {"it": 1000.0, "loop": 50.0, "air": 100.0}
    meters = [(role, role) for role in energies]
    classes = {"it": 1.0, "loop": 2.0, "air": 2.0}
    if facility:
        energies["facility"], classes["facility"] = 1200.0, 0.5
        meters.append(("facility", "facility"))
    sheet = FigureSheet(EnergySite(classes=classes), meters)
    found = {f.name: f for f in sheet.figures([("x", account(1, **energies))])}
    chance = random.Random(1)
    pue, total = [], []
    for _ in range(40_000):
        read = {r: e * (1 + chance.uniform(-1, 1) * classes[r] / 100) for r, e in energies.items()}
        total.append(read.get("facility") or sum(read.values()))
        pue.append(total[-1] / read["it"])
    for name, values in (("PUE", pue), ("all energy", total)):
        expected = 200 * statistics.stdev(values) / statistics.fmean(values)
        assert found[name].uncertainty_pct == pytest.approx(expected, rel=0.03), name


def test_without_a_class_there_is_no_uncertainty() -> None:
    site = EnergySite(classes={"pdu.Energy": 1.0})
    report = build_report(stored(), SECTION, site)
    assert figure(report, "IT energy").uncertainty_pct == pytest.approx(200 * 0.01 / 3**0.5)
    assert figure(report, "PUE").uncertainty_pct is None
    assert report["without_class"] == ["crac.Energy", "drive.Energy", "water.Volume"]
    assert figure(report, "CO2").value is None
    assert figure(report, "leakage").value is None


def test_missing_and_partial_months_are_named() -> None:
    found = months()
    del found[3]
    found[0] = account(utc_us(2025, 11, 5), it=1000)
    report = build_report(stored(found), SECTION, EnergySite())
    assert report["interval"] == "interim"
    assert report["missing"] == ["2025-11", "2026-01", "2026-02"]  # January has no end
    assert "2025-11, 2026-01, 2026-02" in "\n".join(render(report))
    later = stored()._replace(now_us=utc_us(2027, 3))
    old = build_report(later, SECTION, EnergySite())
    assert old["missing"] == ["2026-11", "2026-12", "2027-01", "2027-02"]
    none = build_report(StoredMonths([], 0, 0), SECTION, EnergySite())
    assert none["figures"] == []


def test_a_month_whose_end_the_agent_did_not_see_is_not_whole() -> None:
    """It stopped in October, and began again on the third of November."""
    report = build_report(stored(present_us=utc_us(2026, 11, 3)), SECTION, EnergySite())
    assert report["missing"] == ["2026-10"]


def test_the_store_of_the_component_is_read(tmp_path: Path) -> None:
    day, month = account(utc_us(2026, 11, 28), it=1), account(utc_us(2026, 11), it=1)
    lines = ["ledger 1", day.encode(), day.encode(), month.encode()]
    lines += ["month " + month.encode() for month in months()]
    path = tmp_path / "ledger.now"
    path.write_text("\n".join([*lines, "meter pdu.Energy 5", "end"]))
    found = read_months(path)
    assert len(found.months) == 12
    assert found[1:] == (utc_us(2026, 11), utc_us(2026, 11, 28))
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="damaged"):
        read_months(path)
    path.write_bytes(b"\xff\x00")
    with pytest.raises(ConfigError, match="damaged"):
        read_months(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_months(tmp_path / "none")


_LEAK_REST = "\ncase_c=70\ncase_uncertainty_k=3\npart_uncertainty_pct=20"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x=1", "x: unknown"),
        ("[grid]\ng_per_kwh=400", "source"),
        ("[grid]\nsource='a'\ng_per_kwh=-1", "g_per_kwh"),
        ("[meters]\n'a.b'=0", "meters.a.b"),
        ("[meters]\n'a.b'=true", "meters.a.b"),
        ("electricity_per_kwh=nan", "electricity"),
        ("[leakage]\npart=0.04", "at_c"),
        (f"[leakage]\npart=0.04\nat_c=60\nper_k=100{_LEAK_REST}", "per_k"),
        (f"[leakage]\npart=4\nat_c=60\nper_k=0.01{_LEAK_REST}", "part"),
        ("[grid]\nsource='a'\ng_per_kwh=400\n[grid.months]\n'2026-13'=1", "not a month"),
        ("[grid]\nsource='a'\ng_per_kwh=400\n[grid.months]\nJanuary=1", "not a month"),
        ("grid=3", "not a table"),
        ("[", "TOML"),
    ],
)
def test_a_wrong_site_file_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_site(text)


def test_a_site_file() -> None:
    site = parse_site(
        'currency="ZAR"\nelectricity_per_kwh=2.1\n[grid]\nsource="Eskom 2025"\ng_per_kwh=990\n'
        '[grid.months]\n"2026-01"=1000\n[meters]\n"pdu.Energy"=0.5\n'
    )
    assert site.grid is not None
    assert site.grid.months == {"2026-01": 1000.0}
    assert json.dumps(site.classes) == '{"pdu.Energy": 0.5}'
