# SPDX-License-Identifier: Apache-2.0
"""Component `redundancy`: the role of this controller in the status of the agent.

Does not decide the role; see `agent.redundancy.paired_agent`, which runs the agent.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.alarm_record import Condition
    from agent.core.context import Context


STANDBY_LOST = AlarmRecord("standby_lost", NORMAL, "no standby controller replies", "", False)


class RedundancyComponent(Component):
    """The component; see the module."""

    PROVIDES = ("redundancy",)

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.redundancy = self
        self._fields: Callable[[], list[tuple[str, Any]]] = list
        self._standby_lost: Callable[[], bool] = bool

    def set_source(
        self, fields: "Callable[[], list[tuple[str, Any]]]", standby_lost: "Callable[[], bool]"
    ) -> None:
        """Take the functions for the fields of the status, and for the alarm of the standby."""
        self._fields = fields
        self._standby_lost = standby_lost

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the alarm of a standby that does not reply."""
        return [(STANDBY_LOST, "", STANDBY_LOST.text)] if self._standby_lost() else []

    def status(self, now: int) -> JsonObject:
        """Return the node, its role and the number of its takeovers."""
        return JsonObject(self._fields())
