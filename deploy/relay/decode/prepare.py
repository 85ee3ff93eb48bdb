# SPDX-License-Identifier: Apache-2.0
"""Preparation: decodes and dates the records of the outbox before any output sees them.

Does not deliver. A record that cannot be decoded or dated goes to the quarantine. When a block
tells UTC and uptime of a run, or a schema comes, the records that wait for it are released.
"""

import time
from dataclasses import dataclass, field

from deploy.relay.decode import dating, row_format
from deploy.relay.decode.dating import RunClock
from deploy.relay.decode.row_format import Item, Note, RawBlock, Rows, SizeError, count_values
from deploy.relay.decode.row_period import RowPeriods
from deploy.relay.decode.run_clocks import RunClocks
from deploy.relay.limits import CpuBudget, UnitLimits, count_by_unit, parse_note, parse_schema
from deploy.relay.records.database import Entry, RelayDatabase
from deploy.relay.records.date_table import DateTable, RowDates
from deploy.relay.records.quarantine import (
    BUDGET,
    REFUSED,
    Quarantined,
    QuarantineTable,
    now_ms,
)
from protocols.errors import DecodeError
from protocols.telemetry import block
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import TIME, Schema

BLOCKS = (telemetry_message.ROWS, telemetry_message.SUMMARY, telemetry_message.MERGED)
TIME_ONLY = "#time"
"""In the place of an output: a note again, for the stores that have it without its time."""
_EARLY = "its time is from the future; stored without it"
_LATEST_MS = 4_102_444_800_000
"""2100-01-01."""
MESSAGE = 0
"""Kind of an entry that is a whole message: it comes from the quarantine."""
_MOST_VALUES = 500_000
"""Values that are decoded in one pass; one block can be more."""
_MAX_CACHED = 256
_MAX_CLOCKS = 50_000
_MAX_WAITS = 30
"""How many times longer rows wait whose own dates were rejected."""
_DELIVERY_FACTOR = 3.0
"""A unit pays for the delivery too. With the embedded store it needs about twice the decoding."""
_USUAL_CPU_S = 0.002
"""CPU time of a record that is not decoded yet, about; a unit with another one waits again."""
_LEAST_WAIT_S, _MOST_WAIT_S = 1.0, 3600.0


