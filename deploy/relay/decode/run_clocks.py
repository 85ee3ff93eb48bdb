# SPDX-License-Identifier: Apache-2.0
"""Which clock a run has, when its blocks disagree: one wrong uptime dates no other block.

Does not date rows; see `dating`. A block whose rows have UTC tells UTC minus uptime of its run, and
that dates the blocks of the run without UTC. An uptime can be wrong while the UTC is good. So two
blocks that agree make a clock certain. Another one replaces it only after two blocks in a row that
agree. A clock of one block is replaced by the next block. What is certain is only in memory: after
a restart of the relay the clock is as that of one block.

A block that waits in the quarantine is read again at each new clock of its run. It counts once: a
known clock is replaced only by a block with a higher record number than those before. Else two
blocks that wait and disagree would replace the clock of each other without end.
"""

from deploy.relay.decode.dating import RunClock
from deploy.relay.records.database import Entry

_NEWS_MS = 1000
"""A clock that differs by less from the known one is no news."""
_CONFLICT_MS = 60_000
"""Two clocks that differ by less agree: the unit has set its clock a little."""
_MOST_RUNS = 50_000

_Key = tuple[str, bytes, int]


class RunClocks:
    """The opinions of the blocks about the clocks of their runs."""

    def __init__(self) -> None:
        self.conflicts = 0
        self._certain: dict[_Key, None] = {}
        self._other: dict[_Key, int] = {}
        self._counted: dict[_Key, int] = {}
        """The highest record number of the blocks that gave the clock of a run."""

    def is_news(self, entry: Entry, clock: RunClock, known: RunClock | None) -> bool:
        """Return whether a clock that a block tells is to be stored."""
        key = (entry.unit, entry.generation, clock.run)
        for table in (self._certain, self._other, self._counted):
            if len(table) > _MOST_RUNS:
                table.clear()
        newest = self._counted.get(key, -1)
        self._counted[key] = max(entry.number, newest)
        if known is None or entry.number <= newest:
            return known is None
        difference = abs(known.offset_ms - clock.offset_ms)
        if difference < _CONFLICT_MS:
            self._certain[key] = None
            self._other.pop(key, None)
            return difference >= _NEWS_MS or bool(clock.period_ms and not known.period_ms)
        other = self._other.pop(key, None)
        if key not in self._certain:
            return True
        if other is not None and abs(other - clock.offset_ms) < _CONFLICT_MS:
            return True  # and it is certain
        self._other[key] = clock.offset_ms
        self.conflicts += 1
        return False
