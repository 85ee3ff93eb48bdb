# SPDX-License-Identifier: Apache-2.0
"""Database of the relay: schemas, received records, outbox, positions of the outputs, quarantine.

One SQLite file. All relays on a machine can share it (WAL, one writer at a time). ONE transaction
stores a record and puts it into the outbox. A record leaves the outbox after all outputs have
acknowledged it, or for the quarantine. The position of an output is the id of the last record that
it has acknowledged. The position `""` is that of the receipts, `#dated` that of the dates (see
`date_table`). The received records are stored as ranges of numbers, a few rows for each unit.

Several threads of a relay can use one object. Does not decode. The quarantine is in
`quarantine.QuarantineTable`.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deploy.relay.records.datagram_numbers import DatagramNumbers
from deploy.relay.records.row_limits import RowLimits
from deploy.relay.records.tables import first_row, is_empty, is_store, migrate

MAX_COUNT = 4096
"""Records that an entry can have; a merged block has at most as many rows."""
MOST_BYTES = 16 << 20
"""Bytes of the records that are read together."""
MAX_CHUNK_BYTES = 4 << 20
"""Bytes of fragments without the rest of their record that are stored for each unit."""


def record_class(number: int) -> int:
    """Return the class of a record number, an index of `protocols.telemetry.message.CLASSES`."""
    return number & 3


def record_id(number: int) -> int:
    """Return the id of a record number: it counts up from 1 in its class."""
    return number >> 2


class Entry(NamedTuple):
    """A record in the outbox.

    `record_count`: how many records of the unit it has; above 1 in a merged block. `output`: the
    only output that gets it; "": all. `final`: it has waited for a date in vain and is delivered
    with the uptime only.
    """

    id: int
    unit: str
    generation: bytes
    number: int
    record_count: int
    kind: int
    payload: bytes
    output: str = ""
    final: bool = False

    @property
    def record_class(self) -> int:
        """Return the priority class; see `protocols.telemetry.message.CLASSES`."""
        return record_class(self.number)

    @property
    def record_id(self) -> int:
        """Return the number in its class, of the first record."""
        return record_id(self.number)


_ENTRY_COLUMNS = "id, unit, generation, number, count, kind, payload, output, final"


def _entry(row: tuple[Any, ...]) -> Entry:
    head = (row[0], row[1], bytes(row[2]), row[3], row[4], row[5])
    return Entry(*head, bytes(row[6]), row[7], bool(row[8]))


class RelayDatabase:
    """The file at `path`; `relay` is the name of this process in it. Raises sqlite3.Error.

    `read_only`: for queries alone, of a file of this version; works on a full disk too.
    """

    def __init__(self, path: Path | str, relay: str, read_only: bool = False) -> None:
        self.relay = relay
        self._lock = threading.RLock()
        self._schemas: dict[tuple[str, bytes], bytes] = {}
        self._row_limits = RowLimits(self)
        self._datagrams = DatagramNumbers(self)
        if read_only:
            path = f"{Path(path).absolute().as_uri()}?mode=ro"
        self._db = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False, uri=read_only
        )
        try:
            if not (is_empty(self._db) or is_store(self._db)):
                raise sqlite3.DatabaseError("not the store of a relay")
            if read_only:
                return
            first_row(self._db, "PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            with self.transaction():
                migrate(self._db)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction, durable at its end. Other threads wait."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._forget()
                raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run the block as a part of the transaction; an exception undoes this part only."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO part")
                self._db.execute("RELEASE part")
            self._forget()
            raise
        self._db.execute("RELEASE part")

    def _forget(self) -> None:
        """Forget what a transaction that was undone can have changed."""
        self._schemas = {}
        self._row_limits.forget()

    def query(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with self._lock:
            return self._db.execute(statement, arguments).fetchall()

    def execute(self, statement: str, *arguments: object) -> int:
        """Execute a statement; return the id of an inserted row. Needs a transaction."""
        with self._lock:
            return int(self._db.execute(statement, arguments).lastrowid or 0)

    # Schemas of a unit.

    def schema(self, unit: str, number: bytes) -> bytes | None:
        """Return the text of a schema of a unit; None: unknown."""
        key = (unit, number)
        if key not in self._schemas:
            rows = self.query(
                "SELECT text FROM unit_schema WHERE unit=? AND number=?", unit, number
            )
            if not rows:
                return None
            self._schemas[key] = bytes(rows[0][0])
        return self._schemas[key]

    def store_schema(self, unit: str, number: bytes, text: bytes) -> bool:
        """Store a schema. Return False if the unit has another text with this number."""
        known = self.schema(unit, number)
        if known is None:
            self.execute("INSERT INTO unit_schema VALUES (?,?,?)", unit, number, text)
        return known is None or known == text

    # Received records.

    def mark_received(self, unit: str, generation: bytes, number: int, count: int = 1) -> list[int]:
        """Store that `count` consecutive records were received; return the numbers that are new.

        The effort is that of the ranges that overlap, not of `count`. Needs a transaction.
        """
        first = record_id(number)
        last = first + count - 1
        key = (unit, generation, record_class(number))
        known = self.query(
            "SELECT first, last FROM received WHERE unit=? AND generation=? AND class=?"
            " AND first BETWEEN COALESCE((SELECT MAX(first) FROM received WHERE unit=?"
            " AND generation=? AND class=? AND first<=?), ?) AND ? ORDER BY first",
            *(*key, *key, first, first, last + 1),
        )
        known = [span for span in known if span[1] >= first - 1]
        new: list[int] = []
        at = first
        for low, high in known:
            new.extend(range(at, min(low, last + 1)))
            at = max(at, high + 1)
        new.extend(range(at, last + 1))
        if not new:
            return []
        for low, _ in known:
            self.execute(
                "DELETE FROM received WHERE unit=? AND generation=? AND class=? AND first=?",
                *(*key, low),
            )
        joined = (min([first, *[low for low, _ in known]]), max([last, *[h for _, h in known]]))
        self.execute("INSERT INTO received VALUES (?,?,?,?,?)", *key, *joined)
        self._row_limits.added("received", unit, generation, 1 - len(known))
        return [4 * ident + record_class(number) for ident in new]

    def pending_spans(
        self, unit: str, generation: bytes, number: int, count: int = 1
    ) -> list[tuple[int, int, int]]:
        """Return received records that wait for a required output: entry, first and last id.

        They are those with one of `count` consecutive numbers.
        """
        last = number + 4 * (count - 1)
        rows = self.query(
            "SELECT id, number, count FROM outbox WHERE unit=? AND generation=? AND number<=?"
            " AND number>? AND number+4*count>? AND (number&3)=(?&3) AND output=''"
            " AND id>COALESCE((SELECT p.id FROM position p"
            " WHERE p.relay=outbox.relay AND p.output=''),0)",
            *(unit, generation, last, number - 4 * MAX_COUNT, number, number),
        )
        return [
            (int(entry), record_id(first), record_id(first) + int(n) - 1)
            for entry, first, n in rows
        ]

    def pending_notes(self, unit: str) -> list[int]:
        """Return the ids of the notes of datagrams of a unit that wait for a required output."""
        rows = self.query(
            "SELECT id FROM outbox WHERE unit=? AND generation=x'' AND number=0 AND output=''"
            " AND id>COALESCE((SELECT p.id FROM position p"
            " WHERE p.relay=outbox.relay AND p.output=''),0)",
            unit,
        )
        return [int(row[0]) for row in rows]

    def forget_record(self, entry: Entry) -> None:
        """Make a record unknown again: it is not stored, and its unit must keep it."""
        priority_class, first = entry.record_class, entry.record_id
        last = first + entry.record_count - 1
        delete = "DELETE FROM received WHERE unit=? AND generation=? AND class=? AND first=?"
        for low, high in self.query(
            "SELECT first, last FROM received WHERE unit=? AND generation=? AND class=?"
            " AND first<=?"
            " AND last>=?",
            *(entry.unit, entry.generation, priority_class, last, first),
        ):
            key = (entry.unit, entry.generation, priority_class)
            self.execute(delete, *key, low)
            if low < first:
                self.execute("INSERT INTO received VALUES (?,?,?,?,?)", *key, low, first - 1)
            if high > last:
                self.execute("INSERT INTO received VALUES (?,?,?,?,?)", *key, last + 1, high)

    # Outbox and positions.

    def enqueue(
        self, unit: str, generation: bytes, number: int, count: int, kind: int, payload: bytes
    ) -> Entry:
        """Put a record into the outbox. Needs a transaction."""
        entry = Entry(0, unit, generation, number, count, kind, payload)
        return self.enqueue_entry(entry)

    def enqueue_entry(self, entry: Entry, relay: str | None = None) -> Entry:
        """Put an entry into the outbox with a new id; None: of this relay. Needs a transaction."""
        entry_id = self.execute(
            "INSERT INTO outbox"
            " (relay, unit, generation, number, count, kind, payload, output, final)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            self.relay if relay is None else relay,
            *entry[1:],
        )
        return entry._replace(id=entry_id)

    def outbox(self, after: int = 0, limit: int = 1 << 30) -> list[Entry]:
        """Return records of this relay with a larger id than `after`, oldest first.

        They have `MOST_BYTES` together at most, or are one.
        """
        sizes = self.query(
            "SELECT id, LENGTH(payload) FROM outbox WHERE relay=? AND id>? ORDER BY id LIMIT ?",
            *(self.relay, after, limit),
        )
        last = total = 0
        for entry_id, size in sizes:
            total += size
            if last and total > MOST_BYTES:
                break
            last = entry_id
        rows = self.query(
            f"SELECT {_ENTRY_COLUMNS} FROM outbox WHERE relay=? AND id>? AND id<=? ORDER BY id",
            *(self.relay, after, last),
        )
        return [_entry(row) for row in rows]

    def count_outbox(self, after: int) -> int:
        """Return how many records of this relay have a larger id than `after`."""
        statement = "SELECT COUNT(*) FROM outbox WHERE relay=? AND id>?"
        return int(self.query(statement, self.relay, after)[0][0])

    def remove(self, entry_id: int) -> None:
        """Remove one record from the outbox. Needs a transaction."""
        self.execute("DELETE FROM outbox WHERE id=?", entry_id)

    def positions(self) -> dict[str, int]:
        """Return the positions of the outputs of this relay."""
        rows = self.query("SELECT output, id FROM position WHERE relay=?", self.relay)
        return {str(output): int(entry_id) for output, entry_id in rows}

    def set_position(self, output: str, entry_id: int) -> None:
        """Store the position of an output. Needs a transaction."""
        self.execute("INSERT OR REPLACE INTO position VALUES (?,?,?)", self.relay, output, entry_id)

    def forget_outputs(self, outputs: set[str]) -> None:
        """Remove the positions of other outputs than these. Needs a transaction."""
        for output in self.positions():
            if output[:1] not in ("", "#") and output not in outputs:
                self.execute("DELETE FROM position WHERE relay=? AND output=?", self.relay, output)

    def delete_delivered(self, last_id: int) -> None:
        """Remove the records that all outputs have. Needs a transaction."""
        for table in ("outbox", "row_date"):
            self.execute(f"DELETE FROM {table} WHERE relay=? AND id<=?", self.relay, last_id)

    # Clocks of the runs of a unit.

    def run_clock(self, unit: str, generation: bytes, run: int) -> tuple[int, float] | None:
        """Return UTC minus uptime, in ms, and the period of the rows, in ms; None: unknown."""
        rows = self.query(
            "SELECT offset_ms, period_ms FROM run_clock WHERE unit=? AND generation=? AND run=?",
            unit,
            generation,
            run,
        )
        return (int(rows[0][0]), float(rows[0][1])) if rows else None

    def store_run_clock(
        self, unit: str, generation: bytes, run: int, offset_ms: int, period_ms: float
    ) -> None:
        """Store the clock of a run. Needs a transaction."""
        self.execute(
            "INSERT OR REPLACE INTO run_clock VALUES (?,?,?,?,?)",
            *(unit, generation, run, offset_ms, period_ms),
        )
        self._row_limits.added("run_clock", unit, generation)

    # Fragments and datagrams.

    def add_chunk(
        self, unit: str, generation: bytes, number: int, index: int, total: int, data: bytes
    ) -> bytes | None:
        """Store a chunk; return the whole record after the last chunk. Needs a transaction.

        A unit with too many bytes of incomplete records loses the other ones, or this one if it has
        too many alone; it has no receipt for them.
        """
        self.execute(
            "INSERT OR REPLACE INTO chunk VALUES (?,?,?,?,?,?)",
            *(unit, generation, number, index, total, data),
        )
        key = (unit, generation, number, total)
        parts, size = self.query(
            "SELECT COUNT(*), SUM(LENGTH(data)) FROM chunk WHERE unit=? AND generation=?"
            " AND number=? AND total=?",
            *key,
        )[0]
        if parts < total:
            stored = self.query("SELECT SUM(LENGTH(data)) FROM chunk WHERE unit=?", unit)[0][0]
            if size > MAX_CHUNK_BYTES:
                self.execute("DELETE FROM chunk WHERE unit=?", unit)
            elif stored > MAX_CHUNK_BYTES:
                self.execute(
                    "DELETE FROM chunk WHERE unit=? AND (generation<>? OR number<>? OR total<>?)",
                    *key,
                )
            return None
        rows = self.query(
            "SELECT data FROM chunk WHERE unit=? AND generation=? AND number=? AND total=?"
            " ORDER BY part",
            *key,
        )
        self.execute(
            "DELETE FROM chunk WHERE unit=? AND generation=? AND number=?", unit, generation, number
        )
        return b"".join(bytes(row[0]) for row in rows)

    def is_new_datagram(self, unit: str, number: int, content: bytes, utc_s: int = 0) -> bool:
        """Store that a datagram was received; return False for a duplicate. Needs a transaction.

        `utc_s`: UTC of its content, 0: unknown.
        """
        return self._datagrams.is_new(unit, number, content, utc_s)

    # Texts of the outputs.

    def load_state(self, prefix: str) -> dict[str, str]:
        """Return the stored texts of this relay whose keys begin with `prefix`."""
        rows = self.query("SELECT key, text FROM state WHERE relay=?", self.relay)
        return {key: text for key, text in rows if key.startswith(prefix)}

    def store_state(self, key: str, text: str) -> None:
        """Store a text of this relay durably."""
        with self.transaction():
            self.execute("INSERT OR REPLACE INTO state VALUES (?,?,?)", self.relay, key, text)

    def remove_state(self, key: str) -> None:
        """Remove a text of this relay. Needs a transaction."""
        self.execute("DELETE FROM state WHERE relay=? AND key=?", self.relay, key)

    def next_bd_seq(self) -> int:
        """Return the next bdSeq of this node, 0 to 255."""
        with self.transaction():
            rows = self.query("SELECT bd_seq FROM node WHERE name=?", self.relay)
            bd_seq = (int(rows[0][0]) + 1) % 256 if rows else 0
            self.execute("INSERT OR REPLACE INTO node VALUES (?,?)", self.relay, bd_seq)
        return bd_seq
