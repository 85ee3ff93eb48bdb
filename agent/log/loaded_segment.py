# SPDX-License-Identifier: Apache-2.0
"""Segments of the log in memory: one that was read, and one whose records are being read."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.log.segment import LogRecord

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
