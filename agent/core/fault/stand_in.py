# SPDX-License-Identifier: Apache-2.0
"""Stand-in of a component that is off after an exception.

Has no function of its own. It takes the place of the component in all lists of the agent. It makes
the safe claims of the component in each control cycle. It passes the input of the ports to the
component, so that the view of the component on its ports stays right.
"""

from agent.core.component import Component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class StandIn(Component):
    """Stands in for `part`, the component of `section`."""

    def __init__(self, agent: "Any", part: Component, section: str) -> None:
        super().__init__(agent, part.settings, part.port)
        self.part = part
        self.section = section
        self.links = part.links
        self.POINTS = part.POINTS

    def receive(self, data: bytes, now: int) -> None:
        """Pass the bytes to the component."""
        self.part.receive(data, now)

    def event(self, kind: str, now: int) -> None:
        """Pass the event to the component."""
        self.part.event(kind, now)

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Pass the bytes to the component."""
        self.part.link_receive(index, data, now)

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Pass the event to the component."""
        self.part.link_event(index, kind, now)

    def before_control(self, now: int, dt: float) -> None:
        """Make the safe claims of the component."""
        for actuator, kind, output in self.part.safe_claims():
            ranks = [spec.rank for spec in self.part.CLAIMS if spec.actuator == actuator]
            arbiter = self.agent.arbiters[actuator]  # type: ignore[attr-defined]
            arbiter.claim(max(ranks), self.section, kind, output, "part_off")

    def values(self, now: int) -> "list[int | None]":
        """Return that each point is unknown."""
        return [None] * len(self.POINTS)
