# SPDX-License-Identifier: Apache-2.0
"""Durable records that stay in memory for sending. Does not write; see `agent.log.record_store`."""

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
