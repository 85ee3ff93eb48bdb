# SPDX-License-Identifier: Apache-2.0
"""The plot of a year: one HTML page with embedded drawings and no external files."""

from __future__ import annotations

from html import escape
from typing import Any

from hil.annual.energy_account import AnnualAccount

_W, _H, _LEFT, _BOTTOM = 900, 220, 48, 24
_COLOURS = {
    "dry_c": "#c60",
    "dew_c": "#06c",
    "supply_c": "#083",
    "case_c": "#a0a",
    "fan_pct": "#555",
    "pump_pct": "#083",
    "valve_pct": "#06c",
}
_NAMES = {
    "dry_c": "outdoor air",
    "dew_c": "dew point",
    "supply_c": "supply",
    "case_c": "hottest case",
    "fan_pct": "fans",
    "pump_pct": "pump",
    "valve_pct": "valve",
}
_MONTHS = "JFMAMJJASOND"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:24px auto;padding:0 12px}"
    "svg{width:100%;height:auto;background:#fff}table{border-collapse:collapse}"
    "td,th{padding:2px 12px 2px 0;text-align:left}text{font:12px system-ui,sans-serif}"
)


def render_page(record: dict[str, Any], account: AnnualAccount, source: str) -> str:
    """Return the page for a record and its account."""
    title = f"{record['weather']}, {record['rejection']}, {record['policy']}"
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(_format_value(value))}</td></tr>"
        for key, value in record.items()
    )
    drawings = (
        ("Temperatures at noon, °C", _lines(account, ("dry_c", "dew_c", "supply_c", "case_c"))),
        ("Actuators at noon, %", _lines(account, ("fan_pct", "pump_pct", "valve_pct"))),
        ("Energy of the loop by month, % of IT", _bars(account)),
    )
    body = "".join(f"<h2>{escape(name)}</h2>{svg}" for name, svg in drawings)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>Weather: {escape(source)}. All results are from a "
        f"model. No real hardware was tested.</p>{body}<h2>Record</h2><table>{rows}</table>"
        "</body></html>\n"
    )


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {share}" for name, share in value.items())
    return str(value)


def _lines(account: AnnualAccount, names: tuple[str, ...]) -> str:
    """Draw one line for each name over the days."""
    days = account.days
    if not days:
        return "<p>Less than a day of results.</p>"
    values = [day[name] for day in days for name in names]
    low, high = 10.0 * (min(values) // 10.0), 10.0 * (max(values) // 10.0 + 1.0)
    parts = [_frame(low, high)]
    for i, name in enumerate(names):
        points = " ".join(
            f"{_x(d, len(days)):.1f},{_y(day[name], low, high):.1f}" for d, day in enumerate(days)
        )
        colour = _COLOURS[name]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
            f'<text x="{_LEFT + 110 * i}" y="12" fill="{colour}">{_NAMES[name]}</text>'
        )
    return _svg(parts)


def _bars(account: AnnualAccount) -> str:
    """Draw twelve stacked bars: pumps, facility pump, fans."""
    shares = [
        [100.0 * kwh / month.it_kwh for kwh in (month.pump_kwh, month.facility_kwh, month.fan_kwh)]
        if month.it_kwh
        else [0.0, 0.0, 0.0]
        for month in account.months
    ]
    high = max(0.5, *(sum(month) for month in shares))
    parts = [_frame(0.0, high)]
    step = (_W - _LEFT) / 12.0
    for i, month in enumerate(shares):
        base = 0.0
        for share, colour in zip(month, ("#083", "#06c", "#999"), strict=True):
            top, bottom = _y(base + share, 0.0, high), _y(base, 0.0, high)
            parts.append(
                f'<rect x="{_LEFT + i * step + 6:.1f}" y="{top:.1f}" width="{step - 12:.1f}" '
                f'height="{max(bottom - top, 0.0):.1f}" fill="{colour}"/>'
            )
            base += share
        parts.append(f'<text x="{_LEFT + (i + 0.45) * step:.0f}" y="{_H + 16}">{_MONTHS[i]}</text>')
    for i, (name, colour) in enumerate((("pumps", "#083"), ("facility", "#06c"), ("fans", "#999"))):
        parts.append(f'<text x="{_LEFT + 80 * i}" y="12" fill="{colour}">{name}</text>')
    return _svg(parts)


def _frame(low: float, high: float) -> str:
    """Draw grid lines with their values."""
    parts = []
    for i in range(5):
        value = low + (high - low) * i / 4.0
        y = _y(value, low, high)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_W}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="4" y="{y + 4:.1f}">{value:.3g}</text>'
        )
    return "".join(parts)


def _x(day: int, days: int) -> float:
    return _LEFT + (_W - _LEFT) * day / max(days - 1, 1)


def _y(value: float, low: float, high: float) -> float:
    return 20.0 + (_H - 20.0) * (1.0 - (value - low) / (high - low))


def _svg(parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {_W} {_H + _BOTTOM}" role="img">{"".join(parts)}</svg>'
