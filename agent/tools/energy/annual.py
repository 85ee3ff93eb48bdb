# SPDX-License-Identifier: Apache-2.0
"""`coldloop ledger annual`: twelve months with cost, water, CO2, leakage and uncertainty.

Does not need the agent: it reads the store of the account (`ledger.port`), which has the last
twelve whole months. A month that is missing, began late or ended early is named, and the figures
are interim. A month ended early if the next account began late: the agent did not run at its end.
The gaps within a month are named, too: the time in which a meter that shows a rate was not read.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.errors import ConfigError
from agent.energy import account as accounts
from agent.energy.account import Account
from agent.energy.component import KEY, MONTHS, month_number
from agent.tools.energy.figures import EnergyFigure, FigureSheet
from agent.tools.energy.site import EnergySite, load_site
from protocols.calendar import civil_from_utc

EXAMPLE = "coldloop ledger annual --config /etc/coldloop/unit.json --site-file site.toml"
_CATEGORIES = {1: "1, IT at the UPS output", 2: "2, IT at the PDU outputs", 3: "3, IT at its input"}
_LATE_US = 60 * 60 * 1_000_000
"""An account that begins later than this after the start of its month has not all of it."""


class StoredMonths(NamedTuple):
    """The months of a store, and the starts of the present month and day, UTC in µs."""

    months: list[Account]
    present_us: int
    now_us: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration of the unit")
    parser.add_argument(
        "--site-file", metavar="FILE", help="prices, CO2 of the grid, classes of meters (TOML)"
    )
    parser.add_argument("--store", metavar="DIR", help="folder of the account (by configuration)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Exit 1: months are missing, so the figures are interim."""
    from agent.commands import read_config  # noqa: PLC0415

    config = read_config(arguments.config)
    components = config.components
    section, address = next(
        ((raw, at) for name, raw, at in components if name == "ledger"), (None, None)
    )
    if section is None:
        raise ConfigError(f"{arguments.config}: no section `ledger`")
    site = load_site(arguments.site_file) if arguments.site_file else EnergySite()
    folder = arguments.store or ("" if address is None else address.path)
    if not folder:
        raise ConfigError(f"{arguments.config}: ledger.port: missing, so no month is stored")
    report = {
        "site": config.site,
        "unit": config.unit,
        **build_report(read_months(Path(folder) / KEY), section, site),
    }
    print(json.dumps(report) if arguments.json else "\n".join(render(report)))
    return int(bool(report["missing"]))


def read_months(path: Path) -> StoredMonths:
    """Read the stored months. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        lines = []
    day, present = map(accounts.decode, lines[2:4]) if len(lines) > 4 else (None, None)
    if day is None or present is None or lines[-1] != "end":
        raise ConfigError(f"{path}: damaged, or not an energy account")
    rests = [line.partition(" ")[2] for line in lines[4:-1] if line.startswith("month ")]
    months = [account for account in map(accounts.decode, rests) if account is not None]
    return StoredMonths(months, present.start_us, day.start_us)


def build_report(stored: StoredMonths, section: dict[str, Any], site: EnergySite) -> dict[str, Any]:
    """Return the report: the last twelve calendar months before the present one."""
    meters = [(raw["role"], f"{raw['device']}.{raw['point']}") for raw in section["meters"]]
    sheet = FigureSheet(site, meters)
    ends_us = [*(month.start_us for month in stored.months), stored.present_us][1:]
    complete_months = {
        _name(month.start_us): month
        for month, end_us in zip(stored.months, ends_us, strict=True)
        if _is_whole(month.start_us, end_us)
    }
    wanted = _last_names(stored.now_us)
    reported = [(name, complete_months[name]) for name in wanted if name in complete_months]
    return {
        "category": section.get("category", 1),
        "total_is": "facility meter" if sheet.metered[accounts.FACILITY] else "sum of the parts",
        "standards": ["ISO/IEC 30134-2", "ISO/IEC 30134-6", "ISO/IEC 30134-9"],
        "interval": "12 months" if len(reported) == MONTHS else "interim",
        "months": [name for name, _ in reported],
        "missing": [name for name in wanted if name not in complete_months],
        "gaps_s": {name: account.gap_s for name, account in reported if account.gap_s},
        "grid": None if site.grid is None else site.grid.source,
        "without_class": sorted({name for _, name in meters} - set(site.classes)),
        "figures": [asdict(figure) for figure in sheet.figures(reported)] if reported else [],
        "by_month": {
            name: [asdict(figure) for figure in sheet.figures([(name, account)])]
            for name, account in reported
        },
    }


def _name(utc_us: int) -> str:
    year, month = civil_from_utc(utc_us)[:2]
    return f"{year}-{month:02}"


def _is_whole(start_us: int, end_us: int) -> bool:
    """Return whether an account has its whole month; `end_us`: start of the next account."""
    return _month_begun(end_us) == _month_begun(start_us) + 1 > 1


def _month_begun(utc_us: int) -> int:
    """Return the number of the month that begins at a time; 0: none, or the time is unknown."""
    _, _, day, time_us = civil_from_utc(utc_us)
    return month_number(utc_us) if utc_us and day == 1 and time_us < _LATE_US else 0


def _last_names(now_us: int) -> list[str]:
    """Return the names of the twelve months before that of `now_us`; [] if it is unknown."""
    if not now_us:
        return []
    count = month_number(now_us) - 1
    return [f"{i // 12}-{i % 12 + 1:02}" for i in range(count - MONTHS, count)]


def render(report: dict[str, Any]) -> list[str]:
    """Return the report as text."""
    lines = [
        f"energy account, {report['interval']}, PUE category {_CATEGORIES[report['category']]}",
        f"all energy: {report['total_is']}; months: {', '.join(report['months']) or 'none'}",
    ]
    if report["missing"]:
        lines.append(f"missing months: {', '.join(report['missing'])}; the figures are interim")
    gaps = [f"{name} {seconds / 3600:.1f} h" for name, seconds in report["gaps_s"].items()]
    if gaps:
        lines.append(
            f"a meter that shows a rate was not read, so energy is missing: {', '.join(gaps)}"
        )
    lines += [_line(EnergyFigure(**figure)) for figure in report["figures"]]
    if report["grid"]:
        lines.append(f"CO2 factor: {report['grid']}")
    if report["without_class"]:
        lines.append(f"without a class: {', '.join(report['without_class'])}")
    lines.append("uncertainty: expanded, k = 2")
    return lines


def _line(figure: EnergyFigure) -> str:
    if figure.value is None:
        return f"  {figure.name:26} not known"
    bound = figure.uncertainty_pct
    text = "uncertainty not known" if bound is None else f"± {bound:.2f} %"
    return (
        f"  {figure.name:26} {figure.value:.6g} {figure.unit if figure.unit != '1' else ''} {text}"
    )
