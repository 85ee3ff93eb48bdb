# SPDX-License-Identifier: Apache-2.0
"""Forecast of a row's heat capacity for the next hours, with the error that it had before.

Does not know the weather forecast, nor the jobs. The method: the capacity of an hour is that of the
last hour plus the usual change between the two hours of the day, when three whole days are known;
before that, it stays as it is. Each past hour gives an error of this method for each lead, computed
only from earlier hours. The limits are the quantiles of these errors (empirical prediction
interval: Williams and Goodman 1971, JASA 66, 752-754). `coverage` is the part of the last third of
the hours whose true value lay within the limits of the errors before it.

With fewer than 20 errors there are no limits: the confidence is `none`, and nothing is guessed.
"""

from dataclasses import dataclass

HOUR_MS = 3_600_000
LOW, HIGH = 0.1, 0.9
"""Quantiles of the limits: 80 % of the errors lie within."""
_LEAST_ERRORS = 20
_DAYS = 3
_LATEST_DAYS = 14


@dataclass(frozen=True, slots=True)
class CapacityForecast:
    """Capacity in `lead_h` hours, W. `low_w`, `high_w`: None if the confidence is none."""

    lead_h: int
    expected_w: float
    low_w: float | None
    high_w: float | None
    errors: int
    coverage: float | None

    @property
    def confidence(self) -> str:
        """Return `measured` if limits come from past errors, else `none`."""
        return "none" if self.low_w is None else "measured"


def forecast(hours: dict[int, float], leads: int, rated_w: float) -> list[CapacityForecast]:
    """Forecast the capacity for 1 to `leads` hours.

    Args:
        hours: mean capacity in W by the hour since 1970; hours can be missing.
        leads: number of forecasts.
        rated_w: the capacity is between 0 and this.
    """
    known = {hour: min(max(0.0, value), rated_w) for hour, value in hours.items()}
    if not known:
        return []
    last = max(known)
    known = {hour: value for hour, value in known.items() if hour > last - 24 * _LATEST_DAYS}
    return [_forecast_lead(known, last, lead, rated_w) for lead in range(1, leads + 1)]


def fall_within(hours: dict[int, float], lead_h: float) -> float:
    """Return by how much the capacity fell within `lead_h` hours in the worst tenth of the past, W.

    Within one hour the fall of a whole hour counts; a mean of an hour does not show less.
    """
    lead = max(1, round(lead_h))
    falls = [hours[hour] - hours[hour + lead] for hour in hours if hour + lead in hours]
    return max(0.0, quantile(sorted(falls), HIGH)) if len(falls) >= _LEAST_ERRORS else 0.0


def quantile(ordered: list[float], part: float) -> float:
    """Return the quantile of an ordered list, linear between its entries."""
    place = part * (len(ordered) - 1)
    index = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    upper = ordered[min(index + 1, len(ordered) - 1)]
    return ordered[index] + (upper - ordered[index]) * (place - index)


def _forecast_lead(
    known: dict[int, float], last: int, lead: int, rated_w: float
) -> CapacityForecast:
    mid, is_daily = _predict(known, last, lead, rated_w)
    errors = []
    for hour in sorted(known):
        if hour + lead in known:
            predicted, same = _predict(known, hour, lead, rated_w)
            if same == is_daily:
                errors.append(known[hour + lead] - predicted)
    if len(errors) < _LEAST_ERRORS:
        return CapacityForecast(lead, mid, None, None, len(errors), None)
    ordered = sorted(errors)
    low, high = quantile(ordered, LOW), quantile(ordered, HIGH)
    return CapacityForecast(
        lead,
        mid,
        min(mid, _clip(mid + low, rated_w)),
        max(mid, _clip(mid + high, rated_w)),
        len(errors),
        _coverage(errors),
    )


def _predict(known: dict[int, float], hour: int, lead: int, rated_w: float) -> tuple[float, bool]:
    """Predict the capacity of `hour + lead` from the hours up to `hour`.

    The second value: the usual course of the day is known. Only errors of equal predictions count.
    """
    changes = [
        known[earlier + lead] - known[earlier]
        for earlier in range(hour - 24, hour - 24 * _LATEST_DAYS, -24)
        if earlier in known and earlier + lead in known and earlier + lead <= hour
    ]
    is_daily = len(changes) >= _DAYS
    change = sum(changes) / len(changes) if is_daily else 0.0
    return _clip(known[hour] + change, rated_w), is_daily


def _coverage(errors: list[float]) -> float | None:
    """Return the part of the last third of the errors within the limits of the others."""
    first = len(errors) * 2 // 3
    if first < _LEAST_ERRORS:
        return None
    ordered = sorted(errors[:first])
    low, high = quantile(ordered, LOW), quantile(ordered, HIGH)
    later = errors[first:]
    return sum(low <= error <= high for error in later) / len(later)


def _clip(value: float, rated_w: float) -> float:
    return min(max(0.0, value), rated_w)
