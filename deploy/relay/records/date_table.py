# SPDX-License-Identifier: Apache-2.0
"""Date table: the dates that the relay has given to rows, decided once for each record.

Does not compute dates; see `decode.dating`. A date that is not the row's own depends on the clock
of the relay and on other blocks, which change. After a kill, or for an output that is behind, a
record is decoded again. Its dates must then be those of the first time. Otherwise its rows would be
in a store twice, or differ between stores. So the decisions of a batch are in one transaction with
the position up to which all records are decided. A record without a row here has its own times.
"""

from array import array
from typing import NamedTuple

from deploy.relay.records.database import RelayDatabase

POSITION = "#dated"
"""Name of the position of the decisions, among those of the outputs."""


class RowDates(NamedTuple):
    """Times of the rows, ms: UTC if `is_dated`, else the uptime. `estimated`: not their own."""

    times: list[int]
    is_dated: bool
    estimated: int


class DateTable:
    """The decisions in `database`. `decided_to`: the last record that is decided."""

    def __init__(self, database: RelayDatabase) -> None:
        self._database = database
        self.decided_to = database.positions().get(POSITION, 0)

    def find(self, entry_id: int) -> RowDates | None:
        """Return the decision for a record; None: its own times."""
        rows = self._database.query(
            "SELECT times, dated, estimated FROM row_date WHERE id=?", entry_id
        )
        if not rows:
            return None
        times = array("q", bytes(rows[0][0]))
        return RowDates(list(times), bool(rows[0][1]), int(rows[0][2]))

    def store(self, decisions: dict[int, RowDates], decided_to: int) -> None:
        """Store the decisions up to a record. Needs a transaction; then call `advance`."""
        for entry_id, decision in decisions.items():
            self._database.execute(
                "INSERT OR REPLACE INTO row_date VALUES (?,?,?,?,?)",
                *(entry_id, self._database.relay, array("q", decision.times).tobytes()),
                *(int(decision.is_dated), decision.estimated),
            )
        self._database.set_position(POSITION, max(decided_to, self.decided_to))

    def advance(self, decided_to: int) -> None:
        """The transaction of `store` is durable."""
        self.decided_to = max(decided_to, self.decided_to)
