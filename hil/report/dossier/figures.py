# SPDX-License-Identifier: Apache-2.0
"""Checks the figures of an input, and says which quantities an input has measured.

Does not compare inputs with each other. A figure that no measurement can give, such as a PUE below
1, is refused with its file. So is a text where a number belongs. A missing figure is None.

An input supports a clause only with a figure for it (`measured`).
"""

import math
from collections.abc import Callable
from typing import Any

from hil.errors import BenchError

Content = dict[str, Any]
PUE, WUE, COEXISTENCE = "pue", "wue", "coexistence"
"""Quantities that clauses.toml names."""
_INTERVALS = ("year", "interim", "month", "day")
_NAMED = ("ledger", "annual", "unit")
_MONTHS = 12
_ROUNDED = 0.001
_MOST = 1e15
_LEAST = {"pue_milli": 1000, "loop_pue_milli": 1000, "erf_milli": 0, "wue_milli": 0}
_HIGHEST = {"erf_milli": 1000}
_ANNUAL_RANGE = {"PUE": (1.0, _MOST), "ERF": (0.0, 1.0)}
"""Figure: its lowest and highest value."""
METERED = ("IT energy", "all energy", "PUE", "water", "WUE", "ERF")
"""Figures of `coldloop ledger annual` that meters alone give. The leakage is an estimate by a
model; cost and CO2 need prices and factors.
"""
_VERDICT_OK = "ok"


def check_figures(kind: str, content: Content) -> None:
    """Check the figures of an input; raises BenchError that names the figure."""
    for key in ("site", "unit"):
        if kind in _NAMED and content.get(key) is not None:
            _text(content[key], key)
    check = _CHECKS.get(kind)
    if check is not None:
        check(content)


def measured(kind: str, content: Content) -> dict[str, str]:
    """Return the quantities that a checked input has measured, each with a remark ("": none)."""
    if kind == "ledger":
        return _measured_ledger(content)
    if kind == "annual":
        values = {f["name"]: f["value"] for f in content["figures"]}
        remark = "" if content["interval"] == "12 months" else "interim value"
        return {name.lower(): remark for name in ("PUE", "WUE") if values.get(name) is not None}
    if kind == "coexistence" and has_coexistence(content):
        return {COEXISTENCE: ""}
    return {}


def has_coexistence(content: Content) -> bool:
    """Return whether the verdict is good and epochs of both states and a loss are behind it."""
    epochs = content["epochs"]
    return bool(
        content["verdict"] == _VERDICT_OK
        and all((epochs.get(state) or 0) > 0 for state in ("rest", "transmitting"))
        and any(band["loss_db"] is not None for band in content["bands"].values())
    )


def is_year(content: Content, interval: Content) -> bool:
    """Return whether an interval of a ledger is the year: twelve whole months."""
    return bool(interval["interval"] == "year" and content["months"] >= _MONTHS)


def _measured_ledger(content: Content) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in content["intervals"]:
        remark = "" if is_year(content, item) else "interim value"
        for name in (PUE, WUE):
            if item["it_wh"] > 0 and item[f"{name}_milli"] is not None:
                found[name] = remark if name not in found else min(remark, found[name])
    return found


def _check_ledger(content: Content) -> None:
    _check_category(content)
    _text(content["total_is"], "total_is")
    _number(content["months"], "months", 0, 1200)
    for item in content["intervals"]:
        name = item["interval"]
        if name not in _INTERVALS:
            raise BenchError(f"interval {name!r}: there are {', '.join(_INTERVALS)}")
        if name == "year" and content["months"] < _MONTHS:
            raise BenchError(f"interval year: has only {content['months']} whole months")
        _number(item["began_us"], f"{name}: began_us", 0, 4e15)
        _number(item["it_wh"], f"{name}: it_wh", 0)
        for key, least in _LEAST.items():
            _optional(item[key], f"{name}: {key}", least, _HIGHEST.get(key, _MOST))


