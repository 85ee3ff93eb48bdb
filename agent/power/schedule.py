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
    """Entries in the order of time. `done` are the last executed ones.

    The stored text has no pending entry of the configuration, because a later configuration may not
    have it. It has those that were executed or cancelled, after "-". A restart does not repeat
    them, because their effect is stored too. Set-points are repeated, unless they are stored.
    """

    def __init__(self) -> None:
        self.entries: list[ScheduleEntry] = []
        self.done: list[ScheduleEntry] = []
        self._configured: list[ScheduleEntry] = []
        self._past: list[ScheduleEntry] = []
        self._keeps_setpoints = True

    def configure(self, keeps_setpoints: bool) -> None:
        """Take the present entries as those of the configuration. `keeps_setpoints`: the set-points
        of the unit survive a restart.
        """
        self._configured, self._keeps_setpoints = list(self.entries), keeps_setpoints

    def reset(self) -> None:
        """Return to the entries of the configuration."""
        self.entries, self._past = list(self._configured), []

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
        is_timed = at_utc_us > 0  # entries that wait for their time do not stop a direct order
        if len([1 for other in self.entries if (other.at_utc_us > 0) == is_timed]) >= MAX_ENTRIES:
            return "%d entries wait already" % MAX_ENTRIES
        self.entries.append(entry)
        self.entries.sort()
        if entry in self._past:
            self._past.remove(entry)
        return ""

    def cancel(self) -> int:
        """Remove all pending entries. Return their number."""
        count = len(self.entries)
        for entry in self.entries:
            self._leave(entry)
        self.entries = []
        return count

    def _leave(self, entry: ScheduleEntry) -> None:
        """Note that an entry of the configuration is not pending any more."""
        is_kept = self._keeps_setpoints or entry.action[:3] == "cap"
        if is_kept and entry in self._configured and entry not in self._past:
            self._past.append(entry)

    def pop_due(self, utc_us: int) -> "ScheduleEntry | None":
        """Remove and return the oldest due entry."""
        if not self.entries or self.entries[0].at_utc_us > utc_us:
            return None
        entry = self.entries.pop(0)
        self.done = (self.done + [entry])[-4:]
        self._leave(entry)
        return entry

    def encode(self) -> bytes:
        """Encode the entries for a store."""
        pending = [entry for entry in self.entries if entry not in self._configured]
        lines = ["%d %s %d" % tuple(entry) for entry in pending]
        return "\n".join(lines + ["- %d %s %d" % tuple(entry) for entry in self._past]).encode()

    def decode(self, text: bytes) -> None:
        """Add the entries of an encoded text. Invalid lines are ignored."""
        try:
            lines = text.decode().split("\n")
        except UnicodeError:
            return  # the record is damaged
        for line in lines:
            words = line.split(" ")
            if words[0] == "-":
                self._drop(line)
            elif len(words) == 3 and words[0].strip("0123456789") == "":
                try:
                    self.add(int(words[0]), words[1], int(words[2]))
                except ValueError:
                    continue

    def _drop(self, line: str) -> None:
        """Remove the entry of the configuration that `line` shows as executed or cancelled."""
        for entry in [entry for entry in self.entries if "- %d %s %d" % tuple(entry) == line]:
            self.entries.remove(entry)
            self._leave(entry)
