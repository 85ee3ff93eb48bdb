# SPDX-License-Identifier: Apache-2.0
"""Numbers of the datagrams that a unit has sent: a repetition, also years later, is a duplicate.

A unit uses a number once, but a modem with a new store begins again. So the content counts too. The
newest numbers are stored with a digest of the content and its UTC. Of older ones only the number
stays, in ranges, and for the unit the latest UTC of them all: a content with an old number that is
not later than that was there before. Limit: a content without UTC is known by its digest only. Such
numbers stay longer than others, at most `MOST` in all.
"""

import hashlib
import time
from typing import Any, Protocol

MOST = 8_192
"""Numbers with a digest for each unit. Beyond it the half goes that is farthest from the newest."""
_NUMBERS = 1 << 24
_OLD = b"datagram"
"""Log generation of the ranges of old numbers; a generation of a unit has three bytes."""
_LATEST = -1
"""In the place of a number: the latest UTC of the old ones."""
_CLOCK_ERROR_S = 86_400
"""A content that is later than the relay's clock by more than this has no UTC."""


class NumberTables(Protocol):
    """What this module needs of the database."""

    def query(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""

    def execute(self, statement: str, *arguments: object) -> int:
        """Execute a statement."""

    def mark_received(self, unit: str, generation: bytes, number: int, count: int = 1) -> list[int]:
        """Add a number to the ranges."""


class DatagramNumbers:
    """The numbers in `database`. All calls need a transaction."""

    def __init__(self, database: NumberTables) -> None:
        self._database = database

    def is_new(self, unit: str, number: int, content: bytes, utc_s: int) -> bool:
        """Store a datagram; return False for a duplicate. `utc_s`: of its content, 0: unknown."""
        if utc_s > time.time() + _CLOCK_ERROR_S:
            utc_s = 0
        digest = hashlib.sha256(content).digest()[:8]
        stored = self._value(unit, number)
        if stored[:8] == digest or self._was_old(unit, number, utc_s):
            return False
        if stored:
            self._make_old(unit, [(number, stored)])
        self._store(unit, number, digest + utc_s.to_bytes(4, "big"))
        self._prune(unit, number)
        return True

    def _value(self, unit: str, number: int) -> bytes:
        rows = self._database.query(
            "SELECT digest FROM datagram WHERE unit=? AND number=?", unit, number
        )
        return bytes(rows[0][0]) if rows else b""

    def _store(self, unit: str, number: int, value: bytes) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO datagram VALUES (?,?,?)", unit, number, value
        )

    def _was_old(self, unit: str, number: int, utc_s: int) -> bool:
        if not 0 < utc_s <= int.from_bytes(self._value(unit, _LATEST), "big"):
            return False
        return bool(
            self._database.query(
                "SELECT 1 FROM received WHERE unit=? AND generation=? AND class=0"
                " AND first<=? AND last>=?",
                *(unit, _OLD, number, number),
            )
        )

    def _make_old(self, unit: str, numbers: list[tuple[int, bytes]]) -> None:
        """Keep of some numbers only that they were used. Those without UTC are forgotten."""
        latest = int.from_bytes(self._value(unit, _LATEST), "big")
        for number, value in numbers:
            if utc_s := _utc(value):
                latest = max(latest, utc_s)
                self._database.mark_received(unit, _OLD, 4 * number)
            self._database.execute("DELETE FROM datagram WHERE unit=? AND number=?", unit, number)
        self._store(unit, _LATEST, latest.to_bytes(4, "big"))

    def _prune(self, unit: str, newest: int) -> None:
        count = int(self._database.query("SELECT COUNT(*) FROM datagram WHERE unit=?", unit)[0][0])
        if count <= MOST:
            return
        rows = self._database.query(
            "SELECT number, digest FROM datagram WHERE unit=? AND number>=0"
            " ORDER BY MIN(ABS(number-?), ?-ABS(number-?)) DESC LIMIT ?",
            *(unit, newest, _NUMBERS, newest, count - MOST // 4),
        )
        far = [(int(number), bytes(value)) for number, value in rows]
        far.sort(key=lambda row: not _utc(row[1]))  # stable: those with UTC first
        self._make_old(unit, far[: count - MOST // 2])


def _utc(value: bytes) -> int:
    """Return the UTC of a stored digest in s; 0: unknown, and in those of earlier versions."""
    return int.from_bytes(value[8:], "big")
