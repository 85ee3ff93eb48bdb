# SPDX-License-Identifier: Apache-2.0
"""A row's reading and its history in the relay's fleet store.

Does not write; the store is opened read-only (`deploy.ops.fleet.store_reader`). The newest values
of a unit are one reading. The minutes of the last 14 days give the capacity by hour.

A time from the future is no time, as in the relay. A time ahead of this machine by less, as of a
unit with a fast clock, ages by the monotonic clock from its arrival here, so that a unit that has
become silent does not look new until this machine has caught up.
"""

import time
from collections.abc import Callable

from deploy.errors import DeployError
from deploy.ops.fleet.store_reader import FleetReader
from deploy.orchestrate.forecast import HOUR_MS, fall_within
from deploy.orchestrate.reading import STATES, AgeTracker, RowReading, make_reading, power_w
from deploy.relay.decode.dating import MAX_AHEAD_MS

HEADROOM, HEAT, STATE = "throttle.HeadroomWatts", "throttle.HeatWatts", "throttle.State"
_HISTORY_MS = 14 * 24 * HOUR_MS
_REFRESH_S = 300.0
_LATEST = (
    "SELECT signal.name, latest.t_ms, latest.value FROM latest JOIN signal"
    " ON signal.id=latest.signal WHERE latest.unit=? AND signal.name IN (?,?,?)"
)
_HOURS = (
    "SELECT minute.t_ms/3600000 AS hour, signal.name AS name,"
    " SUM(minute.sum)/SUM(minute.count) AS mean FROM minute JOIN signal"
    " ON signal.id=minute.signal WHERE minute.unit=? AND signal.name IN (?,?)"
    " AND minute.t_ms>=? GROUP BY hour, name"
)


class StoreSource:
    """The row of `unit` (SITE/UNIT) in the store at `path`. `clock_ms`: UTC in ms."""

    def __init__(
        self,
        path: str,
        unit: str,
        clock_ms: Callable[[], float] = lambda: time.time() * 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._unit = unit
        self._clock_ms = clock_ms
        self._clock = clock
        self._age = AgeTracker(clock)
        self._hours: dict[int, float] = {}
        self._read_at: float | None = None

    def read(self) -> RowReading | None:
        """Return the newest reading; None: no store, nothing of the unit, or from the future."""
        try:
            reader = FleetReader(self._path)
        except DeployError:
            return None
        try:
            rows = reader.query(_LATEST, self._unit, HEADROOM, HEAT, STATE)
            units = reader.query("SELECT state FROM unit WHERE unit=?", self._unit)
            self._update_hours(reader)
        except DeployError:
            return None
        finally:
            reader.close()
        values = {row["name"]: (row["t_ms"], row["value"]) for row in rows}
        if HEADROOM not in values or HEAT not in values:
            return None
        times_ms = (values[HEADROOM][0], values[HEAT][0])
        if max(times_ms) > self._clock_ms() + MAX_AHEAD_MS:
            return None
        shown_age_s = (self._clock_ms() - min(times_ms)) / 1000.0
        age_s = max(shown_age_s, self._age.age_s(times_ms, abs(shown_age_s)))
        state = power_w(values[STATE][1]) if STATE in values else None
        unit_state = units[0]["state"] if units else ""
        fallen_w = fall_within(self._hours, age_s / 3600.0)
        return make_reading(
            _minus(power_w(values[HEADROOM][1]), fallen_w),
            values[HEAT][1],
            STATES[int(state)] if state is not None and 0 <= state < len(STATES) else "",
            unit_state,
            age_s,
            "store",
        )

    def hours(self) -> dict[int, float]:
        """Return the mean capacity in W by hour since 1970, without the present hour."""
        return self._hours

    def close(self) -> None:
        """Do nothing: each reading opens the store again, as the relay can replace it."""

    def _update_hours(self, reader: FleetReader) -> None:
        now = self._clock()
        if self._read_at is not None and now - self._read_at < _REFRESH_S:
            return
        self._read_at = now
        now_ms = self._clock_ms()
        sums: dict[int, dict[str, float]] = {}
        for row in reader.query(_HOURS, self._unit, HEADROOM, HEAT, now_ms - _HISTORY_MS):
            if row["mean"] is not None:
                sums.setdefault(row["hour"], {})[row["name"]] = row["mean"]
        present = int(now_ms // HOUR_MS)
        self._hours = {
            hour: means[HEADROOM] + means[HEAT]
            for hour, means in sums.items()
            if len(means) == 2 and hour < present
        }


def _minus(value: float | None, part: float) -> float | None:
    return None if value is None else value - part
