# SPDX-License-Identifier: Apache-2.0
"""Component `pps`: keeps the port of the pulses open and counts them.

It also passes on what the receiver states of the next pulse.

Does not use the pulses: the agent passes them to `agent.clock.utc_clock`, from every kind of port.

A receiver starts a pulse at a period of its own clock, up to some 20 ns away from the second, and
states the distance before the pulse (UBX-TIM-TP). With `quantisation` the epochs are read for it,
which takes 12 KiB on a small board.
"""

from agent.core.component.base import Component
from agent.core.json_writer import JsonObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext


class PpsComponent(Component):
    """The component; see the module."""

    PORTS = ("pps",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self._reads_epochs = settings.get("quantisation") == "yes"
        self._stated: tuple[int, int] | None = None

    def tick(self, now: int) -> None:
        """Pass on a new statement about the next pulse."""
        receiver, pulses = self.agent.receiver, self.agent.clock.pps
        if not self._reads_epochs or receiver is None or pulses is None:
            return
        epoch = receiver.last_epoch(now)
        if epoch is not None and epoch.pulse is not None and epoch.pulse is not self._stated:
            self._stated = epoch.pulse
            pulses.state_quantisation(epoch.pulse[0], epoch.pulse[1])

    def status(self, now: int) -> JsonObject:
        """Return the number of pulses, of those that a fix identified, and the last statement."""
        clock = self.agent.clock
        pairs: list[tuple[str, object]] = [
            ("pulses", clock.pulses),
            ("used", clock.associated_pulses),
        ]
        if self._stated is not None:
            pairs.append(("early_ns", self._stated[1]))
        return JsonObject(pairs)
