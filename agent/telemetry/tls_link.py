"""A link to a TLS port, whose certificate must not be judged by a clock that nobody trusts.

A controller without battery wakes in 1970: were the certificate's dates looked at then, the door
would be locked until somebody comes. Were they never looked at, an old certificate would open it
for ever. So the port is told at each opening what time it is, by our own UTC (`utc=SECONDS`; 0: not
known). Chain and host name are checked in any case, the dates as soon as UTC is trusted: a
connection that stood before is closed once then, and opened anew.

Not a judge: that is the port (drivers/ports/cpython/tcp.py).
"""

from agent.core.port_link import Link
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.utc_clock import Clock

_LOOK_EVERY = 10 * SECOND


class TlsLink(Link):
    """A `Link` that says at each opening what time it is."""

    def __init__(self, port: int, name: str, address: str, clock: "Clock") -> None:
        Link.__init__(self, port, name, address, proves=True)
        self.unchecked = False
        self._clock = clock
        self._now = 0
        self._plain = address + ("&" if "?" in address else "?")

    def start(self) -> None:
        """Ask for the port to be opened, by our UTC."""
        utc_s = self._utc_s(self._now)
        self.unchecked = not utc_s
        self._address = (self._plain + "utc=%d" % utc_s).encode()
        Link.start(self)

    def event(self, kind: str, now: int) -> None:
        """Take what the port says."""
        Link.event(self, kind, now)
        if kind == "opened" and self.unchecked:
            self.due = now + _LOOK_EVERY

    def wake(self, now: int) -> None:
        """Retry, or have the dates looked at now that UTC is trusted."""
        self._now = now
        if now < self.due:
            return
        if not self.up:
            Link.wake(self, now)
        elif self._utc_s(now):
            self.close(now)
        else:
            self.due = now + _LOOK_EVERY if self.unchecked else NEVER

    def _utc_s(self, now: int) -> int:
        utc = self._clock.utc(now)
        trusted = self._clock.state(now) in ("sync", "holdover")
        return utc // SECOND if utc is not None and trusted else 0
