# SPDX-License-Identifier: Apache-2.0
"""Limits of the rows that one unit can have in the tables of the relay.

Not a limit of records: those have the outbox and the quarantine. A good unit has a few rows in each
of these tables. A bad one can add a row with each message, for ever. Beyond the limit the half goes
that is farthest from the newest row. The unit loses only what the relay knows about it: a record
that it sends again can be stored again, and its receivers recognise that.
"""

from typing import Protocol

MOST = {"received": 20_000, "run_clock": 5_000}
"""Rows of a unit, by table."""
_PRUNE = {
    "received": "DELETE FROM received WHERE (unit, generation, class, first) IN (SELECT unit,"
    " generation, class, first FROM received WHERE unit=? ORDER BY generation=?, first LIMIT ?)",
    "run_clock": "DELETE FROM run_clock WHERE (unit, generation, run) IN (SELECT unit, generation,"
    " run FROM run_clock WHERE unit=? ORDER BY generation=?, run LIMIT ?)",
}
_MAX_COUNTED = 200_000


class RowStatements(Protocol):
    """What this module needs of the database."""

    def query(self, statement: str, *arguments: object) -> list[tuple[int, ...]]:
        """Return the rows of a statement."""

    def execute(self, statement: str, *arguments: object) -> int:
        """Execute a statement."""


class RowLimits:
    """Counts the rows of each unit in a process, and prunes; other processes have other counts."""

    def __init__(self, database: RowStatements) -> None:
        self._database = database
        self._counts: dict[tuple[str, str], int] = {}
        self._pruned: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """A transaction was undone: count again what it can have pruned."""
        for key in self._pruned:
            self._counts.pop(key, None)
        self._pruned.clear()

    def added(self, table: str, unit: str, newest: object, count: int = 1) -> None:
        """A unit has `count` more rows. `newest`: its generation."""
        key = (table, unit)
        known = self._counts.get(key)
        total = self._count(table, unit) if known is None else known + count
        if total > MOST[table]:
            total = self._count(table, unit)
        if total > MOST[table]:
            self._database.execute(_PRUNE[table], unit, newest, total - MOST[table] // 2)
            total = self._count(table, unit)
            self._pruned.add(key)
        if len(self._counts) >= _MAX_COUNTED:
            self._counts.clear()
        self._counts[key] = total

    def _count(self, table: str, unit: str) -> int:
        statement = f"SELECT COUNT(*) FROM {table} WHERE unit=?"
        return int(self._database.query(statement, unit)[0][0])
