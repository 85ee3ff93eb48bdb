# SPDX-License-Identifier: Apache-2.0
"""The loop of `coldloop orchestrate`: read the rows, decide, act, publish.

Does not contain the rules; see `deploy.orchestrate.rules`. An error of the scheduler or of a source
is one line in the log and ends nothing: the next pass tries again. A source with an error that it
should have handled has no reading; the other rows go on.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from deploy.errors import DeployError
from deploy.orchestrate import publish
from deploy.orchestrate.forecast import CapacityForecast, forecast
from deploy.orchestrate.points_source import PointsFolder
from deploy.orchestrate.reading import RowReading
from deploy.orchestrate.rules import LEVELS, RowDecision, RowRules
from deploy.orchestrate.settings import OrchestrateSettings, RowSettings
from deploy.orchestrate.sources import MetricsPage, Source, StatusFile, choose
from deploy.orchestrate.store_source import StoreSource

_MAX_ERRORS = 1000


class Scheduler(Protocol):
    """What acts on a scheduler."""

    def levels(self, rows: tuple[RowSettings, ...]) -> dict[str, int]:
        """Return the level of each row that is in force. Raises DeployError."""

    def apply(self, decisions: list[RowDecision], now: float) -> None:
        """Bring the scheduler to the decisions. Raises DeployError."""

    def undo(self) -> None:
        """Undo all that is in force. Raises DeployError."""

    def describe(self) -> dict[str, Any]:
        """Return what is in force, for the published record."""


class Service:
    """All rows of a file and one scheduler; `log` gets one line for each event."""

    def __init__(
        self,
        settings: OrchestrateSettings,
        scheduler: Scheduler | None,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._log = log
        self._clock = clock
        self._stores = {
            row.name: StoreSource(settings.store, row.unit, clock=clock)
            for row in settings.rows
            if settings.store and row.unit
        }
        self._sources = {row.name: self._make_sources(row) for row in settings.rows}
        self._rules: dict[str, RowRules] | None = None
        self._history: dict[str, dict[int, float]] = {}
        self._hours: dict[str, list[CapacityForecast]] = {}
        self._error = ""
        self._source_errors: set[str] = set()
        self.record: publish.Record | None = None

    def _make_sources(self, row: RowSettings) -> list[Source]:
        """Return the sources of a row, the most direct one first."""
        sources: list[Source] = []
        if row.points:
            sources.append(PointsFolder(row.points))
        if row.status:
            sources.append(StatusFile(row.status, self._clock))
        if row.metrics:
            sources.append(MetricsPage(row, self._settings.rules.poll_s, self._clock))
        if row.name in self._stores:
            sources.append(self._stores[row.name])
        return sources

    def close(self) -> None:
        """End the sources."""
        for sources in self._sources.values():
            for source in sources:
                source.close()

    def step(self) -> publish.Record:
        """Do one pass; return the record."""
        now = self._clock()
        decisions = []
        for name, rules in self._start_rules().items():
            decision = rules.step(now, self._read(name))
            if decision.is_new:
                self._log(f"{name}: level {LEVELS[decision.level]}: {decision.reason}")
            decisions.append(decision)
        self._act(decisions, now)
        scheduler = {} if self._scheduler is None else self._scheduler.describe()
        scheduler["error"] = self._error or None
        self.record = publish.build_record(
            decisions, self._forecasts(), scheduler, datetime.now(UTC)
        )
        if self._settings.record:
            publish.write_file(self._settings.record, self.record)
        return self.record

    def undo(self) -> None:
        """Undo all in the scheduler. Raises DeployError."""
        if self._scheduler is not None:
            self._scheduler.undo()

    def _start_rules(self) -> dict[str, RowRules]:
        """Return the rules; at the first pass with the levels that the scheduler shows."""
        if self._rules is not None:
            return self._rules
        levels: dict[str, int] = {}
        is_known = True
        if self._scheduler is not None:
            try:
                levels = self._scheduler.levels(self._settings.rows)
            except DeployError as error:
                self._report(str(error))
                is_known = False
        rules = {
            row.name: RowRules(row, self._settings.rules, levels.get(row.name, 0))
            for row in self._settings.rows
        }
        if is_known:
            self._rules = rules
        return rules

    def _read(self, name: str) -> RowReading | None:
        rules = self._settings.rules
        limits = dict.fromkeys(("points", "status", "metrics"), rules.lost_age_s)
        limits["store"] = rules.store_age_s
        readings: list[RowReading | None] = []
        for source in self._sources[name]:
            try:
                readings.append(source.read())
            except Exception as error:  # noqa: BLE001 - one row must not end the others
                self._report_source(f"{name}: {type(source).__name__}: {error!r}")
        return choose(readings, limits)

    def _report_source(self, text: str) -> None:
        """Log an error of a source once."""
        if text not in self._source_errors and len(self._source_errors) < _MAX_ERRORS:
            self._source_errors.add(text)
            self._log(text)

    def _forecasts(self) -> dict[str, list[CapacityForecast]]:
        """Return the forecasts; they are new only when the history is."""
        for row in self._settings.rows:
            store = self._stores.get(row.name)
            if store is not None and self._history.get(row.name) is not store.hours():
                hours = self._history[row.name] = store.hours()
                self._hours[row.name] = forecast(hours, self._settings.hours, 1000.0 * row.rated_kw)
        return self._hours

    def _act(self, decisions: list[RowDecision], now: float) -> None:
        if self._scheduler is None or self._rules is None:
            return
        try:
            self._scheduler.apply(decisions, now)
        except DeployError as error:
            self._report(str(error))
        else:
            self._report("")

    def _report(self, error: str) -> None:
        """Log an error once, and its end."""
        if error != self._error:
            self._log(f"scheduler: {error}" if error else "scheduler: works again")
            self._error = error
