# SPDX-License-Identifier: Apache-2.0
"""Database of the produced units (SQLite): one row a unit, with its signed record.

Does not produce. A serial number has one row, also if two factories use the file at the same time.
Serial numbers that differ only in small and capital letters are one unit, because the name of a
unit has small letters. A failed unit keeps its row with the reason; its next attempt replaces the
row. A public key belongs to one unit.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import FactoryError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS unit (
    serial TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('good', 'failed')),
    reason TEXT NOT NULL,
    public TEXT UNIQUE,
    record TEXT NOT NULL,
    signature TEXT NOT NULL
) STRICT
"""
_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS unit_name ON unit (serial COLLATE NOCASE)"
_SELECT = "SELECT serial, state, reason, public, record, signature FROM unit"
_STORE = """
INSERT INTO unit VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (serial) DO UPDATE SET state = excluded.state, reason = excluded.reason,
    public = excluded.public, record = excluded.record, signature = excluded.signature
WHERE unit.state <> 'good'
"""
"""REPLACE would delete the row of another unit with the same key."""


@dataclass(frozen=True)
class UnitRow:
    """A unit. `reason`: why it failed. `record`: the signed text. `signature`: 128 hex digits."""

    serial: str
    state: str
    reason: str
    public: str | None
    record: str
    signature: str

    def fields(self) -> dict[str, Any]:
        """Return the record."""
        fields: dict[str, Any] = json.loads(self.record)
        return fields


class Database:
    """The file. Raises FactoryError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translate_errors():
            self._connection = sqlite3.connect(path)
        try:
            with self._translate_errors():
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute(_SCHEMA)
                self._connection.execute(_INDEX)
        except FactoryError:
            self._connection.close()
            raise

    def find(self, serial: str) -> UnitRow | None:
        """Return a unit."""
        query = _SELECT + " WHERE serial = ? COLLATE NOCASE"
        with self._translate_errors():
            row = self._connection.execute(query, (serial,)).fetchone()
        return None if row is None else UnitRow(*row)

    def units(self) -> list[UnitRow]:
        """Return all units by their serial numbers."""
        with self._translate_errors():
            rows = self._connection.execute(_SELECT + " ORDER BY serial").fetchall()
        return [UnitRow(*row) for row in rows]

    def store(self, row: UnitRow) -> None:
        """Store a unit durably. A good one is never replaced."""
        values = (row.serial, row.state, row.reason, row.public, row.record, row.signature)
        with self._translate_errors(), self._connection:
            stored_count = self._connection.execute(_STORE, values).rowcount
        if not stored_count:
            raise FactoryError(f"{row.serial}: this unit exists and is good")

    def has_key(self, public: str, serial: str) -> bool:
        """Return whether another unit has this public key."""
        query = "SELECT 1 FROM unit WHERE public = ? AND serial <> ?"
        with self._translate_errors():
            return self._connection.execute(query, (public, serial)).fetchone() is not None

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise FactoryError(f"{self._path}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
