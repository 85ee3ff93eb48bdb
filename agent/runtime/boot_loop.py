# SPDX-License-Identifier: Apache-2.0
"""Boot loop: how often the agent was started, in a record that survives a restart and a power cut.

Does not start the agent; see `agent.commands` and `agent.runtime.micropython`. Counts each start:
of the process, of the board, and after an exception of the core. A board whose power was cut does
not count that start: a site with bad power keeps its agent. An orderly end (a signal, a restart by
request) takes its start back. `CALM_US` of running without a start ends the count.

    starts         fallback    the agent runs
    up to 5        FULL        the chosen configuration
    6 to 10        PROTECTION  the confirmed configuration, only the sections of the protection
    more           LEAST       the same, without network, receiver and model

A fallback level stays until a person leaves it (command `reset` with the code `boot_loop`), also
over a restart. Without a store, the starts of this process count.
"""

from drivers.errors import PortError
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class StartRecord(Protocol):
        """A store that is read and written immediately."""

        def read(self, key: str) -> "bytes | None": ...  # noqa: D102
        def write(self, key: str, data: bytes) -> None: ...  # noqa: D102


KEY = "boot.starts"
CALM_US = 600 * SECOND
FULL, PROTECTION, LEAST = 0, 1, 2
_MAX_STARTS, _MAX_PROTECTION = 5, 10
_MAX_COUNT = 99


class BootLoop:
    """The count of starts. `fallback_level`: see the module. `fault`: error of the record."""

    def __init__(self, store: "StartRecord | None") -> None:
        self.fallback_level = FULL
        self.starts = 0
        self.fault = ""
        self._store = store
        self._began = 0
        self._is_calm = self._is_counted = False
        if store is None:
            return
        try:
            data = store.read(KEY)
        except (PortError, OSError) as error:
            self.fault = str(error)
            return
        if data is not None and data.isdigit() and len(data) <= 2:
            self.starts = int(data)

    def begin(self, now: int, is_power_on: bool = False) -> int:
        """Record a start; return its fallback level. `is_power_on`: a power cut was before it."""
        self._began, self._is_calm, self._is_counted = now, False, not is_power_on
        if self._is_counted:
            self._set(min(self.starts + 1, _MAX_COUNT))
        if self.starts > _MAX_PROTECTION:
            self.fallback_level = LEAST
        elif self.starts > _MAX_STARTS:
            self.fallback_level = max(self.fallback_level, PROTECTION)
        return self.fallback_level

    def check(self, now: int) -> bool:
        """End the count after a calm time; called often while the agent runs. Returns False."""
        if not self._is_calm and now - self._began >= CALM_US:
            self._is_calm = True
            if self.fallback_level == FULL:
                self._set(0)
            else:  # the next start has the same level, and one more does not raise it
                self._set(_MAX_PROTECTION if self.fallback_level == LEAST else _MAX_STARTS)
        return False

    def end(self, leaves: bool) -> None:
        """Record an orderly end. `leaves`: a person leaves the level.

        A record that was deleted meanwhile stays deleted: a person ended the count, or the unit
        was decommissioned.
        """
        if leaves:
            self.fallback_level = FULL
            self._set(0)
        elif self._is_counted and not self._is_calm:
            starts = max(self.starts - 1, 0)
            if self._is_deleted():
                self.starts = starts
            else:
                self._set(starts)

    def _is_deleted(self) -> bool:
        try:
            return self._store is not None and self._store.read(KEY) is None
        except (PortError, OSError) as error:
            self.fault = str(error)
            return False

    def _set(self, starts: int) -> None:
        if starts == self.starts and self._store is None:
            return
        self.starts = starts
        if self._store is None:
            return
        try:
            self._store.write(KEY, b"%d" % starts)
            self.fault = ""
        except (PortError, OSError) as error:
            self.fault = str(error)
