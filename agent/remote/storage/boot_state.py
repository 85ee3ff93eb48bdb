"""What a start has chosen to run, for the part of the agent that takes changes.

Not the choosing: that is `agent.remote.update.boot`, which a board forgets once the agent runs.
"""

from agent.remote.message import canonical
from agent.remote.storage import audit
from agent.remote.storage.running_slot import RunningSlot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.config_records import Config
    from agent.remote.storage.config_slots import ConfigSlots
    from agent.remote.storage.software_slots import ReleaseRecord


class BootState:
    """What to run: the configuration's bytes, the record of it; `writes` are yet to be made.

    Parsed it would take ten times the room, so it is read anew. `audit` is the end of the log;
    `releases` and `received_chunks` are of application updates; `running_slot` is None where
    nothing starts one.

    `check` turns changed JSON into a configuration, or raises `ConfigError`; the shell sets it, and
    `has_full_checker`: whether there is room and time for that beside a running agent.
    """

    def __init__(self, config: bytes, record: "ConfigSlots") -> None:
        self.config = config
        self.slots = record
        self.writes: list[tuple[str, bytes]] = []
        self.audit = audit.AuditLog()
        self.has_full_checker = True
        self.releases: ReleaseRecord | None = None
        self.received_chunks = 0
        self.running_slot: RunningSlot | None = RunningSlot()
        self.check: Callable[[dict[str, Any]], Config] | None = None

    def parsed_config(self) -> "dict[str, Any]":
        """Give the configuration as parsed JSON."""
        return canonical.decode_config(self.config)
