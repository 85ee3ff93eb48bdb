"""The part `pps`: it keeps the port of the pulses open; the clock itself takes them.

A pulse reaches the clock by the agent, whatever port it comes from; here they are only counted, and
missed when they stop.
"""

from agent.core.component import Component
from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.clock_context import ClockContext


class PpsComponent(Component):
    """See the module."""

    PORTS = ("pps",)
    agent: "ClockContext"

    def status(self, now: int) -> JsonObject:
        """Count the pulses, and those that a fix gave its second."""
        clock = self.agent.clock
        return JsonObject([("pulses", clock.pulses), ("used", clock.associated_pulses)])
