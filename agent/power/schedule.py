"""What is to happen at a UTC instant: a few entries, in order, done in the tick that begins then.

Not a calendar and not a clock. Every row that has the same entry does it in the same tick, whether
the link is up or not, because ticks line up with UTC. With a stagger, row k of n does it k steps
later. An entry whose time has passed (the row was off, or its clock was not set) is done as soon as
UTC is known, the oldest first, so that what is in force afterwards is what should be.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[int, str, int]

ACTIONS: "tuple[tuple[str, int, int], ...]" = (
    ("cap_w", 0, 100_000_000),
    ("cap_pct", 0, 100),
    ("supply_milli_c", 15_000, 45_000),
    ("dp_milli_kpa", 5_000, 400_000),
)
"""Actions with the least and the most of their value. A cap of 0 W, or of 100 %, is no cap."""
MAX_ENTRIES = 32


class Schedule:
    """Entries (UTC in microseconds, action, value), sorted; `done` are the last few that ran."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.done: list[Entry] = []

    def add(self, at_utc_us: int, action: str, value: int) -> str:
        """Take an entry; gives what is wrong with it, or an empty text. A repeated one is one."""
        actions = [row for row in ACTIONS if row[0] == action]
        if not actions:
            return "no action is named " + action[:32]
        if not actions[0][1] <= value <= actions[0][2]:
            return "%s %d is outside %d to %d" % (action, value, actions[0][1], actions[0][2])
        entry = (at_utc_us, action, value)
        if entry in self.entries:
            return ""
        if len(self.entries) >= MAX_ENTRIES:
            return "%d entries wait already" % MAX_ENTRIES
        self.entries.append(entry)
        self.entries.sort()
        return ""

    def cancel(self) -> int:
        """Forget what has not been done yet; gives how many entries that were."""
        count = len(self.entries)
        self.entries = []
        return count

    def pop_due(self, utc_us: int) -> "Entry | None":
        """Take the oldest entry whose time has come."""
        if not self.entries or self.entries[0][0] > utc_us:
            return None
        entry = self.entries.pop(0)
        self.done = (self.done + [entry])[-4:]
        return entry

    def encode(self) -> bytes:
        """Write the entries for a store."""
        return "\n".join(["%d %s %d" % entry for entry in self.entries]).encode()

    def decode(self, text: bytes) -> None:
        """Take what `encode` wrote; lines that make no sense are left out."""
        for line in text.decode().split("\n"):
            words = line.split(" ")
            if len(words) == 3 and words[0].strip("0123456789") == "":
                try:
                    self.add(int(words[0]), words[1], int(words[2]))
                except ValueError:
                    continue
