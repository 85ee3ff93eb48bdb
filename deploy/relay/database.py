# SPDX-License-Identifier: Apache-2.0
"""Database of the relay: schemas, received records, outbox.

One SQLite file. All relays on a machine can share it (WAL, one writer at a time). ONE transaction
stores a record and puts it into the outbox. It is durable before the unit gets its receipt. The
record leaves the outbox after its delivery. So a restart loses no record, and a record that a unit
sends twice is delivered once, by any relay. The received records are stored as ranges of numbers, a
few rows for each unit.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS schema (number BLOB PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS had (
  unit TEXT, life BLOB, class INTEGER, first INTEGER, last INTEGER,
  PRIMARY KEY (unit, life, class, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY, relay TEXT, unit TEXT, number INTEGER, kind INTEGER, payload BLOB);
CREATE TABLE IF NOT EXISTS piece (
  unit TEXT, life BLOB, number INTEGER, place INTEGER, of INTEGER, data BLOB,
  PRIMARY KEY (unit, life, number, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS datagram (
  unit TEXT, number INTEGER, digest BLOB, PRIMARY KEY (unit, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (relay TEXT, key TEXT, text TEXT, PRIMARY KEY (relay, key))
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node (name TEXT PRIMARY KEY, bd_seq INTEGER NOT NULL) WITHOUT ROWID;
"""

_MAX_DATAGRAMS = 4096
"""Numbers of datagrams that are stored for each unit."""

Entry = tuple[int, str, int, int, bytes]
"""Id in the outbox, unit, number of the record, kind, payload."""


class RelayDatabase:
    """The file at `path`; `relay` is the name of this process in it. Raises sqlite3.Error.

    Only one thread at a time can use it.
    """

    def __init__(self, path: Path | str, relay: str) -> None:
        self._relay = relay
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES)
        self._schemas: dict[bytes, bytes] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction, durable at its end."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def schema(self, number: bytes) -> bytes | None:
        """Return the text of a schema; None: unknown."""
        if number not in self._schemas:
            row = self._db.execute("SELECT text FROM schema WHERE number=?", (number,)).fetchone()
            if row is None:
                return None
            self._schemas[number] = bytes(row[0])
        return self._schemas[number]

    def store_schema(self, number: bytes, text: bytes) -> None:
        """Store a schema."""
        self._db.execute("INSERT OR IGNORE INTO schema VALUES (?, ?)", (number, text))

    def record_seen(self, unit: str, generation: bytes, number: int) -> bool:
        """Store that a record was received; return False for a duplicate. Needs a transaction."""
        group, record_id = number & 3, number >> 2
        key = (unit, generation, group)
        range_below = self._db.execute(
            "SELECT first, last FROM had WHERE unit=? AND life=? AND class=? AND first<=?"
            " ORDER BY first DESC LIMIT 1",
            (*key, record_id),
        ).fetchone()
        if range_below is not None and range_below[1] >= record_id:
            return False
        range_above = self._db.execute(
            "SELECT first, last FROM had WHERE unit=? AND life=? AND class=? AND first=?",
            (*key, record_id + 1),
        ).fetchone()
        first, last = record_id, record_id
        delete_statement = "DELETE FROM had WHERE unit=? AND life=? AND class=? AND first=?"
        if range_below is not None and range_below[1] == record_id - 1:
            first = range_below[0]
        if range_above is not None:
            last = range_above[1]
            self._db.execute(delete_statement, (*key, range_above[0]))
        self._db.execute("INSERT OR REPLACE INTO had VALUES (?,?,?,?,?)", (*key, first, last))
        return True

    def enqueue(self, unit: str, number: int, kind: int, payload: bytes) -> int:
        """Put a record into the outbox; return its id. Needs a transaction."""
        cursor = self._db.execute(
            "INSERT INTO outbox (relay, unit, number, kind, payload) VALUES (?,?,?,?,?)",
            (self._relay, unit, number, kind, payload),
        )
        return int(cursor.lastrowid or 0)

    def outbox(self) -> list[Entry]:
        """Return the undelivered records of this relay, oldest first."""
        rows = self._db.execute(
            "SELECT id, unit, number, kind, payload FROM outbox WHERE relay=? ORDER BY id",
            (self._relay,),
        )
        return [(row[0], row[1], row[2], row[3], bytes(row[4])) for row in rows]

    def mark_delivered(self, ids: list[int]) -> None:
        """Remove records from the outbox. Needs a transaction."""
        self._db.executemany("DELETE FROM outbox WHERE id=?", [(entry_id,) for entry_id in ids])

    def add_chunk(
        self, unit: str, generation: bytes, number: int, index: int, total: int, data: bytes
    ) -> bytes | None:
        """Store a chunk; return the whole record after the last chunk. Needs a transaction."""
        self._db.execute(
            "INSERT OR REPLACE INTO piece VALUES (?,?,?,?,?,?)",
            (unit, generation, number, index, total, data),
        )
        rows = self._db.execute(
            "SELECT data FROM piece WHERE unit=? AND life=? AND number=? AND of=? ORDER BY place",
            (unit, generation, number, total),
        ).fetchall()
        if len(rows) < total:
            return None
        self._db.execute(
            "DELETE FROM piece WHERE unit=? AND life=? AND number=?", (unit, generation, number)
        )
        return b"".join(bytes(row[0]) for row in rows)

    def datagram_seen(self, unit: str, number: int, content: bytes) -> bool:
        """Store that a datagram was received; return False for a duplicate. Needs a transaction.

        The content counts too: a modem with a new store starts again with the first number.
        """
        digest = hashlib.sha256(content).digest()[:8]
        row = self._db.execute(
            "SELECT digest FROM datagram WHERE unit=? AND number=?", (unit, number)
        ).fetchone()
        if row is not None and bytes(row[0]) == digest:
            return False
        self._db.execute("INSERT OR REPLACE INTO datagram VALUES (?,?,?)", (unit, number, digest))
        oldest_kept = number - _MAX_DATAGRAMS
        self._db.execute(
            "DELETE FROM datagram WHERE unit=? AND number BETWEEN ? AND ?",
            (unit, oldest_kept - _MAX_DATAGRAMS, oldest_kept),
        )
        return True

    def load_state(self, prefix: str) -> dict[str, str]:
        """Return the stored texts of this relay whose keys begin with `prefix`."""
        rows = self._db.execute("SELECT key, text FROM state WHERE relay=?", (self._relay,))
        return {key: text for key, text in rows if key.startswith(prefix)}

    def store_state(self, key: str, text: str) -> None:
        """Store a text of this relay durably."""
        with self.transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO state VALUES (?,?,?)", (self._relay, key, text)
            )

    def next_bd_seq(self) -> int:
        """Return the next bdSeq of this node, 0 to 255."""
        with self.transaction():
            row = self._db.execute(
                "SELECT bd_seq FROM node WHERE name=?", (self._relay,)
            ).fetchone()
            bd_seq = 0 if row is None else (row[0] + 1) % 256
            self._db.execute("INSERT OR REPLACE INTO node VALUES (?,?)", (self._relay, bd_seq))
        return bd_seq
