# SPDX-License-Identifier: Apache-2.0
"""The result of a start, for the remote manager: the selected configuration and its records.

Does not select; see `agent.remote.update.boot`, which MicroPython unloads after the start.
"""

from agent.remote.message import canonical
from agent.remote.storage import audit
from agent.remote.storage.day_values import DayValues
from agent.remote.storage.running_slot import RunningSlot
from agent.remote.storage.suspended_keys import SuspendedKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.config_records import Config
    from agent.remote.storage.config_slots import ConfigSlots
    from agent.remote.storage.software_slots import ReleaseRecord


class BootState:
    """The configuration to run as bytes, its record, and `writes` to be made.

    The parsed configuration would need ten times the memory, so it is decoded again when needed.
    `audit` is the end of the audit log. `releases` and `received_chunks` belong to application
    updates. `running_slot` is None if nothing here can start an update.

    `unusable`: hash of the confirmed configuration that this start could not compile, else empty.

    `check` compiles changed JSON, or raises `ConfigError`. `has_full_checker`: there is memory and
    time for it beside a running agent. `small_slices`: a slice of a server would delay a tick.
    """

    def __init__(
        self, config: bytes, record: "ConfigSlots", writes: "list[tuple[str, bytes]] | None" = None
    ) -> None:
        self.config = config
        self.slots = record
        self.writes = writes or []
        self.audit = audit.AuditLog()
        self.has_full_checker = True
        self.small_slices = False
        self.releases: ReleaseRecord | None = None
        self.received_chunks = 0
        self.day = DayValues()
        self.suspended = SuspendedKeys()
        self.unit_key: tuple[bytes, bytes] | None = None
        self.site_trial = 0
        self.running_slot: RunningSlot | None = RunningSlot()
        self.unusable = b""
        self.check: Callable[[dict[str, Any]], Config] | None = None

    def set_checker(
        self, check: "Callable[[dict[str, Any]], Config]", log: "audit.AuditLog"
    ) -> None:
        """Set the function that compiles a changed configuration, and the audit log."""
        self.check, self.audit = check, log

    def set_releases(self, releases: "ReleaseRecord | None", received_chunks: int) -> None:
        """Set the state of application updates."""
        self.releases, self.received_chunks = releases, received_chunks

    def set_limits(self, day: DayValues, suspended: SuspendedKeys) -> None:
        """Set the values of this day and the suspended keys."""
        self.day, self.suspended = day, suspended

    def set_unit(self, unit_key: "tuple[bytes, bytes] | None", site_trial: int) -> None:
        """Set the key for reports, and the counter of the last change of a site key."""
        self.unit_key, self.site_trial = unit_key, site_trial

    def set_config(self, config: bytes) -> None:
        """Set the configuration that runs now."""
        self.config = config

    def limit_to_board(self, running_slot: "RunningSlot | None") -> None:
        """Skip the full check; `running_slot`: None if nothing here can start an update."""
        self.has_full_checker, self.running_slot = False, running_slot

    def use_small_slices(self) -> None:
        """Check and make signatures in slices for a board, between two ticks."""
        self.small_slices = True

    def parsed_config(self) -> "dict[str, Any]":
        """Return the configuration as parsed JSON."""
        return canonical.decode_config(self.config)