def _check_annual(content: Content) -> None:
    _check_category(content)
    if content["interval"] not in ("12 months", "interim"):
        raise BenchError(f"interval {content['interval']!r}: there are 12 months, interim")
    if content["interval"] == "12 months" and content["missing"]:
        raise BenchError("interval 12 months: months are missing")
    for month in content["missing"]:
        _text(month, "missing")
    months = content.get("months")
    if content["interval"] == "12 months" and months is not None and len(set(months)) != _MONTHS:
        raise BenchError(f"interval 12 months: the file has {len(set(months))} months")
    values: dict[str, float] = {}
    for figure in content["figures"]:
        name = _text(figure["name"], "name of a figure")
        if name in values:
            raise BenchError(f"{name}: the file has this figure twice")
        values[name] = figure["value"]
        if figure["unit"]:
            _text(figure["unit"], f"{name}: unit")
        _optional(figure["value"], name, *_ANNUAL_RANGE.get(name, (0.0, _MOST)))
        _optional(figure["uncertainty_pct"], f"{name}: uncertainty_pct", 0.0)

    _check_ratio(values, "PUE", "all energy", "IT energy")
    _check_ratio(values, "WUE", "water", "IT energy")


def _check_ratio(values: dict[str, Any], name: str, top: str, bottom: str) -> None:
    """Refuse a figure that is not the quotient of the energies beside it, within 0.1 %."""
    ratio, over, under = (values.get(key) for key in (name, top, bottom))
    if ratio and over is not None and under and abs(over / under / ratio - 1.0) > _ROUNDED:
        raise BenchError(f"{name}: {ratio:g} is not {top} / {bottom} of the file")


def _check_category(content: Content) -> None:
    if type(content["category"]) is not int or content["category"] not in (1, 2, 3):
        raise BenchError(f"category {content['category']!r}: ISO/IEC 30134-2 has 1, 2 and 3")


def _check_coexistence(content: Content) -> None:
    _text(content["verdict"], "verdict")
    for state in ("rest", "transmitting"):
        _optional(content["epochs"].get(state), f"epochs {state}", 0)
        _optional(content["fixes_pct"].get(state), f"fixes_pct {state}", 0, 100)
        error_ms = (content.get("time_error_ms") or {}).get(state)
        _optional(error_ms, f"time_error_ms {state}", 0)
    for band, value in content["bands"].items():
        _optional(value["rest_dbhz"], f"{band}: rest_dbhz", 0, 100)
        _optional(value["loss_db"], f"{band}: loss_db", -100, 100)
    _optional(content.get("spacing_m"), "spacing_m", 0, 1e5)
    _optional(content.get("temperature_c"), "temperature_c", -273, 1000)


def _check_latency(content: Content) -> None:
    for row in content["latency"]:
        _text(row["class"], "class")
        _text(row["carrier"], "carrier")
        _number(row["count"], "count", 0)
        for share in (50, 90, 99):
            _optional(row.get(f"p{share}_s"), f"p{share}_s", 0)


def _check_footprint(content: Content) -> None:
    for name, value in footprint_figures(content).items():
        _optional(value, name, 0)


def footprint_figures(content: Content) -> dict[str, Any]:
    """Return the sizes and times of a footprint, by name: keys with a unit, and the peaks."""
    found = {k: v for k, v in content.items() if k.endswith(("_kib", "_bytes", "_us", "_ms"))}
    found.pop("live_bytes", None)  # a list over the time
    for name, value in (content.get("peaks") or {}).items():
        found[f"peak_kib, {name}"] = value
    return found


def _check_rows(content: Content) -> None:
    for unit, _, signal, value in content["rows"]:
        if not math.isfinite(value):
            raise BenchError(f"{unit}: {signal}: {value} is no measured value")
        if value < 0 and signal.endswith("Watts") and signal.startswith("throttle.Load"):
            raise BenchError(f"{unit}: {signal}: {value:g} W: a load is not negative")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise BenchError(f"{name}: {value!r:.40} is no text")
    return value


def _optional(value: object, name: str, low: float, high: float = _MOST) -> None:
    if value is not None:
        _number(value, name, low, high)


def _number(value: object, name: str, low: float, high: float = _MOST) -> None:
    """Check the range of a number; a text and a bool are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BenchError(f"{name}: {value!r:.40} is no number")
    if not low <= value <= high:
        text = f"{value:g}" if isinstance(value, float) or abs(value) < 10**15 else "a number"
        raise BenchError(f"{name}: {text} is outside {low:g} to {high:g}")


_CHECKS: dict[str, Callable[[Content], None]] = {
    "ledger": _check_ledger,
    "annual": _check_annual,
    "coexistence": _check_coexistence,
    "latency": _check_latency,
    "footprint": _check_footprint,
    "rows": _check_rows,
}
