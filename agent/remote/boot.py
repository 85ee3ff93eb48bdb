"""Which configuration a start runs: the site's file, the confirmed one, or the one on trial.

Called by a shell before the agent is built, with the parsed file and a way to read the store. A
configuration on trial is started at most `_MOST_STARTS` times: one that brings the controller down
is rolled back by the starts it causes, without UTC, link or clock.
"""

from agent.remote import canonical, slots
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.slots import Read, Slots

_MOST_STARTS = 3
CRASHED, DAMAGED, UNUSABLE = "crashed", "damaged", "unusable"


class Start:
    """What to run: `raw` (parsed JSON), its bytes, the record; `writes` are to be made."""

    def __init__(self, raw: "dict[str, Any]", config: bytes, record: "Slots") -> None:
        self.raw = raw
        self.config = config
        self.slots = record
        self.writes: list[tuple[str, bytes]] = []

    def roll_back(self, reason: str, file: "dict[str, Any]", read: "Read") -> "Start":
        """Give the start without what is on trial: the shell found that it cannot be used."""
        write = self.slots.roll_back(reason)
        start = _confirmed(file, self.slots, read)
        start.writes = [*self.writes, write]
        return start


def choose(file: "dict[str, Any]", read: "Read") -> Start:
    """Choose what to run, given the site's own configuration and the store."""
    origin = canonical.digest(canonical.write(file))
    record = slots.load(origin, read)
    if record.trial is None:
        return _confirmed(file, record, read)
    trial = record.trial
    config = slots.config_in(trial.slot, read)
    raw = None if config is None else _read(config)
    fresh = Start(file, canonical.write(file), record)
    if config is None or raw is None:
        return fresh.roll_back(DAMAGED, file, read)
    if trial.starts >= _MOST_STARTS:
        return fresh.roll_back(CRASHED, file, read)
    trial.starts += 1
    start = Start(raw, config, record)
    start.writes = [record.record()]
    return start


def _confirmed(file: "dict[str, Any]", record: "Slots", read: "Read") -> Start:
    config = slots.config_in(record.slot, read)
    raw = None if config is None else _read(config)
    if config is None or raw is None:
        return Start(file, canonical.write(file), record)
    return Start(raw, config, record)


def _read(config: bytes) -> "dict[str, Any] | None":
    try:
        return canonical.read(config)
    except DecodeError:
        return None
