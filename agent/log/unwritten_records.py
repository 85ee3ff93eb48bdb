# SPDX-License-Identifier: Apache-2.0
"""Records of the log in memory that wait for the flash.

Does not write them and gives no ids; see `agent.log.record_store`. If they need more memory than
`MAX_UNWRITTEN`, the oldest record of the lowest class is dropped.
"""

from collections import namedtuple

WaitingRecord = namedtuple("WaitingRecord", ("record_class", "kind", "payload", "oldest_us"))
"""A record without an id. `record_class`: 0 is the highest. `oldest_us`: monotonic time of its
oldest content, µs."""

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
        lowest_class: int = max([record.record_class for record in self.records])
        index = [record.record_class for record in self.records].index(lowest_class)
        self.size -= len(self.records.pop(index).payload) + OBJECT_BYTES
        return lowest_class

    def take(self, max_bytes: int, max_records: int = 0) -> "list[WaitingRecord]":
        """Remove and return records of the highest class: the first, and what fits `max_bytes` and
        `max_records` (0: any number).
        """
        highest_class: int = min([record.record_class for record in self.records])
        taken: list[WaitingRecord] = []
        remaining, length, self.size = [], 0, 0
        for record in self.records:
            payload_bytes = len(record.payload)
            if (
                record.record_class != highest_class
                or (length and length + payload_bytes > max_bytes)
                or (max_records and len(taken) >= max_records)
            ):
                remaining.append(record)
                self.size += payload_bytes + OBJECT_BYTES
            else:
                taken.append(record)
                length += payload_bytes
        self.records = remaining
        return taken
