# SPDX-License-Identifier: Apache-2.0
"""The period of the rows of a unit, from two of its blocks.

Does not date rows; see `dating`. A block states the uptime of its first row only. A block without
UTC thus needs the period to give each of its rows an uptime. The rows of a run are numbered, so two
blocks of the run tell it: the last two, so that one with a wrong uptime changes it for two blocks
only. A run with one block has the period of the run before. Without both it is
one second, the default of the agent. The newest period of a unit is durable.
"""

from deploy.relay.decode.row_format import RawBlock
from deploy.relay.records.database import Entry, RelayDatabase

_DEFAULT_MS = 1000.0
_MIN_MS, _MAX_MS = 1.0, 86_400_000.0
_MAX_KNOWN = 50_000
_NEWS = 0.001
"""A relative change of the period that is stored."""

RunKey = tuple[str, bytes, int]
"""Unit, generation of its log, run."""


class RowPeriods:
    """The periods in `database`."""

    def __init__(self, database: RelayDatabase) -> None:
        self._database = database
        self._last: dict[RunKey, tuple[int, int]] = {}
        self._of_run: dict[RunKey, float] = {}
        self._of_unit: dict[str, float] = {}

    def learn(self, entry: Entry, raw: RawBlock) -> float | None:
        """Take what a block tells; return the period if it is news to `store`."""
        news = None
        for span in raw.spans:
            if not span.run or span.uptime_ms is None:
                continue
            key = (entry.unit, entry.generation, span.run)
            number = raw.seq + span.first
            last_number, last_ms = self._last.get(key, (number, 0))
            self._last[key] = (number, span.uptime_ms)
            if number == last_number:
                continue
            period = (span.uptime_ms - last_ms) / (number - last_number)
            if _MIN_MS <= period <= _MAX_MS:
                self._of_run[key] = period
                known = self._unit_period(entry.unit)
                if known is None or abs(period - known) > _NEWS * known:
                    self._of_unit[entry.unit] = news = period
        for table in (self._last, self._of_run, self._of_unit):
            if len(table) > _MAX_KNOWN:
                table.pop(next(iter(table)))  # type: ignore[call-overload]
        return news

    def store(self, unit: str, period_ms: float) -> None:
        """Store the newest period of a unit. Needs a transaction."""
        self._database.execute("INSERT OR REPLACE INTO row_period VALUES (?,?)", unit, period_ms)

    def uptimes(self, entry: Entry, raw: RawBlock) -> list[int]:
        """Return the uptime of each row of a block in ms."""
        times = [0] * len(raw.times)
        for span in raw.spans:
            start = span.uptime_ms or 0
            period = self._of_run.get((entry.unit, entry.generation, span.run))
            period = period or self._unit_period(entry.unit) or _DEFAULT_MS
            for at in range(span.count):
                times[span.first + at] = start + round(at * period)
        return times

    def _unit_period(self, unit: str) -> float | None:
        if unit not in self._of_unit:
            rows = self._database.query("SELECT period_ms FROM row_period WHERE unit=?", unit)
            if not rows:
                return None
            self._of_unit[unit] = float(rows[0][0])
        return self._of_unit[unit]
