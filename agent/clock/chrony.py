"""The part `chrony`: it tells chronyd what time it is, once a second, as long as it is sure itself.

Nothing is told while UTC is not known, not trusted, uncertain by whole seconds, or worse than
`bound_ms`: chronyd then sees a source that has stopped, and coasts or takes another. The port
(`drivers/ports/cpython/chrony.py`) adds what only it can know: the system's time at that moment.
"""

import struct

from agent.core.component import Part
from agent.core.json_writer import Object
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions

_TRUSTED = ("sync", "holdover")


class RefClock(Part):
    """See the module. `sent` and `withheld` count seconds."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.sent = self.withheld = 0
        self._most_us: int = settings["bound_ms"] * MILLISECOND
        self._up = False
        self._due = 0
        self._out: Actions = []

    def event(self, kind: str, now: int) -> None:
        """Take `opened`, `closed` or `failed`."""
        self._up = kind == "opened" or (self._up and kind == "drained")

    def tick(self, now: int) -> None:
        """Send one sample a second."""
        if now < self._due or not self._up:
            return
        self._due = now + SECOND - self.agent.ticks.period // 2
        clock = self.agent.clock
        utc, bound = clock.utc(now), clock.bound_us(now)
        sure = utc is not None and bound is not None and bound <= self._most_us
        if not sure or utc is None or clock.state(now) not in _TRUSTED:
            self.withheld += 1
            return
        self.sent += 1
        self._out.append((self.port, "write", struct.pack(">qqB", now, utc, 0)))

    def outbox(self) -> "Actions":
        """Hand over the sample."""
        out, self._out = self._out, []
        return out

    def status(self, now: int) -> Object:
        """Say how many samples were sent, and in how many seconds none was."""
        return Object([("sent", self.sent), ("withheld", self.withheld)])
