# SPDX-License-Identifier: Apache-2.0
"""Schedule of actions at UTC instants. An action is executed in the tick that begins then.

Does not execute actions (see `agent.power.component`) and is not a clock.

Rows with the same entry execute it in the same tick, with or without a link, because ticks are
aligned with UTC. With a stagger, row k of n is k steps later. An entry in the past (the row was
off, or UTC was unknown) is executed when UTC is known. The oldest entry is executed first, so that
the final state is right.
"""

from collections import namedtuple

ScheduleEntry = namedtuple("ScheduleEntry", ("at_utc_us", "action", "value"))
ActionSpec = namedtuple("ActionSpec", ("name", "low", "high"))

ACTIONS: "tuple[ActionSpec, ...]" = (
    ActionSpec("cap_w", 0, 100_000_000),
    ActionSpec("cap_pct", 0, 100),
    ActionSpec("supply_milli_c", 15_000, 45_000),
    ActionSpec("dp_milli_kpa", 5_000, 400_000),
)
"""Actions with the range of their value. A cap of 0 W, or of 100 %, is no cap."""
MAX_ENTRIES = 32


class Schedule:
    """Entries in the order of time. `done` are the last executed ones."""

    def __init__(self) -> None:
        self.entries: list[ScheduleEntry] = []
        self.done: list[ScheduleEntry] = []

    def add(self, at_utc_us: int, action: str, value: int) -> str:
        """Add an entry, unless it exists. Return an error text, empty if it was accepted."""
        specs = [spec for spec in ACTIONS if spec.name == action]
        if not specs:
            return "no action is named " + action[:32]
        low, high = specs[0].low, specs[0].high
        if not low <= value <= high:
            return "%s %d is outside %d to %d" % (action, value, low, high)
        entry = ScheduleEntry(at_utc_us, action, value)
        if entry in self.entries:
            return ""
        if len(self.entries) >= MAX_ENTRIES:
            return "%d entries wait already" % MAX_ENTRIES
        self.entries.append(entry)
        self.entries.sort()
        return ""

    def cancel(self) -> int:
        """Remove all pending entries. Return their number."""
        count = len(self.entries)
        self.entries = []
        return count

    def pop_due(self, utc_us: int) -> "ScheduleEntry | None":
        """Remove and return the oldest due entry."""
        if not self.entries or self.entries[0].at_utc_us > utc_us:
            return None
        entry = self.entries.pop(0)
        self.done = (self.done + [entry])[-4:]
        return entry

    def encode(self) -> bytes:
        """Encode the entries for a store."""
        return "\n".join(["%d %s %d" % tuple(entry) for entry in self.entries]).encode()

    def decode(self, text: bytes) -> None:
        """Add the entries of an encoded text. Invalid lines are ignored."""
        try:
            lines = text.decode().split("\n")
        except UnicodeError:
            return  # the record is damaged
        for line in lines:
            words = line.split(" ")
            if len(words) == 3 and words[0].strip("0123456789") == "":
                try:
                    self.add(int(words[0]), words[1], int(words[2]))
                except ValueError:
                    continue
