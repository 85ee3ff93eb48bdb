# SPDX-License-Identifier: Apache-2.0
"""Derating curves and load profile, computed from samples only.

Does not use the curve in the configuration: what a unit did is compared with nothing here.

    derating   per kelvin of supply temperature: the limits of the loads, lowest and highest, in
               percent of the highest limit of the record; the hottest case; the number of samples
    profile    per interval of UTC: mean and peak of the load, by the hour of the day; intervals
               that are missing
"""

import itertools
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MEAN, PEAK = "throttle.LoadMeanWatts", "throttle.LoadPeakWatts"
_INTERVALS_MS = tuple(1000 * s for s in (10, 15, 20, 30, 60, 300, 600, 900, 1800, 3600))
_LEAST_SAMPLES = 5
_DERATED_PCT = 99.5
_LONGEST_STEP = 1.1
"""Longest step between two changes of the values, over the longest interval."""


@dataclass(frozen=True, slots=True)
class DeratingPoint:
    """Samples within half a kelvin of `supply_c`. Limits in percent of the full limit."""

    supply_c: int
    samples: int
    low_pct: float
    high_pct: float
    case_c: float | None


@dataclass(frozen=True, slots=True)
class ProfileHour:
    """The intervals that began in one hour of the UTC day, W."""

    hour: int
    intervals: int
    mean_w: float
    low_w: float
    peak_w: float


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """All intervals of a unit. `missing`: starts of the missing ones, UTC ms, the first 20."""

    unit: str
    interval_s: int
    first_ms: int
    last_ms: int
    intervals: int
    missing_count: int
    missing: tuple[int, ...]
    hours: tuple[ProfileHour, ...]


def derating(series: dict[str, Any]) -> list[DeratingPoint]:
    """Return the curve of a run, by supply temperature; [] if the limits never fell.

    Args:
        series: samples of a record: lists under `supply_c`, `limit_kw`, `case_c`.
    """
    limits = series.get("limit_kw") or []
    supply, cases = series.get("supply_c") or [], series.get("case_c") or []
    known = [value for value in limits if value is not None]
    if not known or min(known) >= max(known) * _DERATED_PCT / 100 or len(supply) != len(limits):
        return []
    groups: dict[int, list[tuple[float, float | None]]] = {}
    for i, (supply_c, limit) in enumerate(zip(supply, limits, strict=True)):
        if supply_c is not None and limit is not None:
            case_c = cases[i] if i < len(cases) else None
            groups.setdefault(round(supply_c), []).append((100.0 * limit / max(known), case_c))
    return [
        DeratingPoint(
            supply_c,
            len(group),
            min(pct for pct, _ in group),
            max(pct for pct, _ in group),
            max((case for _, case in group if case is not None), default=None),
        )
        for supply_c, group in sorted(groups.items())
        if len(group) >= _LEAST_SAMPLES
    ]


def load_profiles(rows: list[list[Any]]) -> list[LoadProfile]:
    """Return the profile of each unit with complete demand intervals in its rows."""
    units: dict[str, dict[str, dict[int, float]]] = {}
    for unit, at_ms, signal, value in rows:
        if signal in (MEAN, PEAK):
            units.setdefault(unit, {}).setdefault(signal, {})[at_ms] = value
    profiles = []
    for unit, signals in sorted(units.items()):
        profile = _profile(unit, signals.get(MEAN, {}), signals.get(PEAK, {}))
        if profile is not None:
            profiles.append(profile)
    return profiles


def missing_profiles(rows: list[list[Any]]) -> list[tuple[str, str]]:
    """Return each unit of the rows without a load profile, with the reason."""
    shown = {profile.unit for profile in load_profiles(rows)}
    reasons = []
    for unit in sorted({row[0] for row in rows} - shown):
        values = [value for name, _, signal, value in rows if name == unit and signal == MEAN]
        if not values:
            reason = f"no values of {MEAN} with UTC"
        elif len(values) == 1:
            reason = "there is only one value"
        elif len(set(values)) > 1:
            reason = "the values change less than once an hour, so the length of the intervals "
            reason += "is not known"
        else:
            reason = (
                f"all {len(values)} values are equal ({values[0] / 1000:.2f} kW), so the length "
                "of the intervals is not known"
            )
        reasons.append((unit, reason))
    return reasons


def _profile(unit: str, means: dict[int, float], peaks: dict[int, float]) -> LoadProfile | None:
    """Return the profile; None: fewer than two intervals, or their length is not known.

    A row shows the last complete interval, so an interval begins two lengths before the end of the
    one in which it is shown. Intervals with equal values are seen by their rows.
    """
    times = sorted(means)
    changes = [
        at
        for before, at in itertools.pairwise(times)
        if (means[at], peaks.get(at)) != (means[before], peaks.get(before))
    ]
    if not changes:
        return None
    steps = [b - a for a, b in itertools.pairwise(changes)] or [changes[0] - times[0]]
    if min(steps) > _LONGEST_STEP * max(_INTERVALS_MS):
        return None  # the values change less often than any interval ends
    interval_ms = min(_INTERVALS_MS, key=lambda length: abs(length - min(steps)))
    shown: dict[int, tuple[float, float]] = {}
    for at in times:
        shown[at // interval_ms * interval_ms - interval_ms] = (means[at], peaks.get(at, means[at]))
    first_ms, last_ms = min(shown), max(shown)
    # A clock that was wrong can give a row decades away, so no list of all intervals is made.
    missing_count = (last_ms - first_ms) // interval_ms + 1 - len(shown)
    missing = (at for at in range(first_ms, last_ms, interval_ms) if at not in shown)
    hours = []
    for hour in range(24):
        values = [value for at, value in shown.items() if _hour(at) == hour]
        if values:
            watts = [mean for mean, _ in values]
            top = max(peak for _, peak in values)
            hours.append(ProfileHour(hour, len(values), statistics.fmean(watts), min(watts), top))
    return LoadProfile(
        unit, interval_ms // 1000, first_ms, last_ms, len(shown), missing_count,
        tuple(itertools.islice(missing, 20)), tuple(hours),
    )  # fmt: skip


def _hour(at_ms: int) -> int:
    return datetime.fromtimestamp(at_ms / 1000, UTC).hour
