# SPDX-License-Identifier: Apache-2.0
"""Stand-in of a component that is off after an exception.

Has no function of its own. It takes the place of the component in all lists of the agent. In each
control cycle it calls `while_off` of the component, which makes the safe claims and caps. It passes
the input of the ports to the component, so that the view of the component on its ports stays right.
It serves the ports of a component with `SERVES_OFF` completely, until that raises too.
"""

from agent.core.component.base import Component
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.alarm_record import Condition
    from agent.core.component.base import Actions


class StandIn(Component):
    """Stands in for `part`, the component of `section`."""

    def __init__(self, agent: "Any", part: Component, section: str) -> None:
        super().__init__(agent, part.settings, part.port)
        self.part = part
        self.section = section
        self.links = part.links
        self.POINTS = part.POINTS
        self._serves = part.SERVES_OFF

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
        self.part.while_off(now, dt)

    def deadline(self) -> int:
        """Return the deadline of the ports that are served."""
        due: int = self._serve(self.part.deadline) if self._serves else NEVER
        return due

    def wake(self, now: int) -> None:
        """Serve the deadline of the ports."""
        if self._serves:
            self._serve(self.part.wake, now)

    def outbox(self) -> "Actions":
        """Return the requests of the ports that are served."""
        out: Actions = self._serve(self.part.outbox) if self._serves else []
        return out

    def _serve(self, method: "Any", *arguments: int) -> "Any":
        """Call a method of the component. After an exception its ports are not served any more."""
        self._serves = False
        result = method(*arguments)
        self._serves = True
        return result

    def active_conditions(self, now: int) -> "list[Condition] | None":
        """Return None: a component that is off shows nothing."""
        return None

    def retain(self, now: int) -> "list[str]":
        """Return the state of the component."""
        return self.part.retain(now)

    def restore(self, line: str, now: int) -> bool:
        """Pass the state to the component."""
        return self.part.restore(line, now)

    def values(self, now: int) -> "list[int | None]":
        """Return that each point is unknown."""
        return [None] * len(self.POINTS)
