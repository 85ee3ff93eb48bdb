"""The part `chrony`: it tells chronyd what time it is, once a second, as long as it is sure itself.

Nothing is told while UTC is not known, not trusted, uncertain by whole seconds, or worse than
`bound_ms`: chronyd then sees a source that has stopped, and coasts or takes another. The port
(`drivers/ports/cpython/chrony.py`) adds what only it can know: the system's time at that moment.
"""

import struct

from agent.core.component import Component
from agent.core.json_writer import JsonObject
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.component import Actions

_TRUSTED = ("sync", "holdover")


class RefClock(Component):
    """See the module. `sent` and `withheld` count seconds."""

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
        """Take `opened`, `closed` or `failed`."""
        self._open = kind == "opened" or (self._open and kind == "drained")

    def tick(self, now: int) -> None:
        """Send one sample a second."""
        if now < self._due or not self._open:
            return
        self._due = now + SECOND - self.agent.ticks.period // 2
        clock = self.agent.clock
        utc, bound = clock.utc(now), clock.bound_us(now)
        within_bound = utc is not None and bound is not None and bound <= self._max_bound_us
        if not within_bound or utc is None or clock.state(now) not in _TRUSTED:
            self.withheld += 1
            return
        self.sent += 1
        self._out.append((self.port, "write", struct.pack(">qqB", now, utc, 0)))

    def outbox(self) -> "Actions":
        """Hand over the sample."""
        out, self._out = self._out, []
        return out

    def status(self, now: int) -> JsonObject:
        """Say how many samples were sent, and in how many seconds none was."""
        return JsonObject([("sent", self.sent), ("withheld", self.withheld)])
