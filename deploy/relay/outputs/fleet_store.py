# SPDX-License-Identifier: Apache-2.0
"""Fleet store: the embedded store, one SQLite file without a server.

Not for many gigabytes; PostgreSQL, VictoriaMetrics or Parquet are. `coldloop fleet` and the SQLite
data source of Grafana read the file while the relay writes. Schema:

    unit       one row a unit: newest row, last message, clock, state, online, version, counters
    latest     newest value of each signal of a unit
    measure    unit of measure of a signal of a unit, if `signal` has that of another unit
    minute     mean, minimum, maximum and last value of each signal in each minute
    block      all rows as they came, compressed (zlib of JSON, as the output `json` writes it)
    alarm      one row for each active alarm (see `alarm_order` for late and doubled ones)
    note       all alarms and events, as JSON

A transaction has the items of a batch; a block or note that the file has is skipped. So nothing is
lost or doubled. SOURCE of the durability: SQLite, `synchronous=FULL` with WAL.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.relay.decode.alarm_order import OrderedChange, UnitAlarms, concerns_alarms
from deploy.relay.decode.dating import MAX_AHEAD_MS
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.alarm_output import catalogue_fields
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.outputs.file_check import check_sqlite
from deploy.relay.outputs.text import row_text
from deploy.relay.records.tables import first_row
from deploy.relay.terminal_text import report
from protocols.telemetry.schema import CLOCK, CLOCKS, STATE, STATES

TABLES = """
CREATE TABLE IF NOT EXISTS unit (
  unit TEXT PRIMARY KEY, site TEXT, name TEXT, newest_ms INTEGER DEFAULT 0,
  message_ms INTEGER DEFAULT 0, clock TEXT, state TEXT, online INTEGER, version TEXT,
  report TEXT,
  blocks INTEGER DEFAULT 0, late INTEGER DEFAULT 0, undated INTEGER DEFAULT 0,
  estimated INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS signal (id INTEGER PRIMARY KEY, name TEXT UNIQUE, unit TEXT);
CREATE TABLE IF NOT EXISTS measure (
  unit TEXT, signal INTEGER, text TEXT, PRIMARY KEY (unit, signal)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (
  unit TEXT, signal INTEGER, t_ms INTEGER, value REAL, PRIMARY KEY (unit, signal)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute (
  unit TEXT, signal INTEGER, t_ms INTEGER, sum REAL, min REAL, max REAL, last_ms INTEGER,
  last REAL, count INTEGER, PRIMARY KEY (unit, signal, t_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
  unit TEXT, log TEXT, record INTEGER, first_ms INTEGER, last_ms INTEGER, dated INTEGER,
  run INTEGER, data BLOB, PRIMARY KEY (unit, log, record)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS block_time ON block (unit, dated, first_ms);
CREATE TABLE IF NOT EXISTS alarm (
  unit TEXT, code TEXT, t_ms INTEGER, text TEXT, number INTEGER, priority INTEGER,
  PRIMARY KEY (unit, code)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm_state (unit TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (
  unit TEXT, log TEXT, record INTEGER, t_ms INTEGER, text TEXT,
  PRIMARY KEY (unit, log, record, text)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS note_time ON note (unit, t_ms);
"""
_OF_AN_ITEM = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""All other errors are of the file: disk full, file locked or damaged. The items wait."""
_MINUTE_MS = 60_000
_MAX_REPORT_BYTES = 65536
_MAX_SIGNALS = 100_000
"""Names whose number is in memory."""
_MAX_TEXT_CHARS = 500
_MAX_VERSION_CHARS = 60
_MINUTE_UPSERT = """
INSERT INTO minute VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (unit, signal, t_ms) DO UPDATE SET
  sum=sum+excluded.sum, min=MIN(min, excluded.min), max=MAX(max, excluded.max),
  last=CASE WHEN excluded.last_ms>=last_ms THEN excluded.last ELSE last END,
  last_ms=MAX(last_ms, excluded.last_ms), count=count+excluded.count
"""
_LATEST_UPSERT = """
INSERT INTO latest VALUES (?,?,?,?) ON CONFLICT (unit, signal) DO UPDATE SET
  t_ms=excluded.t_ms, value=excluded.value WHERE excluded.t_ms>=t_ms
"""


def is_fleet_store(db: sqlite3.Connection) -> bool:
    """Return whether a file has the tables of a fleet store."""
    return first_row(db, "SELECT 1 FROM sqlite_master WHERE name='unit'") is not None


def open_store(path: str, read_only: bool = False) -> sqlite3.Connection:
    """Open a fleet store. Raises sqlite3.Error, also if the file is no fleet store."""
    name = "file::memory:" if path == ":memory:" else Path(path).absolute().as_uri()
    uri = f"{name}?mode=ro" if read_only else name
    db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if "unit" not in names and (names or read_only):
            raise sqlite3.DatabaseError("not a fleet store")
        if not read_only:
            first_row(db, "PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(TABLES)
    except sqlite3.Error:
        db.close()
        raise
    return db


class FleetStoreOutput(Output):
    """Writes the file; the value of the option is its path."""

    BATCH = 500
    TAKES_TIMES = True

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        self._lock = threading.Lock()
        self._states: dict[str, bytes] = {}
        self._reports: dict[str, bytes] = {}
        self._signals: dict[str, tuple[int, str]] = {}
        self._measured: dict[str, int] = {}
        """Hash of the names and units of measure that `measure` has, by unit."""
        self._opened: sqlite3.Connection | None = None
        if context.is_check:
            return
        try:
            self._opened = open_store(context.argument)
        except sqlite3.OperationalError as error:  # as a receiver that is away: tried again
            report(f"output fleet: {context.argument}: {error}; tries again")
        except sqlite3.Error as error:
            raise DeployError(f"{context.argument}: {error}") from None

    def check(self) -> None:
        """Begin a transaction in the file, if there is one. Raises OutputError."""
        check_sqlite(Path(self.context.argument), is_fleet_store, "a fleet store")

    @property
    def _db(self) -> sqlite3.Connection:
        """The file, opened if it is not. Raises sqlite3.Error."""
        if self._opened is None:
            self._opened = open_store(self.context.argument)
        return self._opened

    def deliver(self, items: list[Item]) -> None:
        """Write the items in one transaction."""
        try:
            with self._lock:
                self._write(items)
        except sqlite3.DatabaseError as error:
            self._forget()
            if isinstance(error, _OF_AN_ITEM):
                raise
            raise OutputError(f"{self.context.argument}: {error}") from None

    def _write(self, items: list[Item]) -> None:
        with self._transaction():
            for item in items:
                if isinstance(item, Rows):
                    self._write_rows(item)
                else:
                    self._write_note(item)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run the block as one transaction; any exception undoes it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._forget()
            raise

    def _forget(self) -> None:
        """Forget what a transaction that was undone has written."""
        self._signals.clear()
        self._measured.clear()

    def _touch(self, unit: str) -> None:
        site, _, name = unit.partition("/")
        self._db.execute(
            "INSERT INTO unit (unit, site, name) VALUES (?,?,?) ON CONFLICT DO NOTHING",
            (unit, site, name),
        )
        self._db.execute(
            "UPDATE unit SET message_ms=? WHERE unit=?", (self.context.clock_ms(), unit)
        )

    def _signal(self, name: str, measure: str) -> tuple[int, str]:
        """Return the number of a signal, and the unit of measure of its first unit."""
        if name not in self._signals:
            self._db.execute(
                "INSERT INTO signal (name, unit) VALUES (?,?) ON CONFLICT DO NOTHING",
                (name, measure),
            )
            row = first_row(self._db, "SELECT id, unit FROM signal WHERE name=?", (name,))
            if len(self._signals) >= _MAX_SIGNALS:
                self._signals.clear()
            self._signals[name] = (row[0], row[1] or "")
        return self._signals[name]

    def _write_measures(self, rows: Rows) -> None:
        """Store where the units of measure of a unit are not those of the first unit."""
        key = hash((rows.names, rows.units))
        if not rows.units or self._measured.get(rows.unit) == key:
            return
        if len(self._measured) >= _MAX_SIGNALS:
            self._measured.clear()
        self._measured[rows.unit] = key
        for name, measure in zip(rows.names, rows.units, strict=True):
            signal, usual = self._signal(name, measure)
            if measure == usual:
                statement = "DELETE FROM measure WHERE unit=? AND signal=?"
                self._db.execute(statement, (rows.unit, signal))
            else:
                statement = "INSERT OR REPLACE INTO measure VALUES (?,?,?)"
                self._db.execute(statement, (rows.unit, signal, measure))

    def _write_rows(self, rows: Rows) -> None:
        self._touch(rows.unit)
        times = [at for at, _ in rows.values]
        inserted = self._db.execute(
            "INSERT INTO block VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (
                *(rows.unit, rows.generation, rows.number, min(times), max(times)),
                *(int(rows.is_dated), rows.run, zlib.compress(row_text.rows_to_json(rows))),
            ),
        ).rowcount
        if not inserted:
            return
        query = "SELECT newest_ms FROM unit WHERE unit=?"
        newest = first_row(self._db, query, (rows.unit,))[0]
        latest_ms = self.context.clock_ms() + MAX_AHEAD_MS
        if newest > latest_ms:  # stored by an earlier version
            newest = 0
            query = "DELETE FROM latest WHERE unit=? AND t_ms>?"
            self._db.execute(query, (rows.unit, latest_ms))
        is_late = rows.is_dated and max(times) < newest
        self._db.execute(
            "UPDATE unit SET blocks=blocks+1, late=late+?, undated=undated+?,"
            " estimated=estimated+? WHERE unit=?",
            (int(is_late), int(not rows.is_dated), rows.estimated, rows.unit),
        )
        if not rows.is_dated:
            return
        self._write_columns(rows)
        if not is_late:
            newest_row = max(rows.values, key=lambda row: row[0])
            self._update_unit(rows, dict(zip(rows.names, newest_row[1], strict=True)), max(times))

    def _write_columns(self, rows: Rows) -> None:
        units = rows.units or ("",) * len(rows.names)
        minutes: list[tuple[Any, ...]] = []
        latest: list[tuple[Any, ...]] = []
        for column, name in enumerate(rows.names):
            signal, _ = self._signal(name, units[column])
            by_minute: dict[int, list[tuple[int, float]]] = {}
            for at, values in rows.values:
                value = values[column]
                if value is not None:
                    by_minute.setdefault(at - at % _MINUTE_MS, []).append((at, value))
            for minute, points in by_minute.items():
                numbers = [value for _, value in points]
                last_ms, last = max(points)
                minutes.append(
                    (
                        *(rows.unit, signal, minute, sum(numbers), min(numbers), max(numbers)),
                        *(last_ms, last, len(numbers)),
                    )
                )
            if by_minute:
                last_ms, last = max(by_minute[max(by_minute)])
                latest.append((rows.unit, signal, last_ms, last))
        self._db.executemany(_MINUTE_UPSERT, minutes)
        self._db.executemany(_LATEST_UPSERT, latest)

    def _update_unit(self, rows: Rows, values: dict[str, float | None], newest: int) -> None:
        self._write_measures(rows)
        self._db.execute("UPDATE unit SET newest_ms=? WHERE unit=?", (newest, rows.unit))
        for column, names, key in (("clock", CLOCKS, CLOCK), ("state", STATES, STATE)):
            value = values.get(key)
            if value is not None and 0 <= value < len(names):
                self._db.execute(
                    f"UPDATE unit SET {column}=? WHERE unit=?", (names[int(value)], rows.unit)
                )

    def _write_note(self, note: Note) -> None:
        self._touch(note.unit)
        text = json.dumps(note.content, separators=(",", ":"))
        inserted = self._db.execute(
            "INSERT INTO note VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
            (note.unit, note.generation, note.number, note.time_ms, text),
        ).rowcount
        if not inserted:
            self._set_time(note, text)
        if not inserted or not concerns_alarms(note):
            return
        alarms = self._alarms_of(note.unit)
        for change in alarms.follow(note).changes:
            self._change_alarm(note, change)
        self._store_alarms(note.unit, alarms)

    def _alarms_of(self, unit: str) -> UnitAlarms:
        row = first_row(self._db, "SELECT text FROM alarm_state WHERE unit=?", (unit,))
        if row is not None:
            return UnitAlarms.load(json.loads(row[0]))
        rows = self._db.execute("SELECT code, t_ms FROM alarm WHERE unit=?", (unit,))
        return UnitAlarms.of_active(dict(rows.fetchall()))  # of an earlier version

    def _store_alarms(self, unit: str, alarms: UnitAlarms) -> None:
        text = json.dumps(alarms.dump(), separators=(",", ":"))
        self._db.execute("INSERT OR REPLACE INTO alarm_state VALUES (?,?)", (unit, text))

    def _set_time(self, note: Note, text: str) -> None:
        """A note that is stored comes again: it can have its time now."""
        stored = self._db.execute(
            "UPDATE note SET t_ms=? WHERE unit=? AND log=? AND record=? AND text=? AND t_ms=0",
            (note.time_ms, note.unit, note.generation, note.number, text),
        ).rowcount
        alarms = self._alarms_of(note.unit) if stored and note.time_ms else None
        if alarms is not None and alarms.set_time(note):
            self._store_alarms(note.unit, alarms)
            self._db.executemany(
                "UPDATE alarm SET t_ms=? WHERE unit=? AND code=?",
                [(at, note.unit, code) for code, at in alarms.active().items() if at],
            )

    def _change_alarm(self, note: Note, change: OrderedChange) -> None:
        key = (note.unit, change.code)
        if not change.is_raised:
            self._db.execute("DELETE FROM alarm WHERE unit=? AND code=?", key)
            return
        fields = catalogue_fields(note.content)
        priority = fields.get("priority")
        self._db.execute(
            "INSERT INTO alarm VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
            (
                *(*key, change.time_ms or self.context.clock_ms()),
                _storable(change.text, _MAX_TEXT_CHARS),
                *(fields.get("number"), None if priority is None else int(priority)),
            ),
        )

    def on_unit_state(self, unit: str, payload: bytes) -> None:
        """Keep what the unit states of itself; `process` writes it."""
        self._states[unit] = payload

    def on_unit_report(self, unit: str, payload: bytes) -> None:
        """Keep the report of the configuration of a unit; `process` writes it."""
        self._reports[unit] = payload

    def process(self) -> None:
        """Write the states of units: online, version, report of the configuration."""
        if not self._states and not self._reports:
            return
        states, self._states = self._states, {}
        reports, self._reports = self._reports, {}
        try:
            with self._lock, self._transaction():
                _write_each(self._write_state, states)
                _write_each(self._write_report, reports)
        except BaseException as error:
            self._states = {**states, **self._states}
            self._reports = {**reports, **self._reports}
            if not isinstance(error, sqlite3.Error):
                raise
            raise OutputError(f"{self.context.argument}: {error}") from None

    def _write_report(self, unit: str, payload: bytes) -> None:
        if len(payload) < _MAX_REPORT_BYTES and _load_object(payload) is not None:
            self._touch(unit)
            self._db.execute("UPDATE unit SET report=? WHERE unit=?", (payload.decode(), unit))

    def _write_state(self, unit: str, payload: bytes) -> None:
        state = _load_object(payload)
        if state is None:
            return
        self._touch(unit)
        is_online = state.get("online") is not False
        self._db.execute("UPDATE unit SET online=? WHERE unit=?", (int(is_online), unit))
        version = state.get("version")
        if isinstance(version, str):
            text = _storable(version, _MAX_VERSION_CHARS)
            self._db.execute("UPDATE unit SET version=? WHERE unit=?", (text, unit))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()


def _write_each(write: Callable[[str, bytes], None], payloads: dict[str, bytes]) -> None:
    """Write the payload of each unit. One that SQLite refuses is dropped and affects no other."""
    for unit, payload in list(payloads.items()):
        try:
            write(unit, payload)
        except (ValueError, OverflowError, RecursionError, sqlite3.DataError):
            continue


def _storable(text: str, limit: int) -> str:
    """Return the first characters of a text; a lone surrogate, which SQLite refuses, as escape."""
    return text[:limit].encode("utf-8", "backslashreplace").decode()


def _load_object(payload: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(payload.decode())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
