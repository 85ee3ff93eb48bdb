# SPDX-License-Identifier: Apache-2.0
"""Quarantine: durable records and messages that the relay cannot decode, date or deliver.

Does not decide what goes there; see `intake.ingest`, `prepare` and `delivery`. A record in the
quarantine is safe on the disk, so its unit gets the receipt. Reasons:

    message    not a telemetry message, or a limit of a message is exceeded; there is no receipt
    modem      a datagram of a modem without a unit; released at a start with `--modem IMEI=…`
    schema     the schema is unknown; released when it comes
    undated    no row has UTC; released when a later block of the run has it, or after a time
    budget     the unit is over its CPU time, or many of its records are released; each in turn
    block      the block cannot be decoded
    size       the block has more values than the limit
    note       the alarm or event is not a JSON object within the limits
    text       the text of a schema cannot be read, or its scale is out of range
    refused    an output refuses the record
    kind       the kind of the record is unknown
    internal   the relay has an error of its own

A unit has a quota of bytes. Beyond it a record is not stored and has no receipt; the unit keeps it.
A record that an output refuses is stored in any case, because other outputs can have it already.
From twice the quota on, no message of the unit is received (`is_overfull`).
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from deploy.relay.records.database import Entry, RelayDatabase

REFUSED = "refused"
BUDGET = "budget"
REASONS = (
    *("schema", "undated", BUDGET, "block", "note", "text", "kind", "size"),
    *(REFUSED, "message", "modem", "internal"),
)
RELEASED = ("schema", "undated", BUDGET)
"""Reasons that end by themselves."""
LOT = 100
"""Records that are released together; more would hold up the records of other units."""
_COLUMNS = (
    "id, unit, generation, number, count, kind, payload, output, reason, detail, key, at_ms, relay"
)
_IN_TURN = "reason=?, key='0', due_ms=?"
_DETAIL_CHARS = 200
_ENTRY_BYTES = 64
"""What a record needs besides its payload, about."""
_PAGE = 50
"""Records that are read together; each has 256 KiB at most."""
_COUNT_S = 30.0
_MAX_UNITS = 100_000


class Quarantined(NamedTuple):
    """A record in the quarantine; `entry.id` is its number there."""

    entry: Entry
    reason: str
    detail: str
    key: str
    at_ms: int
    relay: str


class QuarantineTable:
    """The quarantine in `database`; `quota`: the limit of a unit, bytes."""

    def __init__(self, database: RelayDatabase, quota: int = 64 << 20) -> None:
        self._database = database
        self._quota = quota
        self._used: dict[str, tuple[int, float]] = {}

    def add(
        self, entry: Entry, reason: str, detail: str, key: str = "", due_ms: int | None = None
    ) -> bool:
        """Store a record; return False beyond the quota of the unit. Needs a transaction."""
        size = len(entry.payload) + _ENTRY_BYTES
        used = self._used_bytes(entry.unit)
        if used + size > self._quota and reason != REFUSED:
            return False
        self._used[entry.unit] = (used + size, self._used[entry.unit][1])
        text = detail.encode("ascii", "backslashreplace").decode()[:_DETAIL_CHARS]
        self._database.execute(
            "INSERT INTO quarantine (relay, unit, generation, number, count, kind, payload, output,"
            " reason, detail, key, at_ms, due_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            *(self._database.relay, *entry[1:8], reason, text, key, now_ms(), due_ms),
        )
        return True

    def is_overfull(self, unit: str) -> bool:
        """Return whether a unit has twice its quota; only refused records can be the cause."""
        return unit in self._used and self._used_bytes(unit) > 2 * self._quota

    def _used_bytes(self, unit: str) -> int:
        """Return the bytes of a unit; counted twice a minute, because it reads all of them."""
        used, counted_at = self._used.get(unit, (0, -_COUNT_S))
        now = time.monotonic()
        if now - counted_at < _COUNT_S:
            return used
        statement = "SELECT COUNT(*), SUM(LENGTH(payload)) FROM quarantine WHERE unit=?"
        count, size = self._database.query(statement, unit)[0]
        if len(self._used) >= _MAX_UNITS:
            self._used.clear()
        self._used[unit] = (count * _ENTRY_BYTES + (size or 0), now)
        return self._used[unit][0]

    def find(
        self, unit: str = "", reason: str = "", key: str = "", limit: int = 1 << 30, after: int = 0
    ) -> list[Quarantined]:
        """Return the records of a unit and a reason; "": of all. `after`: above this number."""
        wanted = [("unit", unit), ("reason", reason), ("key", key)]
        where = " AND ".join([f"{name}=?" for name, value in wanted if value] or ["1"])
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM quarantine WHERE {where}{f' AND id>{after}' if after else ''}"
            " ORDER BY id LIMIT ?",
            *[value for _, value in wanted if value],
            limit,
        )
        return [_quarantined(row) for row in rows]

    def pages(self, unit: str = "", reason: str = "") -> Iterator[Quarantined]:
        """Return the records of a unit and a reason, read in lots: all can be many gigabytes."""
        last = 0
        while lot := self.find(unit, reason, limit=_PAGE, after=last):
            yield from lot
            last = lot[-1].entry.id

    def ids(self, unit: str = "", reason: str = "") -> list[int]:
        """Return the numbers of the records of a unit and a reason."""
        statement = "SELECT id FROM quarantine WHERE ? IN ('', unit) AND ? IN ('', reason)"
        rows = self._database.query(f"{statement} ORDER BY id", unit, reason)
        return [row[0] for row in rows]

    def get(self, quarantine_id: int) -> Quarantined | None:
        """Return one record; None: there is none with this number."""
        if not 0 < quarantine_id < 1 << 63:  # SQLite has no such number
            return None
        rows = self._database.query(f"SELECT {_COLUMNS} FROM quarantine WHERE id=?", quarantine_id)
        return _quarantined(rows[0]) if rows else None

    def due(self, limit: int = LOT) -> list[Quarantined]:
        """Return the first records whose time has come."""
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM quarantine WHERE due_ms<=? ORDER BY due_ms LIMIT ?",
            now_ms(),
            limit,
        )
        return [_quarantined(row) for row in rows]

    def shorten_waits(self, horizon_ms: int, due_ms: int, reason: str = "") -> None:
        """Set the end of each wait beyond `horizon_ms` to `due_ms`: the clock was set back.

        `reason`: only these; "": all. Needs a transaction.
        """
        self._database.execute(
            "UPDATE quarantine SET due_ms=? WHERE due_ms>? AND ? IN ('', reason)",
            *(due_ms, horizon_ms, reason),
        )

    def has_wait_beyond(self, horizon_ms: int, reason: str = "") -> bool:
        """Return whether a wait for a reason ends after `horizon_ms`; "": for any."""
        statement = "SELECT 1 FROM quarantine WHERE due_ms>? AND ? IN ('', reason) LIMIT 1"
        return bool(self._database.query(statement, horizon_ms, reason))

    def release(self, held: Quarantined, final: bool = False) -> bool:
        """Move a record back to the outbox of its relay. Needs a transaction.

        False: it is not here any more. Another worker or `quarantine retry` can have found it too.
        """
        if self.get(held.entry.id) is None:
            return False
        self._database.execute("DELETE FROM quarantine WHERE id=?", held.entry.id)
        if held.entry.unit in self._used:
            used, counted_at = self._used[held.entry.unit]
            size = len(held.entry.payload) + _ENTRY_BYTES
            self._used[held.entry.unit] = (used - size, counted_at)
        self._database.enqueue_entry(held.entry._replace(final=final), held.relay)
        return True

    def release_all(self, unit: str, reason: str, key: str) -> None:
        """Release what waits for the same; beyond a lot, in turn. Needs a transaction."""
        for held in self.find(unit, reason, key, LOT):
            self.release(held)
        self._database.execute(
            f"UPDATE quarantine SET {_IN_TURN} WHERE unit=? AND reason=? AND key=?",
            *(BUDGET, now_ms(), unit, reason, key),
        )

    def give_back(self, ids: list[int], output: str = "") -> None:
        """Release these records in turn. Needs a transaction.

        `output`: refused ones go to this output in place of the one that has refused them.
        """
        places = ",".join("?" * len(ids))
        if output:
            self._database.execute(
                f"UPDATE quarantine SET output=? WHERE id IN ({places}) AND reason=?",
                *(output, *ids, REFUSED),
            )
        self._database.execute(
            f"UPDATE quarantine SET {_IN_TURN} WHERE id IN ({places})", BUDGET, now_ms(), *ids
        )

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of records by unit and reason."""
        counts: dict[str, dict[str, int]] = {}
        for unit, reason, count in self._database.query(
            "SELECT unit, reason, COUNT(*) FROM quarantine GROUP BY unit, reason"
        ):
            counts.setdefault(unit, {})[reason] = count
        return counts


def _quarantined(row: tuple[Any, ...]) -> Quarantined:
    head = (row[0], row[1], bytes(row[2]), row[3], row[4], row[5])
    entry = Entry(*head, bytes(row[6]), row[7])
    return Quarantined(entry, *row[8:13])


def now_ms() -> int:
    """Return UTC in ms."""
    return time.time_ns() // 1_000_000
