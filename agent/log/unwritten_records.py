# SPDX-License-Identifier: Apache-2.0
"""Records of the log in memory that wait for the flash.

Does not write them and gives no ids; see `agent.log.record_store`. If they need more memory than
`MAX_UNWRITTEN`, the oldest record of the lowest class is dropped.
"""

from collections import namedtuple

WaitingRecord = namedtuple("WaitingRecord", ("group", "kind", "payload", "oldest_at"))
"""A record without an id. `oldest_at`: time of its oldest content."""

MAX_UNWRITTEN = 6144
"""Largest number of bytes that wait in memory for the flash."""
OBJECT_BYTES = 48
"""Approximate memory of a record beside its payload, bytes."""


class UnwrittenRecords:
    """The waiting records, oldest first; `size` is their memory in bytes."""

    def __init__(self) -> None:
        self.records: list[WaitingRecord] = []
        self.size = 0

    def add(self, record: WaitingRecord) -> "list[int]":
        """Add a record. Return the classes of the records that are dropped for it."""
        self.records.append(record)
        self.size += len(record.payload) + OBJECT_BYTES
        dropped = []
        while self.size > MAX_UNWRITTEN and len(self.records) > 1:
            dropped.append(self._drop())
        return dropped

    def _drop(self) -> int:
        """Drop the oldest record of the lowest class; return the class."""
        lowest_class: int = max([record.group for record in self.records])
        index = [record.group for record in self.records].index(lowest_class)
        self.size -= len(self.records.pop(index).payload) + OBJECT_BYTES
        return lowest_class

    def take(self, max_bytes: int) -> "list[WaitingRecord]":
        """Remove and return records of the highest class: the first, and what fits `max_bytes`."""
        group = min([record.group for record in self.records])
        taken, remaining, length, self.size = [], [], 0, 0
        for record in self.records:
            size = len(record.payload)
            if record.group != group or (length and length + size > max_bytes):
                remaining.append(record)
                self.size += size + OBJECT_BYTES
            else:
                taken.append(record)
                length += size
        self.records = remaining
        return taken
