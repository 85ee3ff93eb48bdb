"""A link to a TLS port, whose certificate must not be judged by a clock that nobody trusts.

A controller without battery wakes in 1970: were the certificate's dates looked at then, the door
would be locked until somebody comes. Were they never looked at, an old certificate would open it
for ever. So the port is told at each opening what time it is, by our own UTC (`utc=SECONDS`; 0: not
known). Chain and host name are checked in any case, the dates as soon as UTC is trusted: a
connection that stood before is closed once then, and opened anew.

Not a judge: that is the port (drivers/ports/cpython/tcp.py).
"""

from agent.core.port_link import PortLink
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.utc_clock import UtcClock

_CHECK_PERIOD = 10 * SECOND


class TlsLink(PortLink):
    """A `PortLink` that says at each opening what time it is."""

    def __init__(self, port: int, name: str, address: str, clock: "UtcClock") -> None:
        PortLink.__init__(self, port, name, address, needs_handshake=True)
        self.dates_unchecked = False
        self._clock = clock
        self._now = 0
        self._base_address = address + ("&" if "?" in address else "?")

    def start(self) -> None:
        """Ask for the port to be opened, by our UTC."""
        utc_s = self._utc_s(self._now)
        self.dates_unchecked = not utc_s
        self._address = (self._base_address + "utc=%d" % utc_s).encode()
        PortLink.start(self)

    def event(self, kind: str, now: int) -> None:
        """Take what the port says."""
        PortLink.event(self, kind, now)
        if kind == "opened" and self.dates_unchecked:
            self.due = now + _CHECK_PERIOD

    def wake(self, now: int) -> None:
        """Retry, or have the dates looked at now that UTC is trusted."""
        self._now = now
        if now < self.due:
            return
        if not self.up:
            PortLink.wake(self, now)
        elif self._utc_s(now):
            self.close(now)
        else:
            self.due = now + _CHECK_PERIOD if self.dates_unchecked else NEVER

    def _utc_s(self, now: int) -> int:
        utc = self._clock.utc(now)
        trusted = self._clock.state(now) in ("sync", "holdover")
        return utc // SECOND if utc is not None and trusted else 0
