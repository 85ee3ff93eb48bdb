# SPDX-License-Identifier: Apache-2.0
"""Component `chrony`: sends chronyd one time sample a second while UTC is trusted.

Does not set the system clock; chronyd does. The port is `drivers/ports/cpython/chrony.py`; it adds
the system time of the sample.

No sample is sent if UTC is unknown, untrusted, uncertain by whole seconds, or if its error bound is
above `bound_ms`. chronyd then gets no samples: it coasts or selects another source.
"""

import struct

from agent.clock.clock_state import TRUSTED
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.component.base import Actions


class RefClock(Component):
    """The component; see the module. `sent` and `withheld` count seconds."""

    PORTS = ("chrony",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.sent = self.withheld = 0
        self._max_bound_us: int = settings["bound_ms"] * MILLISECOND
        self._open = False
        self._due = 0
        self._out: Actions = []

    def event(self, kind: str, now: int) -> None:
        """Handle `opened`, `closed`, `failed` or `drained`."""
        self._open = kind == "opened" or (self._open and kind == "drained")

    def tick(self, now: int) -> None:
        """Send one sample a second."""
        if now < self._due or not self._open:
            return
        self._due = now + SECOND - self.agent.ticks.period // 2
        clock = self.agent.clock
        utc, bound = clock.utc(now), clock.bound_us(now)
        within_bound = utc is not None and bound is not None and bound <= self._max_bound_us
        if not within_bound or utc is None or clock.state(now) not in TRUSTED:
            self.withheld += 1
            return
        self.sent += 1
        self._out.append((self.port, "write", struct.pack(">qqB", now, utc, 0)))

    def outbox(self) -> "Actions":
        """Return the sample for the port."""
        out, self._out = self._out, []
        return out

    def status(self, now: int) -> JsonObject:
        """Return the number of sent samples and of seconds without a sample."""
        return JsonObject([("sent", self.sent), ("withheld", self.withheld)])
