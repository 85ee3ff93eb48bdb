# SPDX-License-Identifier: Apache-2.0
"""Durable records in memory, for sending: the newest ones, and a segment. See `record_store`."""

from collections import namedtuple

from agent.log.unwritten_records import OBJECT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.log.segment import LogRecord

MAX_RECENT = 2048
"""Largest number of bytes of these records."""


class RecentRecords:
    """The newest durable records as (number, record), oldest first."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, LogRecord]] = []
        self._size = 0

    def find(self, number: int) -> "LogRecord | None":
        """Return a record by its number: id * 4 + class."""
        for known, record in self.entries:
            if known == number:
                return record
        return None

    def add(self, number: int, record: "LogRecord") -> None:
        """Add a record."""
        self.entries.append((number, record))
        self._size += len(record.payload) + OBJECT_BYTES

    def trim(self) -> None:
        """Drop the oldest records beyond `MAX_RECENT`; the newest one stays."""
        while self._size > MAX_RECENT and len(self.entries) > 1:
            self._size -= len(self.entries.pop(0)[1].payload) + OBJECT_BYTES


RunningScan = namedtuple("RunningScan", ("purpose", "group", "first", "exists", "scan"))
"""The scan of a segment that the store has read for `purpose`."""


class LoadedSegment:
    """The records of the segment of the class `group` that begins with the id `first`."""

    def __init__(self, group: int, first: int, records: "list[LogRecord]") -> None:
        self.group = group
        self._first = first
        self._records = records
        self._last_found = 0

    def is_segment(self, group: int, first: int) -> bool:
        """Return whether this is the segment."""
        return (self.group, self._first) == (group, first)

    def find(self, ident: int) -> "LogRecord | None":
        """Return a record, or None. The one after the last result is the likely one."""
        records = self._records
        for i in range(len(records)):
            at = (self._last_found + i) % len(records)
            if records[at].ident <= ident <= records[at].last_ident:
                self._last_found = at
                return records[at]
        return None


NOTHING_LOADED = LoadedSegment(-1, 0, [])
