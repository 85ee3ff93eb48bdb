# SPDX-License-Identifier: Apache-2.0
"""Tables of the relay's SQLite file, and the conversion of files of earlier versions.

Does not read or write records; see `records.database`.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.relay.records.ranges import Range, join_ranges

_VERSION = 3
_FIRST_WITH_GENERATIONS = 2
_OWN_GENERATION = "CAST('0.2/' || id AS BLOB)"
"""For a record of version 0.2, which has none."""
_NEW_TABLES = {"had": "received", "piece": "chunk"}
_NEW_COLUMNS = {"life": "generation", "place": "part", "of": "total"}
"""Names of version 2 and earlier, and the present ones."""
_TABLES = """
CREATE TABLE IF NOT EXISTS unit_schema (
  unit TEXT, number BLOB, text BLOB NOT NULL, PRIMARY KEY (unit, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS received (
  unit TEXT, generation BLOB, class INTEGER, first INTEGER, last INTEGER,
  PRIMARY KEY (unit, generation, class, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, relay TEXT, unit TEXT, generation BLOB, number INTEGER,
  count INTEGER, kind INTEGER, payload BLOB, output TEXT, final INTEGER);
CREATE INDEX IF NOT EXISTS outbox_record ON outbox (unit, generation, number);
CREATE TABLE IF NOT EXISTS position (
  relay TEXT, output TEXT, id INTEGER, PRIMARY KEY (relay, output)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT, relay TEXT, unit TEXT, generation BLOB, number INTEGER,
  count INTEGER, kind INTEGER, payload BLOB, output TEXT, reason TEXT, detail TEXT, key TEXT,
  at_ms INTEGER, due_ms INTEGER);
CREATE INDEX IF NOT EXISTS quarantine_unit ON quarantine (unit, reason, key);
CREATE INDEX IF NOT EXISTS quarantine_due ON quarantine (due_ms);
CREATE TABLE IF NOT EXISTS run_clock (
  unit TEXT, generation BLOB, run INTEGER, offset_ms INTEGER, period_ms REAL,
  PRIMARY KEY (unit, generation, run)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS row_period (unit TEXT PRIMARY KEY, period_ms REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunk (
  unit TEXT, generation BLOB, number INTEGER, part INTEGER, total INTEGER, data BLOB,
  PRIMARY KEY (unit, generation, number, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS datagram (
  unit TEXT, number INTEGER, digest BLOB, PRIMARY KEY (unit, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS row_date (
  id INTEGER PRIMARY KEY, relay TEXT, times BLOB, dated INTEGER, estimated INTEGER);
CREATE TABLE IF NOT EXISTS state (relay TEXT, key TEXT, text TEXT, PRIMARY KEY (relay, key))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node (name TEXT PRIMARY KEY, bd_seq INTEGER NOT NULL) WITHOUT ROWID;
"""


def is_relay_store(path: Path) -> bool:
    """Return whether a file is the store of a relay; changes nothing. Raises sqlite3.Error."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        return is_store(db)
    finally:
        db.close()


def is_present_store(path: Path) -> bool:
    """Return whether a file has the tables of this version; changes nothing."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        version = first_row(db, "PRAGMA user_version")[0]
        return bool(version == _VERSION and "had" not in _table_names(db))
    finally:
        db.close()


def first_row(db: sqlite3.Connection, statement: str, values: Sequence[Any] = ()) -> Any:
    """Return the first row of a query, or None. It reads all rows, so that the query has ended.

    PyPy's sqlite3 refuses a COMMIT while a query is open.
    """
    rows = db.execute(statement, values).fetchall()
    return rows[0] if rows else None


def is_empty(db: sqlite3.Connection) -> bool:
    """Return whether a file has no table."""
    return first_row(db, "SELECT 1 FROM sqlite_master LIMIT 1") is None


def is_store(db: sqlite3.Connection) -> bool:
    """Return whether a file has the tables of a relay."""
    names = _table_names(db)
    return "outbox" in names and bool(names & {"had", "received"})


def _table_names(db: sqlite3.Connection) -> set[str]:
    rows = db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
    return {str(row[0]) for row in rows}


def _rename_tables(db: sqlite3.Connection) -> None:
    """Give the tables and columns of an earlier version their present names.

    A file can have both: an earlier version has used the file of a later one.
    """
    tables = _table_names(db)
    for table in sorted(tables - {"sqlite_sequence"}):
        for column in list(db.execute(f"PRAGMA table_info({table})")):
            new_name = _NEW_COLUMNS.get(str(column[1]))
            if new_name is not None:
                db.execute(f"ALTER TABLE {table} RENAME COLUMN {column[1]} TO {new_name}")
    for old_name, new_name in _NEW_TABLES.items():
        if old_name in tables and new_name not in tables:
            db.execute(f"ALTER TABLE {old_name} RENAME TO {new_name}")
    if {"had", "received"} <= tables:
        _merge_received(db)
    if {"piece", "chunk"} <= tables:
        columns = "unit, generation, number, part, total, data"
        db.execute(f"INSERT OR IGNORE INTO chunk ({columns}) SELECT {columns} FROM piece")
        db.execute("DROP TABLE piece")


def _merge_received(db: sqlite3.Connection) -> None:
    ranges: dict[tuple[str, bytes], list[Range]] = {}
    for unit, generation, *span in db.execute(
        "SELECT unit, generation, class, first, last FROM received"
        " UNION ALL SELECT unit, generation, class, first, last FROM had"
    ).fetchall():
        ranges.setdefault((unit, generation), []).append((span[0], span[1], span[2]))
    db.execute("DELETE FROM received")
    db.executemany(
        "INSERT INTO received (unit, generation, class, first, last) VALUES (?,?,?,?,?)",
        [(*key, *span) for key, spans in ranges.items() for span in join_ranges(spans)],
    )
    db.execute("DROP TABLE had")


def migrate(db: sqlite3.Connection) -> None:
    """Make the tables. A file of an earlier version keeps its records and schemas.

    Raises sqlite3.DatabaseError for a file of a later version: it is not changed.
    """
    version = first_row(db, "PRAGMA user_version")[0]
    if version > _VERSION:
        raise sqlite3.DatabaseError(
            f"a later version made this file ({version}; this version knows {_VERSION})"
        )
    known, tables = is_store(db), _table_names(db)
    if known and (version < _VERSION or "had" in tables):
        _rename_tables(db)
    is_old = known and version < _FIRST_WITH_GENERATIONS
    if is_old:
        db.execute("ALTER TABLE outbox RENAME TO outbox_1")
    for statement in _TABLES.split(";"):
        db.execute(statement)
    if is_old:
        # A record without a generation has its receipt. Two with one number are of two logs.
        db.execute(
            "INSERT INTO outbox"
            " (relay, unit, generation, number, count, kind, payload, output, final)"
            " SELECT relay, unit, CASE WHEN id=(SELECT MIN(id) FROM outbox_1 AS first"
            "  WHERE first.unit=o.unit AND first.number=o.number) THEN x''"
            f" ELSE {_OWN_GENERATION} END, number, 1, kind, payload, '', 0"
            " FROM outbox_1 AS o ORDER BY id"
        )
        db.execute("DROP TABLE outbox_1")
    if known and "schema" in tables:
        # The schemas were those of all units together.
        db.execute(
            "INSERT OR IGNORE INTO unit_schema SELECT units.unit, schema.number, schema.text"
            " FROM schema, (SELECT DISTINCT unit FROM received) AS units"
        )
        db.execute("DROP TABLE schema")
    # What version 0.2 has written into a present file.
    db.execute(
        f"UPDATE outbox SET generation={_OWN_GENERATION}, count=1, output='', final=0"
        " WHERE generation IS NULL"
    )
    db.execute(f"PRAGMA user_version={_VERSION}")
