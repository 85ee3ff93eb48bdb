# SPDX-License-Identifier: Apache-2.0
"""The site file of `coldloop ledger annual`: prices, CO2 of the grid, classes of meters, leakage.

Does not calculate; see `agent.tools.energy.figures`. The file is TOML. Each part can be absent:
then the figures that need it are not known. docs/engineer/power.md has an example.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError

_LEAKAGE = {
    "part": 0.5,
    "at_c": 150.0,
    "per_k": 0.1,
    "case_c": 150.0,
    "case_uncertainty_k": 50.0,
    "part_uncertainty_pct": 200.0,
}
"""Keys of the leakage, each with its highest value: above it the figure has no meaning."""
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_NUMBERS = ("electricity_per_kwh", "water_per_m3")
_SECTIONS = ("currency", *_NUMBERS, "grid", "meters", "leakage")


@dataclass(frozen=True, slots=True)
class GridFactor:
    """CO2 of the grid, g/kWh. `months`: another factor by month, such as 2026-01.

    `uncertainty_pct`: expanded uncertainty (k = 2); None: not known. `source`: where it is from.
    """

    source: str
    g_per_kwh: float
    months: dict[str, float] = field(default_factory=dict)
    uncertainty_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Leakage:
    """Leakage of chips: `part` of the IT power at `at_c`, times exp(`per_k` x kelvin).

    `case_c`: mean temperature of the cases, with its expanded uncertainty in K.
    `part_uncertainty_pct`: expanded uncertainty of `part`.
    """

    part: float
    at_c: float
    per_k: float
    case_c: float
    case_uncertainty_k: float
    part_uncertainty_pct: float


@dataclass(frozen=True, slots=True)
class EnergySite:
    """The whole file. `classes`: accuracy class of a meter in %, by DEVICE.POINT."""

    currency: str = ""
    electricity_per_kwh: float | None = None
    water_per_m3: float | None = None
    grid: GridFactor | None = None
    classes: dict[str, float] = field(default_factory=dict)
    leakage: Leakage | None = None


def load_site(path: str) -> EnergySite:
    """Read the file. Raises ConfigError."""
    try:
        return parse_site(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', 'not UTF-8 text')}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_site(text: str) -> EnergySite:
    """Parse the text of a file. Raises ConfigError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    _refuse_unknown(raw, _SECTIONS, "")
    prices = {name: _number(raw[name], name) for name in _NUMBERS if name in raw}
    classes = {
        name: _number(value, f"meters.{name}", 0.01, 20.0)
        for name, value in _table(raw, "meters").items()
    }
    return EnergySite(
        str(raw.get("currency", "")),
        prices.get("electricity_per_kwh"),
        prices.get("water_per_m3"),
        _grid(_table(raw, "grid")),
        classes,
        _leakage(_table(raw, "leakage")),
    )


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    table = raw.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: not a table")
    return table


def _refuse_unknown(raw: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in raw:
        if name not in known:
            raise ConfigError(f"{where}{name}: unknown key; there are {', '.join(known)}")


def _number(value: object, name: str, low: float = 0.0, high: float = 1e6) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{name}: {value!r} is not a number from {low:g} to {high:g}")
    return float(value)


def _grid(raw: dict[str, Any]) -> GridFactor | None:
    if not raw:
        return None
    _refuse_unknown(raw, ("source", "g_per_kwh", "months", "uncertainty_pct"), "grid.")
    if "g_per_kwh" not in raw or not raw.get("source"):
        raise ConfigError(
            "grid: needs g_per_kwh and source: a factor without a source is no figure"
        )
    factors = _table(raw, "months")
    for name in factors:
        if not _MONTH.fullmatch(name):
            raise ConfigError(f"grid.months.{name}: not a month such as 2026-01")
    months = {
        name: _number(value, f"grid.months.{name}", 0.0, 5000.0) for name, value in factors.items()
    }
    bound = raw.get("uncertainty_pct")
    return GridFactor(
        str(raw["source"]),
        _number(raw["g_per_kwh"], "grid.g_per_kwh", 0.0, 5000.0),
        months,
        None if bound is None else _number(bound, "grid.uncertainty_pct", 0.0, 100.0),
    )


def _leakage(raw: dict[str, Any]) -> Leakage | None:
    if not raw:
        return None
    _refuse_unknown(raw, tuple(_LEAKAGE), "leakage.")
    missing = [name for name in _LEAKAGE if name not in raw]
    if missing:
        raise ConfigError(f"leakage: needs {', '.join(missing)}")
    return Leakage(
        *(_number(raw[name], f"leakage.{name}", 0.0, high) for name, high in _LEAKAGE.items())
    )
