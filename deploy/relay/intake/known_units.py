# SPDX-License-Identifier: Apache-2.0
"""Which units are new to the relay: one program at the broker can invent names without an end.

Does not limit messages; see `fair_queue`. A unit is known if the file of the relay had a record of
it at the start, or ten minutes after its first message.
"""

import time
from collections.abc import Callable

from deploy.relay.records.database import RelayDatabase

_NEW_S = 600.0
_MOST_UNITS = 200_000


class KnownUnits:
    """The known units of `database`; `clock`: monotonic time in s."""

    def __init__(
        self, database: RelayDatabase, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._known = {str(row[0]) for row in database.query("SELECT DISTINCT unit FROM received")}
        self._first_at: dict[str, float] = {}

    def is_new(self, unit: str) -> bool:
        """Return whether a unit that sends a message now is new."""
        if unit in self._known:
            return False
        now = self._clock()
        first_at = self._first_at.setdefault(unit, now)
        if now - first_at >= _NEW_S and len(self._known) < _MOST_UNITS:
            del self._first_at[unit]
            self._known.add(unit)
            return False
        if len(self._first_at) > _MOST_UNITS:
            del self._first_at[next(iter(self._first_at))]
        return True
