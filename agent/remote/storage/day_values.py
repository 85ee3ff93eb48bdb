# SPDX-License-Identifier: Apache-2.0
"""Values of a day: the lowest and highest value of each changed parameter, for the largest steps.

Does not compare with the limits; see `agent.remote.message.steps`.

    config.day   [[number, lowest, highest, remaining seconds], ...] with a hash

Values are in 1e-9 of the unit. An entry ends `_DAY_S` after the last change of its parameter. The
time is monotonic, so a message with another date has no effect. A restart continues with the time
of the last write: the entry then lasts longer, never shorter. A damaged record counts as empty.
"""

from agent.remote.storage.config_slots import decode_hashed, with_hash
from protocols import cbor
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.remote.storage.config_slots import Read, Write

DAY_KEY = "config.day"
_DAY_S = 24 * 3600
_ENTRY_FIELDS = 4


class DayValues:
    """The entries: [number, lowest, highest, monotonic end in us]."""

    def __init__(self) -> None:
        self._entries: list[list[int]] = []
        self._has_started = False

    def load(self, read: "Read") -> None:
        """Read the record; the ends are relative to the start of the agent."""
        parts = decode_hashed(read(DAY_KEY))
        for part in parts if type(parts) is list else []:
            if type(part) is list and [type(item) for item in part] == [int] * _ENTRY_FIELDS:
                self._entries.append(part[:3] + [part[3] * SECOND])

    def expire(self, now: int) -> None:
        """Drop the entries whose day is over. The first call is the start."""
        if not self._has_started:
            self._has_started = True
            for entry in self._entries:
                entry[3] += now
        self._entries = [entry for entry in self._entries if entry[3] > now]

    def largest_move(self, number: int, value: int) -> int:
        """Return the largest distance between `value` and the values of this day."""
        for entry in self._entries:
            if entry[0] == number:
                return max(value - entry[1], entry[2] - value)
        return 0

    def add(self, moves: "list[tuple[int, int, int]]", now: int) -> "list[Write]":
        """Add changes (number, before, after); return the write of the record."""
        if not moves:
            return []
        for number, before, after in moves:
            low, high = min(before, after), max(before, after)
            for entry in self._entries:
                if entry[0] == number:
                    low, high = min(low, entry[1]), max(high, entry[2])
            self._entries = [entry for entry in self._entries if entry[0] != number]
            self._entries.append([number, low, high, now + _DAY_S * SECOND])
        parts = [entry[:3] + [(entry[3] - now) // SECOND] for entry in self._entries]
        return [(DAY_KEY, with_hash(cbor.encode(parts)))]
