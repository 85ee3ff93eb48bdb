# SPDX-License-Identifier: Apache-2.0
"""Component `redundancy`: the role of this controller in the status of the agent.

Does not decide the role; see `agent.redundancy.paired_agent`, which runs the agent.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.core.alarm_record import Condition
    from agent.core.context import Context

    class RoleSource(Protocol):
        """The controller of a pair; see `agent.redundancy.paired_agent`."""

        def status_fields(self) -> "list[tuple[str, Any]]":
            """Return the fields of the status."""
            ...

        def standby_lost(self) -> bool:
            """Return whether no standby replies."""
            ...

        def link_lost(self) -> bool:
            """Return whether no message of the peer comes over the link."""
            ...

        def is_stale(self) -> bool:
            """Return whether the other controller misses remote changes."""
            ...

        def is_flapping(self) -> bool:
            """Return whether this controller took over too often in the last hour."""
            ...


STANDBY_LOST = AlarmRecord("standby_lost", NORMAL, "no standby controller replies", "", False)
PAIR_LINK_LOST = AlarmRecord(
    "pair_link_lost", NORMAL, "no message of the other controller", "", False
)
PAIR_STALE = AlarmRecord(
    "pair_stale", NORMAL, "the other controller misses remote changes", "", False
)
PAIR_FLAPPING = AlarmRecord("pair_flapping", NORMAL, "too many takeovers in an hour", "", False)


class RedundancyComponent(Component):
    """The component; see the module."""

    PORTS = ("store",)
    PROVIDES = ("redundancy",)

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.redundancy = self
        self._source: RoleSource | None = None

    def set_source(self, source: "RoleSource") -> None:
        """Take the controller whose role this component tells."""
        self._source = source

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the alarms of the standby, of the link, and of too many takeovers."""
        source = self._source
        if source is None:
            return []
        checks = (
            (STANDBY_LOST, source.standby_lost()),
            (PAIR_LINK_LOST, source.link_lost()),
            (PAIR_STALE, source.is_stale()),
            (PAIR_FLAPPING, source.is_flapping()),
        )
        return [(record, "", record.text) for record, is_active in checks if is_active]

    def status(self, now: int) -> JsonObject:
        """Return the node, its role and the number of its takeovers."""
        return JsonObject(self._source.status_fields() if self._source is not None else [])
