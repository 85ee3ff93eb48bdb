# SPDX-License-Identifier: Apache-2.0
"""The last 1,000 changes of alarms in a store.

Not the telemetry log: it needs no receipt and is read on the controller (`coldloop alarms
history`). Each change is a line. `SEGMENTS` records of `LINES` lines are filled in turn; a full
round replaces the oldest record. The number of a line gives its record, so only the next number is
kept, in the state record of the section. A line is not held in memory after it was sent.

An alarm that chatters must not wear out the flash, and must not replace all other lines. So each
code has `_BURST` raises, and regains one in `_REGAIN_US`. A raise beyond them is not kept, and its
end neither. The next line of the code says how many are missing.

    NUMBER UTC-SECONDS (0: unknown) raised|cleared CODE TEXT
"""

from agent.core.fault.change_budget import ChangeBudget
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Actions

SEGMENTS, LINES = 8, 125
_MAX_WAITING = 32
_MAX_TEXT = 160
_BURST, _REGAIN_US = 20, 600 * SECOND


def segment_key(number: int) -> str:
    """Return the key of the record with line `number`."""
    return "alarms.%d" % (number // LINES % SEGMENTS)


class AlarmHistory:
    """Writes to the store with the number `port`. `next_number`: of the next line. `dropped`: lines
    that the store was too slow for.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.next_number = 0
        self.dropped = 0
        self._waiting: list[str] = []
        self._budgets = ChangeBudget(_REGAIN_US)
        self._held: list[str] = []
        self._missing: dict[str, int] = {}

    def add(self, utc_s: int, change: str, code: str, text: str, now: int) -> None:
        """Add a change at `now`, µs. The oldest is dropped if many wait for the store."""
        if change == "raised":
            if self._budgets.count_used(code, now) < _BURST:
                self._budgets.use(code, now)
            else:
                self._held.append(code)
        if code in self._held:
            self._missing[code] = self._missing.get(code, 0) + 1
            if change != "raised":
                self._held.remove(code)
            return
        if code in self._missing:
            text = "(%d changes not kept) %s" % (self._missing.pop(code), text)
        line = "%d %s %s %s" % (utc_s, change, code, text.replace("\n", " ")[:_MAX_TEXT])
        self._waiting.append(line)
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.pop(0)
            self.dropped += 1

    def continue_at(self, number: int) -> None:
        """Continue the numbers of an earlier start."""
        self.next_number = max(self.next_number, number)

    def outbox(self) -> "Actions":
        """Return the requests for all waiting lines. Call it only while the store is open."""
        out: Actions = []
        for line in self._waiting:
            number = self.next_number
            data = ("%s\0%d %s\n" % (segment_key(number), number, line)).encode()
            out.append((self.port, "append" if number % LINES else "write", data))
            self.next_number += 1
        self._waiting = []
        return out
