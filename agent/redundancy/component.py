# SPDX-License-Identifier: Apache-2.0
"""Component `redundancy`: the role of this controller in the status of the agent.

Does not decide the role; see `agent.redundancy.paired_agent`, which runs the agent.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.context import Context


class RedundancyComponent(Component):
    """The component; see the module."""

    PROVIDES = ("redundancy",)

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.redundancy = self
        self._fields: Callable[[], list[tuple[str, Any]]] = list

    def set_source(self, fields: "Callable[[], list[tuple[str, Any]]]") -> None:
        """Take the function that returns the fields of the status."""
        self._fields = fields

    def status(self, now: int) -> JsonObject:
        """Return the node, its role and the number of its takeovers."""
        return JsonObject(self._fields())