class HeldError(Exception):
    """A record must go to the quarantine; see `quarantine` for the reasons."""

    def __init__(self, reason: str, detail: str, key: str = "", due_ms: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.key = key
        self.due_ms = due_ms


@dataclass(slots=True)
class Prepared:
    """Result of one pass: items for the outputs, entries that left the outbox.

    `quarantined`: with the reason. `dropped`: beyond the quota, without a receipt. `early_notes`:
    their time is from the future; with the end of the wait for it, ms. `count`: how many entries.
    """

    count: int = 0

    items: dict[int, Item] = field(default_factory=dict)
    quarantined: list[tuple[Entry, str]] = field(default_factory=list)
    dropped: list[tuple[Entry, str]] = field(default_factory=list)
    messages: list[Entry] = field(default_factory=list)
    clocks: list[tuple[Entry, RunClock]] = field(default_factory=list)
    periods: dict[str, float] = field(default_factory=dict)
    decisions: dict[int, RowDates] = field(default_factory=dict)
    early_notes: list[tuple[Entry, int]] = field(default_factory=list)


class Preparer:
    """Prepares entries of `database`; `undated_wait_s`: how long a block waits for a date."""

    def __init__(
        self,
        database: RelayDatabase,
        quarantine: QuarantineTable,
        limits: UnitLimits,
        budget: CpuBudget,
        undated_wait_s: float = 3600.0,
    ) -> None:
        self.counts = {
            "values": 0,
            "undated_rows": 0,
            "estimated_rows": 0,
            "rejected_dates": 0,
            "quarantined": 0,
        }
        self.quarantined_by_unit: dict[str, int] = {}
        self.outputs: set[str] = {TIME_ONLY}
        """Names of the outputs; a record for another one has no receiver."""
        self._database = database
        self._quarantine = quarantine
        self._limits = limits
        self._budget = budget
        self._undated_wait_ms = round(undated_wait_s * 1000)
        self._schemas: dict[bytes, Schema] = {}
        self._clocks: dict[tuple[str, bytes, int], RunClock] = {}
        self.run_clocks = RunClocks()
        self._dates = DateTable(database)
        self._periods = RowPeriods(database)

    def prepare(self, entries: list[Entry]) -> Prepared:
        """Prepare the first entries in one transaction. Raises sqlite3.Error: nothing is stored.

        See `Prepared.count`: the others would need too much memory together with them.
        """
        counts = dict(self.counts)
        prepared = Prepared()
        held: list[tuple[Entry, HeldError]] = []
        values = 0
        for entry in entries:
            if values > _MOST_VALUES:
                break
            prepared.count += 1
            try:
                if entry.kind == MESSAGE:
                    prepared.messages.append(entry)
                else:
                    item = self._read_within_budget(entry, prepared)
                    prepared.items[entry.id] = item
                    values += count_values(item)
            except HeldError as error:
                held.append((entry, error))
            except Exception as error:  # noqa: BLE001 - one bad unit must not stop the others
                held.append((entry, HeldError("internal", repr(error))))
        decided_to = entries[prepared.count - 1].id
        has_news = held or prepared.clocks or prepared.periods or prepared.early_notes
        if not has_news and decided_to <= self._dates.decided_to:
            return prepared
        try:
            with self._database.transaction():
                for entry, reason in held:
                    is_stored = self._hold(entry, reason)
                    place = prepared.quarantined if is_stored else prepared.dropped
                    place.append((entry, reason.reason))
                for entry, clock in prepared.clocks:
                    self._store_clock(entry, clock)
                for entry, due_ms in prepared.early_notes:
                    copy = entry._replace(output=TIME_ONLY)
                    self._quarantine.add(copy, "undated", _EARLY, due_ms=due_ms)
                for unit, period_ms in prepared.periods.items():
                    self._periods.store(unit, period_ms)
                self._dates.store(prepared.decisions, decided_to)
        except BaseException:
            self.counts = counts
            raise
        self._dates.advance(decided_to)
        return prepared

    def _read_within_budget(self, entry: Entry, prepared: Prepared) -> Item:
        """Decode a record; the unit pays for it. Raises HeldError if it must wait for its turn.

        Alarms and events do not wait.
        """
        if entry.output and entry.output not in self.outputs:
            text = f"{entry.output}: no such output now; retry with --output"
            raise HeldError(REFUSED, text)
        is_decided = entry.id <= self._dates.decided_to  # an output can have it with these dates
        if entry.kind in BLOCKS and not is_decided and self._budget.is_over(entry.unit):
            wait_s = self._budget.defer(entry.unit, _USUAL_CPU_S)
            wait_s = min(max(_LEAST_WAIT_S, wait_s), _MOST_WAIT_S)
            due_ms = now_ms() + round(wait_s * 1000)
            raise HeldError(BUDGET, "the unit is over its CPU time", str(int(entry.final)), due_ms)
        start = time.thread_time()
        try:
            return self.read(entry, prepared)
        finally:
            cpu_s = time.thread_time() - start
            self._budget.charge(entry.unit, _DELIVERY_FACTOR * cpu_s)

    def _hold(self, entry: Entry, error: HeldError) -> bool:
        """Move an entry to the quarantine. Beyond the quota it is dropped without a receipt."""
        stored = self._quarantine.add(entry, error.reason, error.detail, error.key, error.due_ms)
        self._database.remove(entry.id)
        self.counts["quarantined"] += 1
        count_by_unit(self.quarantined_by_unit, entry.unit)
        if not stored and entry.kind != MESSAGE:
            self._database.forget_record(entry)
        return stored

    def _run_clock(self, entry: Entry, run: int) -> RunClock | None:
        key = (entry.unit, entry.generation, run)
        if key not in self._clocks:
            stored = self._database.run_clock(*key)
            if stored is None:
                return None
            if len(self._clocks) >= _MAX_CLOCKS:
                self._clocks.clear()
            self._clocks[key] = RunClock(run, *stored)
        return self._clocks[key]

    def _store_clock(self, entry: Entry, clock: RunClock) -> None:
        key = (entry.unit, entry.generation, clock.run)
        self._clocks.pop(key, None)
        self._database.store_run_clock(*key, clock.offset_ms, clock.period_ms)
        run_key = _run_key(entry.generation, clock.run)
        self._quarantine.release_all(entry.unit, "undated", run_key)

    def release_schema(self, unit: str, number: bytes) -> None:
        """Release the blocks that wait for a schema of a unit. Needs a transaction."""
        self._quarantine.release_all(unit, "schema", number.hex())

    def release_due(self) -> int:
        """Release a lot of the records whose wait is over; return how many."""
        horizon = now_ms() + (_MAX_WAITS + 1) * self._undated_wait_ms
        if self._quarantine.has_wait_beyond(horizon):
            with self._database.transaction():
                self._quarantine.shorten_waits(horizon, now_ms() + self._undated_wait_ms)
        horizon = now_ms() + round(1000 * _MOST_WAIT_S)
        if self._quarantine.has_wait_beyond(horizon, BUDGET):
            with self._database.transaction():
                self._quarantine.shorten_waits(horizon, now_ms(), BUDGET)
        due = self._quarantine.due()
        if not due:
            return 0
        with self._database.transaction():
            return sum([self._quarantine.release(held, _is_final(held)) for held in due])

    # One record.

    def read(self, entry: Entry, prepared: Prepared | None = None) -> Item:
        """Decode a record; a record that was prepared before has the same dates. HeldError."""
        try:
            if entry.kind in BLOCKS:
                return self._read_rows(entry, prepared)
            if entry.kind == telemetry_message.JSON_EVENT:
                return self._read_note(entry, prepared)
        except SizeError as error:
            raise HeldError("size", str(error)) from None
        except DecodeError as error:
            reason = "block" if entry.kind in BLOCKS else "note"
            raise HeldError(reason, str(error)) from None
        raise HeldError("kind", f"kind {entry.kind}")

    def _read_note(self, entry: Entry, prepared: Prepared | None) -> Note:
        """Read an alarm or an event. One with a time from the future has none, and does not wait.

        Perhaps the clock of the relay is slow: a copy waits, and brings the time later.
        """
        content = parse_note(entry.payload, self._limits)
        time_ms = content.get("t")
        if not isinstance(time_ms, int):
            seconds = content.get("utc_s")
            time_ms = seconds * 1000 if isinstance(seconds, int) else 0
        is_early = now_ms() + dating.MAX_AHEAD_MS < time_ms < _LATEST_MS
        if is_early and prepared is not None and entry.id > self._dates.decided_to:
            due_ms = min(time_ms, now_ms() + (_MAX_WAITS + 1) * self._undated_wait_ms)
            if not entry.output:
                prepared.early_notes.append((entry, due_ms))
                self.counts["rejected_dates"] += 1
            elif entry.output == TIME_ONLY and not entry.final:  # of `quarantine retry`
                raise HeldError("undated", _EARLY, due_ms=due_ms)
        if is_early or not dating.EARLIEST_MS <= time_ms < _LATEST_MS:
            time_ms = 0
        generation = entry.generation.hex()
        return Note(entry.unit, entry.number, content, generation, time_ms, entry.payload)

    def schema(self, unit: str, number: bytes) -> Schema:
        """Return a schema of a unit. Raises HeldError if it is unknown."""
        text = self._database.schema(unit, number)
        if text is None:
            raise HeldError("schema", f"schema {number.hex()} is unknown", number.hex())
        parsed = self._schemas.get(text)
        if parsed is None:
            if len(self._schemas) >= _MAX_CACHED:
                self._schemas.clear()
            parsed = self._schemas[text] = parse_schema(text)
        return parsed

    def _read_rows(self, entry: Entry, prepared: Prepared | None) -> Rows:
        data = row_format.block_of_record(entry.kind, entry.payload)
        schema = self.schema(entry.unit, block.read_schema_number(data))
        raw = row_format.decode_block(entry.kind, entry.payload, schema, self._limits.values)
        decision = self._decided(entry, raw) or self._decide(entry, raw, prepared)
        if prepared is not None:
            self.counts["values"] += len(raw.times) * (len(raw.columns) - 1)
            self.counts["undated_rows"] += 0 if decision.is_dated else len(decision.times)
        columns = [column for column in schema.entries if column[0] != TIME]
        return Rows(
            entry.unit,
            entry.number,
            raw.seq,
            tuple(column[0] for column in columns),
            list(zip(decision.times, row_format.scale_rows(raw, schema), strict=True)),
            entry.generation.hex(),
            raw.spans[0].run,
            decision.is_dated,
            decision.estimated,
            tuple(column[1] for column in columns),
        )

    def _decided(self, entry: Entry, raw: RawBlock) -> RowDates | None:
        """Return the dates that a record has since it was prepared; None: it was not."""
        if entry.id > self._dates.decided_to:
            return None
        decided = self._dates.find(entry.id)
        known_times = [time_ms for time_ms in raw.times if time_ms is not None]
        if decided is None and len(known_times) == len(raw.times):
            return RowDates(known_times, True, 0)
        return decided

    def _decide(self, entry: Entry, raw: RawBlock, prepared: Prepared | None) -> RowDates:
        """Date the rows of a record. Raises HeldError if it must wait."""
        known: dict[int, RunClock] = {}
        for run in {span.run for span in raw.spans if span.run}:
            clock = self._run_clock(entry, run)
            if clock is not None:
                known[run] = clock
        dates = dating.date_rows(raw, now_ms(), known)
        times = [time_ms for time_ms in dates.times if time_ms is not None]
        is_dated = len(times) == len(dates.times)
        period_ms = self._periods.learn(entry, raw)
        uptimes = [] if is_dated else self._periods.uptimes(entry, raw)
        decision = RowDates(times if is_dated else uptimes, is_dated, dates.estimated)
        if prepared is not None:
            if period_ms is not None:
                prepared.periods[entry.unit] = period_ms
            for clock in dates.clocks:
                if self.run_clocks.is_news(entry, clock, known.get(clock.run)):
                    prepared.clocks.append((entry, clock))
            self.counts["estimated_rows"] += dates.estimated
            self.counts["rejected_dates"] += dates.rejected
            if decision.times != raw.times:
                prepared.decisions[entry.id] = decision
        if not is_dated and not entry.final:
            self._hold_undated(entry, raw, dates)
        return decision

    def _hold_undated(self, entry: Entry, raw: RawBlock, dates: dating.Dates) -> None:
        runs = [span.run for span in raw.spans if span.run]
        key = _run_key(entry.generation, runs[-1]) if runs else ""
        wait_ms = now_ms() + self._undated_wait_ms
        if dates.rejected:  # the clock of the relay may be wrong
            wait_ms = max(
                wait_ms, min(dates.latest_ms, wait_ms + _MAX_WAITS * self._undated_wait_ms)
            )
        detail = f"{dates.times.count(None)} rows without UTC"
        raise HeldError("undated", detail, key, wait_ms)


def _is_final(held: Quarantined) -> bool:
    """Return whether a record waits no more for a date: its wait is over, or was before."""
    return held.reason != BUDGET or held.key == "1"


def _run_key(generation: bytes, run: int) -> str:
    return f"{generation.hex()}/{run}"
