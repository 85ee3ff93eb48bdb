# SPDX-License-Identifier: Apache-2.0
"""Component `pps`: keeps the port of the pulses open and counts them.

Does not use the pulses: the agent passes them to `agent.clock.utc_clock`, from every kind of port.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.clock_context import ClockContext


class PpsComponent(Component):
    """The component; see the module."""

    PORTS = ("pps",)
    agent: "ClockContext"

    def status(self, now: int) -> JsonObject:
        """Return the number of pulses, and of those that a fix identified."""
        clock = self.agent.clock
        return JsonObject([("pulses", clock.pulses), ("used", clock.associated_pulses)])
