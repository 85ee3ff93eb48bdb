# SPDX-License-Identifier: Apache-2.0
"""Trends of the last 24 hours: one mean a minute of the points that a person follows.

Does not read the log; see `deploy.northbound.panel.log_history`, which fills the time before the
start of this process. A minute without a good value is a gap, never the last value. Live values
have precedence over those of the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import Snapshot

MINUTES = 24 * 60
_MINUTE_S = 60
PLOTS: Mapping[str, tuple[str, ...]] = {
    "temperatures": (
        "supply_temperature",
        "return_temperature",
        "supply_setpoint",
        "facility_supply_temperature",
        "dew_point",
    ),
    "pressure": ("differential_pressure", "pressure_setpoint"),
    "flows": ("secondary_flow", "facility_flow"),
    "outputs": ("valve_position", "pump1_speed", "pump2_speed"),
    "power": ("heat", "it_power"),
}
"""Points of each plot."""
KEYS = tuple(key for keys in PLOTS.values() for key in keys)


@dataclass(slots=True)
class _Minute:
    """Sums and counts of one minute, by the position in `KEYS`."""

    sums: list[float] = field(default_factory=lambda: [0.0] * len(KEYS))
    counts: list[int] = field(default_factory=lambda: [0] * len(KEYS))
    live: bool = False

    def add(self, values: Mapping[str, float | None]) -> None:
        for index, key in enumerate(KEYS):
            value = values.get(key)
            if value is not None:
                self.sums[index] += value
                self.counts[index] += 1

    def means(self) -> list[float | None]:
        """Return the mean of each point, None without a value."""
        pairs = zip(self.sums, self.counts, strict=True)
        return [round(total / count, 3) if count else None for total, count in pairs]


class TrendStore:
    """The 1,440 newest minutes with records, by the number of the minute since 1970 (UTC)."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}
        self._sequence = -1
        self._newest = 0

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Add the good and uncertain values of a new record. Without UTC it has no place."""
        if snapshot.stale or snapshot.utc is None or snapshot.sequence == self._sequence:
            return
        self._sequence = snapshot.sequence
        values = {key: snapshot.value(key) for key in KEYS if key in snapshot.points}
        self._add(snapshot.utc.timestamp(), values, live=True)

    def add_logged(self, at_s: float, values: Mapping[str, float | None]) -> None:
        """Add values of the log, UTC in s."""
        self._add(at_s, values, live=False)

    def _add(self, at_s: float, values: Mapping[str, float | None], live: bool) -> None:
        number = int(at_s // _MINUTE_S)
        if not live and self._sequence >= 0 and number > self._newest:
            return
        if not live and number <= self._newest - MINUTES:
            return
        minute = self._minutes.setdefault(number, _Minute())
        if live and not minute.live:
            minute = self._minutes[number] = _Minute(live=True)
        if minute.live == live:
            minute.add(values)
        if number != self._newest and (live or number > self._newest):
            self._newest = number
            self._prune()

    def _prune(self) -> None:
        """Drop minutes that come later, because the clock has gone back, and the oldest ones.

        The limit is a number of minutes, not an age: after a UTC that was ahead, the minutes before
        it are there again.
        """
        kept = sorted(number for number in self._minutes if number <= self._newest)
        self._minutes = {number: self._minutes[number] for number in kept[-MINUTES:]}

    def rows(self, minutes: int = MINUTES) -> list[list[float | None]]:
        """Return [UTC in s, mean of each key…] in the order of time; a gap is a row of None."""
        newest = self._newest
        rows: list[list[float | None]] = []
        last = None
        for number in sorted(minute for minute in self._minutes if minute > newest - minutes):
            if last is not None and number - last > 1:
                rows.append([(last + 1) * _MINUTE_S, *([None] * len(KEYS))])
            rows.append([number * _MINUTE_S, *self._minutes[number].means()])
            last = number
        return rows


def curves_json() -> list[dict[str, str]]:
    """Describe the values of a row for the plots of the page; the page has the labels."""
    return [
        {"key": key, "plot": plot, "unit": point_table()[key].unit}
        for plot, keys in PLOTS.items()
        for key in keys
    ]
