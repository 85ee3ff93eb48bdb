# SPDX-License-Identifier: Apache-2.0
"""Database of the produced units (SQLite): one row a unit, with its signed record.

Does not produce. A serial number has one row. A failed unit keeps its row with the reason; its next
attempt replaces the row. A public key belongs to one unit.
"""

import json
import sqlite3
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
        try:
            self._connection = sqlite3.connect(path)
        except sqlite3.Error as error:
            raise FactoryError(f"{path}: {error}") from None
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(_SCHEMA)
        except sqlite3.Error as error:
            self._connection.close()
            raise FactoryError(f"{path}: {error}") from None

    def find(self, serial: str) -> UnitRow | None:
        """Return a unit."""
        query = "SELECT serial, state, reason, public, record, signature FROM unit"
        row = self._connection.execute(query + " WHERE serial = ?", (serial,)).fetchone()
        return None if row is None else UnitRow(*row)

    def units(self) -> list[UnitRow]:
        """Return all units by their serial numbers."""
        query = "SELECT serial, state, reason, public, record, signature FROM unit ORDER BY serial"
        return [UnitRow(*row) for row in self._connection.execute(query)]

    def store(self, row: UnitRow) -> None:
        """Store a unit durably. A good one is never replaced."""
        found = self.find(row.serial)
        if found is not None and found.state == "good":
            raise FactoryError(f"{row.serial}: this unit exists and is good")
        values = (row.serial, row.state, row.reason, row.public, row.record, row.signature)
        try:
            with self._connection:
                self._connection.execute("REPLACE INTO unit VALUES (?, ?, ?, ?, ?, ?)", values)
        except sqlite3.IntegrityError as error:
            raise FactoryError(f"{row.serial}: {error}") from None

    def has_key(self, public: str, serial: str) -> bool:
        """Return whether another unit has this public key."""
        query = "SELECT 1 FROM unit WHERE public = ? AND serial <> ?"
        return self._connection.execute(query, (public, serial)).fetchone() is not None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
